//! What scripts can call: the table of `::` namespaces, and the trait through
//! which they reach the outside.
//!
//! # Conventions
//!
//! - Absence is `()`; failure throws `#{ code, message, service }` ([`throw`]).
//! - Options are a last map argument; an unknown one throws
//!   ([`options::Options`]).
//! - Times are integers in Unix milliseconds, durations are in seconds.
//! - A namespace that needs something of the host asks [`Context::host`] for it,
//!   which throws `not_available` while the program is being loaded: a memory
//!   image must not hold what only one invocation may know.

pub mod app;
mod arguments;
pub mod base64;
pub mod config;
pub mod context;
pub mod crypto;
pub mod csv;
pub(crate) mod data;
pub mod events;
pub mod files;
mod headers;
pub mod hex;
pub mod html;
pub mod http;
pub mod json;
pub mod kv;
pub mod log;
pub mod options;
mod page;
pub mod queue;
pub mod random;
pub mod regex;
pub mod register;
pub mod req;
pub mod response;
pub mod secrets;
pub mod template;
pub mod test;
pub mod time;
pub mod url;

use rhai::{Dynamic, EvalAltResult, ImmutableString, Map};

pub use context::{Context, Shared};
pub use register::{Registrar, Registration};

/// What a function of the SDK returns.
pub(crate) type Result<T> = std::result::Result<T, Box<EvalAltResult>>;

/// One `::` namespace: a row of the table.
#[derive(Clone, Copy)]
pub struct Namespace {
    /// What stands before the `::`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub doc: &'static str,
    /// Registers its functions, and the types that they return.
    pub register: fn(&mut Registrar<'_>, &Shared),
}

/// Every namespace there is, in the order of the reference.
pub const NAMESPACES: &[Namespace] = &[
    kv::NAMESPACE,
    events::NAMESPACE,
    queue::NAMESPACE,
    files::NAMESPACE,
    http::NAMESPACE,
    secrets::NAMESPACE,
    config::NAMESPACE,
    log::NAMESPACE,
    response::NAMESPACE,
    req::NAMESPACE,
    json::NAMESPACE,
    csv::NAMESPACE,
    base64::NAMESPACE,
    hex::NAMESPACE,
    url::NAMESPACE,
    regex::NAMESPACE,
    html::NAMESPACE,
    template::NAMESPACE,
    time::NAMESPACE,
    random::NAMESPACE,
    crypto::NAMESPACE,
    app::NAMESPACE,
    test::NAMESPACE,
];

/// What the SDK needs of the outside: on wasm the WIT imports, in tests a fake.
///
/// A method that fails returns what the script may catch. What it may not catch
/// ends the invocation and never returns here.
pub trait Host {
    /// The entry's value as JSON; `None` if there is no such entry.
    fn kv_get(&self, collection: &str, key: &str)
    -> std::result::Result<Option<String>, kv::Error>;

    /// Writes an entry; with `ttl_s` it ceases to exist after that many seconds.
    fn kv_set(
        &self,
        collection: &str,
        key: &str,
        value: &str,
        ttl_s: Option<u64>,
    ) -> std::result::Result<(), kv::Error>;

    /// Deletes an entry and tells whether there was one.
    fn kv_delete(&self, collection: &str, key: &str) -> std::result::Result<bool, kv::Error>;

    /// Entries whose key starts with `prefix` and comes after `after`, at most
    /// `limit` of them.
    fn kv_list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> std::result::Result<kv::Page, kv::Error>;

    /// How many entries the collection has.
    fn kv_count(&self, collection: &str) -> std::result::Result<u64, kv::Error>;

    /// Deletes every entry of the collection.
    fn kv_clear(&self, collection: &str) -> std::result::Result<(), kv::Error>;

    /// Publishes an event with a payload of JSON.
    fn publish(&self, topic: &str, payload: &str) -> std::result::Result<(), events::Error>;

    /// Sends a message with a payload of JSON, to be handled `delay_s` seconds
    /// from now or later.
    fn queue_send(
        &self,
        queue: &str,
        payload: &str,
        delay_s: Option<u64>,
        key: Option<&str>,
    ) -> std::result::Result<(), queue::Error>;

