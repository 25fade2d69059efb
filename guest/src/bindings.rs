//! The boundary to the host: what wit-bindgen generates from `wit/`, and the
//! conversions between its types and the crate's own. Nothing is decided here.

use std::cell::OnceCell;

use crate::model;
use crate::script::Script;
use crate::sdk::{self, log::Level};

#[expect(unsafe_code, reason = "generated: the canonical ABI passes pointers")]
#[expect(clippy::pedantic, reason = "generated")]
mod generated {
    wit_bindgen::generate!({ world: "script", path: "../wit" });

    pub(super) struct Exports;

    export!(Exports with_types_in self);
}

use generated::picloud::sdk::{
    app, config, crypto, events, files, http, kv, log, queue, secrets, test, types,
};

thread_local! {
    /// Filled by `compile`, and from then on part of the memory image from
    /// which every invocation starts.
    static SCRIPT: OnceCell<Script> = const { OnceCell::new() };
}

impl generated::Guest for generated::Exports {
    fn compile(program: types::Program) -> Result<types::ScriptInfo, Vec<types::ScriptError>> {
        match Script::compile(Box::new(WitHost), program.into()) {
            Ok((script, info)) => {
                SCRIPT.with(|slot| {
                    slot.get_or_init(|| script);
                });
                Ok(info.into())
            }
            Err(errors) => Err(errors.into_iter().map(Into::into).collect()),
        }
    }

    fn handle(
        invocation: types::Invocation,
        event: types::Event,
    ) -> Result<types::Response, types::ScriptError> {
        SCRIPT.with(|slot| match slot.get() {
            Some(script) => match script.handle(invocation.into(), event.into()) {
                Ok(response) => Ok(response.into()),
                Err(error) => Err(error.into()),
            },
            None => Err(model::ScriptError {
                message: "no program has been compiled".to_owned(),
                ..Default::default()
            }
            .into()),
        })
    }
}

/// The imports, as the SDK knows them.
struct WitHost;

impl sdk::Host for WitHost {
    fn kv_get(&self, collection: &str, key: &str) -> Result<Option<String>, sdk::kv::Error> {
        Ok(kv::get(collection, key)?)
    }

    fn kv_set(
        &self,
        collection: &str,
        key: &str,
        value: &str,
        ttl_s: Option<u64>,
    ) -> Result<(), sdk::kv::Error> {
        Ok(kv::set(collection, key, value, ttl_s)?)
    }

    fn kv_delete(&self, collection: &str, key: &str) -> Result<bool, sdk::kv::Error> {
        Ok(kv::delete(collection, key)?)
    }

    fn kv_list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<sdk::kv::Page, sdk::kv::Error> {
        let kv::Page { entries, next } = kv::list(collection, prefix, after, limit)?;
        Ok(sdk::kv::Page { entries, next })
    }

    fn kv_count(&self, collection: &str) -> Result<u64, sdk::kv::Error> {
        Ok(kv::count(collection)?)
    }

    fn kv_clear(&self, collection: &str) -> Result<(), sdk::kv::Error> {
        Ok(kv::clear(collection)?)
    }

    fn config_get(&self, name: &str) -> Option<String> {
        config::get(name)
    }

    fn publish(&self, topic: &str, payload: &str) -> Result<(), sdk::events::Error> {
        Ok(events::publish(topic, payload)?)
    }

    fn queue_send(
        &self,
        queue: &str,
        payload: &str,
        delay_s: Option<u64>,
        key: Option<&str>,
    ) -> Result<(), sdk::queue::Error> {
        Ok(queue::send(queue, payload, delay_s, key)?)
    }

    fn secret(&self, name: &str) -> Result<Option<String>, sdk::secrets::Error> {
        Ok(secrets::get(name)?)
    }

    fn http(&self, request: sdk::http::Request) -> Result<sdk::http::Response, sdk::http::Error> {
        let sdk::http::Request { method, url, headers, body, timeout_ms, redirects } = request;
        let request = http::Request { method, url, headers, body, timeout_ms, redirects };
        let http::Response { status, headers, body, url } = http::send(&request)?;
        Ok(sdk::http::Response { status, headers, body, url })
    }

    fn file_put(
        &self,
        bucket: &str,
        path: &str,
        contents: &[u8],
        content_type: Option<&str>,
    ) -> Result<sdk::files::Info, sdk::files::Error> {
        Ok(files::put(bucket, path, contents, content_type)?.into())
    }