    /// The setting of that name as JSON.
    fn config_get(&self, name: &str) -> Option<String>;

    /// The secret of that name.
    fn secret(&self, name: &str) -> std::result::Result<Option<String>, secrets::Error>;

    /// Makes a request and returns the complete answer.
    fn http(&self, request: http::Request) -> std::result::Result<http::Response, http::Error>;

    /// Writes a file; without a content type its path's extension decides.
    fn file_put(
        &self,
        bucket: &str,
        path: &str,
        contents: &[u8],
        content_type: Option<&str>,
    ) -> std::result::Result<files::Info, files::Error>;

    /// The file's contents.
    fn file_get(
        &self,
        bucket: &str,
        path: &str,
    ) -> std::result::Result<Option<Vec<u8>>, files::Error>;

    /// What is known of the file.
    fn file_info(
        &self,
        bucket: &str,
        path: &str,
    ) -> std::result::Result<Option<files::Info>, files::Error>;

    /// Files whose path starts with `prefix` and comes after `after`, at most
    /// `limit` of them.
    fn file_list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> std::result::Result<files::Page, files::Error>;

    /// Deletes a file and tells whether there was one.
    fn file_delete(&self, bucket: &str, path: &str) -> std::result::Result<bool, files::Error>;

    /// A URL at which the file can be downloaded for `ttl_s` seconds.
    fn file_url(
        &self,
        bucket: &str,
        path: &str,
        ttl_s: Option<u64>,
    ) -> std::result::Result<String, files::Error>;

    /// A salted hash of the password.
    fn password_hash(&self, password: &str) -> std::result::Result<String, crypto::Error>;

    /// Whether the hash is one of this password.
    fn password_verify(
        &self,
        password: &str,
        hash: &str,
    ) -> std::result::Result<bool, crypto::Error>;

    /// Where clients reach the app, without a slash at the end.
    fn origin(&self) -> String;

    /// Writes a line of the invocation's log; `fields` is a JSON object.
    fn log(&self, level: log::Level, message: &str, fields: Option<&str>);

    /// Makes a request to the app, as a client would.
    fn test_send(
        &self,
        request: test::Request,
    ) -> std::result::Result<crate::model::Response, test::Error>;

    /// Sets the app's clock.
    fn test_set_time(&self, now_ms: u64) -> std::result::Result<(), test::Error>;

    /// Has requests to other servers answered.
    fn test_add_stub(&self, stub: test::Stub) -> std::result::Result<(), test::Error>;

    /// What the app has sent to other servers since the test began.
    fn test_outbound_requests(&self) -> std::result::Result<Vec<http::Request>, test::Error>;

    /// Gives the app a secret.
    fn test_set_secret(&self, name: &str, value: &str) -> std::result::Result<(), test::Error>;

    /// The deliveries that have failed for good.
    fn test_dead_letters(&self) -> std::result::Result<Vec<test::DeadLetter>, test::Error>;
}

/// The error that a script catches as `#{ code, message, service }`.
pub(crate) fn throw(
    service: &'static str,
    code: &'static str,
    message: impl Into<ImmutableString>,
) -> Box<EvalAltResult> {
    let map = Map::from([
        ("code".into(), code.into()),
        ("message".into(), Dynamic::from(message.into())),
        ("service".into(), service.into()),
    ]);
    EvalAltResult::ErrorRuntime(map.into(), rhai::Position::NONE).into()
}

/// What scripts call a value's type: Rhai's own names are Rust's.
pub(crate) fn type_name(value: &Dynamic) -> &str {
    friendly_type_name(value.type_name())
}

/// [`type_name`] of the name of a Rust type.
pub(crate) fn friendly_type_name(rust: &str) -> &str {
    match rust {
        "i64" => "int",
        "f64" => "float",
        "string" | "alloc::string::String" | "rhai::types::immutable_string::ImmutableString" => {
            "string"
        }
        "Fn" => "function",
        name => name.rsplit("::").next().unwrap_or(name),
    }
}