    fn file_get(&self, bucket: &str, path: &str) -> Result<Option<Vec<u8>>, sdk::files::Error> {
        Ok(files::get(bucket, path)?)
    }

    fn file_info(
        &self,
        bucket: &str,
        path: &str,
    ) -> Result<Option<sdk::files::Info>, sdk::files::Error> {
        Ok(files::info(bucket, path)?.map(Into::into))
    }

    fn file_list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<sdk::files::Page, sdk::files::Error> {
        let files::Page { files, next } = files::list(bucket, prefix, after, limit)?;
        Ok(sdk::files::Page { files: files.into_iter().map(Into::into).collect(), next })
    }

    fn file_delete(&self, bucket: &str, path: &str) -> Result<bool, sdk::files::Error> {
        Ok(files::delete(bucket, path)?)
    }

    fn file_url(
        &self,
        bucket: &str,
        path: &str,
        ttl_s: Option<u64>,
    ) -> Result<String, sdk::files::Error> {
        Ok(files::url(bucket, path, ttl_s)?)
    }

    fn password_hash(&self, password: &str) -> Result<String, sdk::crypto::Error> {
        Ok(crypto::password_hash(password)?)
    }

    fn password_verify(&self, password: &str, hash: &str) -> Result<bool, sdk::crypto::Error> {
        Ok(crypto::password_verify(password, hash)?)
    }

    fn origin(&self) -> String {
        app::origin()
    }

    fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::write(level, message, fields);
    }

    fn test_send(&self, request: sdk::test::Request) -> Result<model::Response, sdk::test::Error> {
        let sdk::test::Request { method, path, headers, body } = request;
        let types::Response { status, headers, body } =
            test::send(&test::ClientRequest { method, path, headers, body })?;
        Ok(model::Response { status, headers, body })
    }

    fn test_set_time(&self, now_ms: u64) -> Result<(), sdk::test::Error> {
        Ok(test::set_time(now_ms)?)
    }

    fn test_add_stub(&self, stub: sdk::test::Stub) -> Result<(), sdk::test::Error> {
        let sdk::test::Stub { method, url, response } = stub;
        Ok(test::add_stub(&test::Stub { method, url, response: response.into() })?)
    }

    fn test_outbound_requests(&self) -> Result<Vec<sdk::http::Request>, sdk::test::Error> {
        let requests = test::outbound_requests()?.into_iter();
        Ok(requests
            .map(|request| sdk::http::Request {
                method: request.method,
                url: request.url,
                headers: request.headers,
                body: request.body,
                timeout_ms: request.timeout_ms,
                redirects: request.redirects,
            })
            .collect())
    }

    fn test_set_secret(&self, name: &str, value: &str) -> Result<(), sdk::test::Error> {
        Ok(test::set_secret(name, value)?)
    }

    fn test_dead_letters(&self) -> Result<Vec<sdk::test::DeadLetter>, sdk::test::Error> {
        let letter = |letter: test::DeadLetter| sdk::test::DeadLetter {
            event: letter.event,
            fields: letter.fields,
            handler: letter.handler,
            attempts: letter.attempts,
            message: letter.message,
        };
        Ok(test::dead_letters()?.into_iter().map(letter).collect())
    }
}

impl From<kv::Error> for sdk::kv::Error {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::InvalidCollection(message) => Self::InvalidCollection(message),
            kv::Error::InvalidKey(message) => Self::InvalidKey(message),
            kv::Error::InvalidValue(message) => Self::InvalidValue(message),
            kv::Error::ValueTooLarge(message) => Self::ValueTooLarge(message),
            kv::Error::QuotaExceeded(message) => Self::QuotaExceeded(message),
        }
    }
}

impl From<events::Error> for sdk::events::Error {
    fn from(error: events::Error) -> Self {
        match error {
            events::Error::InvalidTopic(message) => Self::InvalidTopic(message),
            events::Error::InvalidValue(message) => Self::InvalidValue(message),
            events::Error::ValueTooLarge(message) => Self::ValueTooLarge(message),
        }
    }
}

impl From<queue::Error> for sdk::queue::Error {
    fn from(error: queue::Error) -> Self {
        match error {
            queue::Error::InvalidName(message) => Self::InvalidName(message),
            queue::Error::InvalidKey(message) => Self::InvalidKey(message),
            queue::Error::InvalidValue(message) => Self::InvalidValue(message),
            queue::Error::ValueTooLarge(message) => Self::ValueTooLarge(message),
            queue::Error::InvalidDelay(message) => Self::InvalidDelay(message),
            queue::Error::NoConsumer(message) => Self::NoConsumer(message),
        }
    }
}

impl From<secrets::Error> for sdk::secrets::Error {
    fn from(error: secrets::Error) -> Self {
        match error {
            secrets::Error::InvalidName(message) => Self::InvalidName(message),
        }
    }
}

impl From<http::Error> for sdk::http::Error {
    fn from(error: http::Error) -> Self {
        match error {
            http::Error::Denied(message) => Self::Denied(message),
            http::Error::InvalidRequest(message) => Self::InvalidRequest(message),
            http::Error::TooManyRequests(message) => Self::TooManyRequests(message),
            http::Error::TimedOut(message) => Self::TimedOut(message),
            http::Error::TooLarge(message) => Self::TooLarge(message),
            http::Error::Failed(message) => Self::Failed(message),
        }
    }
}

impl From<files::Error> for sdk::files::Error {
    fn from(error: files::Error) -> Self {
        match error {
            files::Error::InvalidBucket(message) => Self::InvalidBucket(message),
            files::Error::InvalidPath(message) => Self::InvalidPath(message),
            files::Error::InvalidContentType(message) => Self::InvalidContentType(message),
            files::Error::TooLarge(message) => Self::TooLarge(message),
            files::Error::QuotaExceeded(message) => Self::QuotaExceeded(message),
        }
    }
}

impl From<files::FileInfo> for sdk::files::Info {
    fn from(info: files::FileInfo) -> Self {
        let files::FileInfo { path, bytes, content_type, etag, modified } = info;
        Self { path, bytes, content_type, etag, modified_ms: modified }
    }
}

impl From<crypto::Error> for sdk::crypto::Error {
    fn from(error: crypto::Error) -> Self {
        match error {
            crypto::Error::InvalidPassword(message) => Self::InvalidPassword(message),
            crypto::Error::InvalidHash(message) => Self::InvalidHash(message),
        }
    }
}

impl From<test::Error> for sdk::test::Error {
    fn from(error: test::Error) -> Self {
        match error {
            test::Error::NotAvailable(message) => Self::NotAvailable(message),
            test::Error::InvalidRequest(message) => Self::InvalidRequest(message),
            test::Error::Failed(message) => Self::Failed(message),
        }
    }
}

impl From<types::Program> for model::Program {
    fn from(program: types::Program) -> Self {
        let files = program.files.into_iter().map(|file| (file.path, file.text)).collect();
        Self { entry: program.entry, files }
    }
}

impl From<model::ScriptInfo> for types::ScriptInfo {
    fn from(info: model::ScriptInfo) -> Self {
        Self { functions: info.functions, imports: info.imports }
    }
}

impl From<types::Invocation> for model::Invocation {
    fn from(invocation: types::Invocation) -> Self {
        Self {
            id: invocation.id,
            app: invocation.app,
            release: invocation.release,
            now_ms: invocation.now,
            seed: invocation.seed.into(),
            function: invocation.function,
        }
    }
}

impl From<types::Event> for model::Event {
    fn from(event: types::Event) -> Self {
        match event {
            types::Event::Http(request) => Self::Http(model::Request {
                method: request.method,
                url: request.url,
                path: request.path,
                query: request.query,
                params: request.params,
                headers: request.headers,
                host: request.host,
                ip: request.ip,
                body: request.body,
            }),
            types::Event::Named(event) => Self::Named(model::NamedEvent {
                service: event.service,
                name: event.name,
                fields: event.fields,
            }),
        }
    }
}

impl From<model::Response> for types::Response {
    fn from(response: model::Response) -> Self {
        Self { status: response.status, headers: response.headers, body: response.body }
    }
}

impl From<model::Position> for types::Position {
    fn from(position: model::Position) -> Self {
        Self { file: position.file, line: position.line, column: position.column }
    }
}

impl From<model::ScriptError> for types::ScriptError {
    fn from(error: model::ScriptError) -> Self {
        let frame = |frame: model::Frame| types::Frame {
            function: frame.function,
            position: frame.position.map(Into::into),
        };
        Self {
            message: error.message,
            code: error.code,
            position: error.position.map(Into::into),
            stack: error.stack.into_iter().map(frame).collect(),
        }
    }
}
