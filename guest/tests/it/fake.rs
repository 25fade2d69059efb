//! A host in memory, and the few lines that a test needs to run a script on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use picloud_guest::Script;
use picloud_guest::model::{
    Event, Invocation, NamedEvent, Program, Request, Response, ScriptError, ScriptInfo,
};
use picloud_guest::sdk::kv::{Error, Page};
use picloud_guest::sdk::{Host, crypto, events, files, http, log::Level, queue, secrets, test};

/// What the host has been told, shared with the test.
#[derive(Clone, Default)]
pub struct World(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    entries: BTreeMap<(String, String), (String, Option<u64>)>,
    files: BTreeMap<(String, String), (Vec<u8>, String)>,
    requests: Vec<http::Request>,
    log: Vec<String>,
    calls: u32,
}

impl World {
    pub fn put(&self, collection: &str, key: &str, json: &str) {
        let entry = (json.to_owned(), None);
        self.0.borrow_mut().entries.insert((collection.into(), key.into()), entry);
    }

    /// The entry's JSON and its ttl.
    pub fn entry(&self, collection: &str, key: &str) -> Option<(String, Option<u64>)> {
        self.0.borrow().entries.get(&(collection.into(), key.into())).cloned()
    }

    /// Each line as `level message fields`.
    pub fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// What was sent to other servers.
    pub fn requests(&self) -> Vec<http::Request> {
        self.0.borrow().requests.clone()
    }

    pub fn calls(&self) -> u32 {
        self.0.borrow().calls
    }
}

fn check(collection: &str, key: &str) -> Result<(), Error> {
    if collection.is_empty() || collection.contains('/') {
        return Err(Error::InvalidCollection(format!("no collection {collection:?}")));
    }
    if key.is_empty() {
        return Err(Error::InvalidKey("a key has at least one byte".into()));
    }
    Ok(())
}

/// Errors as the texts of their kinds, so that a case can ask for each.
macro_rules! error {
    ($type:ty, $asked:expr, $($text:literal => $variant:ident),*) => {
        match $asked {
            $($text => Some(<$type>::$variant(format!("{} it is", $text))),)*
            _ => None,
        }
    };
}

fn file(path: &str, (contents, content_type): &(Vec<u8>, String)) -> files::Info {
    files::Info {
        path: path.to_owned(),
        bytes: contents.len() as u64,
        content_type: content_type.clone(),
        etag: "\"e\"".into(),
        modified_ms: 5,
    }
}

fn check_file(bucket: &str, path: &str) -> Result<(), files::Error> {
    let invalid = error!(files::Error, bucket, "bad bucket" => InvalidBucket);
    let error = invalid.or(error!(files::Error, path, "bad path" => InvalidPath,
        "bad type" => InvalidContentType, "large" => TooLarge, "quota" => QuotaExceeded));
    error.map_or(Ok(()), Err)
}

impl Host for World {
    fn config_get(&self, name: &str) -> Option<String> {
        (name == "GREETING").then(|| "{\"text\":\"hello\"}".to_owned())
    }

    fn publish(&self, topic: &str, payload: &str) -> Result<(), events::Error> {
        let error = error!(events::Error, topic, "bad topic" => InvalidTopic,
            "bad value" => InvalidValue, "large" => ValueTooLarge);
        self.0.borrow_mut().log.push(format!("published {topic} {payload}"));
        error.map_or(Ok(()), Err)
    }

    fn queue_send(
        &self,
        queue: &str,
        payload: &str,
        delay_s: Option<u64>,
        key: Option<&str>,
    ) -> Result<(), queue::Error> {
        let error = error!(queue::Error, queue, "bad name" => InvalidName,
            "bad key" => InvalidKey, "bad value" => InvalidValue, "large" => ValueTooLarge,
            "late" => InvalidDelay, "nobody" => NoConsumer);
        let line = format!("sent {queue} {payload} {delay_s:?} {key:?}");
        self.0.borrow_mut().log.push(line);
        error.map_or(Ok(()), Err)
    }

    fn secret(&self, name: &str) -> Result<Option<String>, secrets::Error> {
        match error!(secrets::Error, name, "bad name" => InvalidName) {
            Some(error) => Err(error),
            None => Ok((name == "KEY").then(|| "k-123".to_owned())),
        }
    }

    fn http(&self, request: http::Request) -> Result<http::Response, http::Error> {
        let host = request.url.rsplit('/').next().unwrap_or("");
        if let Some(error) = error!(http::Error, host, "denied" => Denied,
            "invalid" => InvalidRequest, "many" => TooManyRequests, "late" => TimedOut,
            "large" => TooLarge, "failed" => Failed)
        {
            return Err(error);
        }
        self.0.borrow_mut().requests.push(request.clone());
        let body = match host {
            "latin" => vec![0xe9],
            "text" => b"plain".to_vec(),
            _ => b"{\"a\":[1]}".to_vec(),
        };
        let headers = vec![("x-tag".into(), "1".into()), ("x-tag".into(), "2".into())];
        Ok(http::Response { status: 201, headers, body, url: request.url })
    }

    fn file_put(
        &self,
        bucket: &str,
        path: &str,
        contents: &[u8],
        content_type: Option<&str>,
    ) -> Result<files::Info, files::Error> {
        check_file(bucket, path)?;
        let stored = (contents.to_vec(), content_type.unwrap_or("text/plain").to_owned());
        let info = file(path, &stored);
        self.0.borrow_mut().files.insert((bucket.into(), path.into()), stored);
        Ok(info)
    }

    fn file_get(&self, bucket: &str, path: &str) -> Result<Option<Vec<u8>>, files::Error> {
        check_file(bucket, path)?;
        let id = (bucket.to_owned(), path.to_owned());
        Ok(self.0.borrow().files.get(&id).map(|(contents, _)| contents.clone()))
    }

    fn file_info(&self, bucket: &str, path: &str) -> Result<Option<files::Info>, files::Error> {
        check_file(bucket, path)?;
        let id = (bucket.to_owned(), path.to_owned());
        Ok(self.0.borrow().files.get(&id).map(|stored| file(path, stored)))
    }

    fn file_list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<files::Page, files::Error> {
        check_file(bucket, "any")?;
        let state = self.0.borrow();
        let mut listed = state
            .files
            .iter()
            .filter(|((b, path), _)| b == bucket && path.starts_with(prefix))
            .filter(|((_, path), _)| after.is_none_or(|after| path.as_str() > after))
            .map(|((_, path), stored)| file(path, stored));
        let files: Vec<_> = listed.by_ref().take(limit as usize).collect();
        let more = listed.next().is_some();
        let next = files.last().filter(|_| more).map(|file| file.path.clone());
        Ok(files::Page { files, next })
    }

    fn file_delete(&self, bucket: &str, path: &str) -> Result<bool, files::Error> {
        check_file(bucket, path)?;
        Ok(self.0.borrow_mut().files.remove(&(bucket.to_owned(), path.to_owned())).is_some())
    }

    fn file_url(
        &self,
        bucket: &str,
        path: &str,
        ttl_s: Option<u64>,
    ) -> Result<String, files::Error> {
        check_file(bucket, path)?;
        Ok(format!("https://guestbook.example/{bucket}/{path}?ttl={ttl_s:?}"))
    }

    fn password_hash(&self, password: &str) -> Result<String, crypto::Error> {
        match error!(crypto::Error, password, "" => InvalidPassword) {
            Some(error) => Err(error),
            None => Ok(format!("hash of {password}")),
        }
    }

    fn password_verify(&self, password: &str, hash: &str) -> Result<bool, crypto::Error> {
        match error!(crypto::Error, hash, "none" => InvalidHash) {
            Some(error) => Err(error),
            None => Ok(hash == format!("hash of {password}")),
        }
    }

    fn origin(&self) -> String {
        "https://guestbook.example".to_owned()
    }

    fn kv_get(&self, collection: &str, key: &str) -> Result<Option<String>, Error> {
        self.0.borrow_mut().calls += 1;
        check(collection, key)?;
        Ok(self.entry(collection, key).map(|(json, _)| json))
    }

    fn kv_set(
        &self,
        collection: &str,
        key: &str,
        json: &str,
        ttl: Option<u64>,
    ) -> Result<(), Error> {
        self.0.borrow_mut().calls += 1;
        check(collection, key)?;
        match key {
            "large" => return Err(Error::ValueTooLarge("over 64 KiB".into())),
            "quota" => return Err(Error::QuotaExceeded("used up".into())),
            "nul" => return Err(Error::InvalidValue("a NUL".into())),
            _ => {}
        }
        let entry = (json.to_owned(), ttl);
        self.0.borrow_mut().entries.insert((collection.into(), key.into()), entry);
        Ok(())
    }

    fn kv_delete(&self, collection: &str, key: &str) -> Result<bool, Error> {
        self.0.borrow_mut().calls += 1;
        check(collection, key)?;
        Ok(self.0.borrow_mut().entries.remove(&(collection.into(), key.into())).is_some())
    }

    fn kv_list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, Error> {
        self.0.borrow_mut().calls += 1;
        check(collection, "any")?;
        let state = self.0.borrow();
        let mut entries: Vec<_> = state
            .entries
            .iter()
            .filter(|((c, key), _)| c == collection && key.starts_with(prefix))
            .filter(|((_, key), _)| after.is_none_or(|after| key.as_str() > after))
            .map(|((_, key), (json, _))| (key.clone(), json.clone()))
            .collect();
        let limit = usize::try_from(limit).unwrap();
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = if more { entries.last().map(|(key, _)| key.clone()) } else { None };
        Ok(Page { entries, next })
    }

    fn kv_count(&self, collection: &str) -> Result<u64, Error> {
        check(collection, "any")?;
        Ok(self.0.borrow().entries.keys().filter(|(c, _)| c == collection).count() as u64)
    }

    fn kv_clear(&self, collection: &str) -> Result<(), Error> {
        check(collection, "any")?;
        self.0.borrow_mut().entries.retain(|(c, _), _| c != collection);
        Ok(())
    }

    fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let level = format!("{level:?}").to_lowercase();
        let line = format!("{level} {message} {}", fields.unwrap_or(""));
        self.0.borrow_mut().log.push(line.trim_end().to_owned());
    }

    /// The body says what arrived.
    fn test_send(&self, request: test::Request) -> Result<Response, test::Error> {
        let test::Request { method, path, headers, body } = request;
        check_test(&path)?;
        let body = format!("{method} {path} {} {headers:?}", String::from_utf8_lossy(&body));
        let headers = vec![("etag".into(), "1".into())];
        Ok(Response { status: 200, headers, body: body.into_bytes() })
    }

    fn test_set_time(&self, _: u64) -> Result<(), test::Error> {
        Ok(())
    }

    fn test_add_stub(&self, stub: test::Stub) -> Result<(), test::Error> {
        check_test(&stub.url)?;
        let line = format!("{:?} {} {:?}", stub.method, stub.url, stub.response);
        self.0.borrow_mut().log.push(line);
        Ok(())
    }

    fn test_outbound_requests(&self) -> Result<Vec<http::Request>, test::Error> {
        Ok(self.requests())
    }

    fn test_dead_letters(&self) -> Result<Vec<test::DeadLetter>, test::Error> {
        Ok(vec![test::DeadLetter {
            event: "kv.set".into(),
            fields: "{\"key\":\"k\"}".into(),
            handler: "h.rhai".into(),
            attempts: 8,
            message: "broken".into(),
        }])
    }

    fn test_set_secret(&self, name: &str, value: &str) -> Result<(), test::Error> {
        check_test(name)?;
        self.0.borrow_mut().log.push(format!("{name}={value}"));
        Ok(())
    }
}

fn check_test(name: &str) -> Result<(), test::Error> {
    let error = error!(test::Error, name, "/no-test" => NotAvailable,
        "invalid" => InvalidRequest, "/failed" => Failed);
    error.map_or(Ok(()), Err)
}

/// A program of `main.rhai` and further files.
pub fn program(main: &str, files: &[(&str, &str)]) -> Program {
    let others = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let files = std::iter::once(("main.rhai".to_owned(), main.to_owned())).chain(others).collect();
    Program { entry: "main.rhai".into(), files }
}

/// Compiles a program, which must have no mistakes.
pub fn compile(world: &World, main: &str, files: &[(&str, &str)]) -> (Script, ScriptInfo) {
    match Script::compile(Box::new(world.clone()), program(main, files)) {
        Ok(compiled) => compiled,
        Err(errors) => panic!("{errors:?}\n{main}"),
    }
}

/// The mistakes of a program, which must have some.
pub fn mistakes(main: &str, files: &[(&str, &str)]) -> Vec<ScriptError> {
    match Script::compile(Box::new(World::default()), program(main, files)) {
        Ok(_) => panic!("no mistake was found in\n{main}"),
        Err(errors) => errors,
    }
}

pub fn invocation() -> Invocation {
    Invocation {
        id: "execution-1".into(),
        app: "guestbook".into(),
        release: 7,
        now_ms: 1_700_000_000_123,
        seed: [1, 2, 3, 4],
        function: None,
    }
}

/// A request for `/` by that method.
pub fn request(method: &str) -> Request {
    Request {
        method: method.into(),
        url: "https://guestbook.example/a%20b?name=Ann&name=Bob&x=1%2B1".into(),
        path: "/a%20b".into(),
        query: "name=Ann&name=Bob&x=1%2B1".into(),
        params: vec![("id".into(), "ä b".into())],
        headers: vec![
            ("accept".into(), "text/html".into()),
            ("user-agent".into(), "test".into()),
            ("accept".into(), "*/*".into()),
            ("cookie".into(), "a=1; b=two".into()),
        ],
        host: "guestbook.example".into(),
        ip: "192.0.2.1".into(),
        body: b"{\"a\": [1, 2.0, null]}".to_vec(),
    }
}

pub fn named(service: &str, name: &str, fields: &str) -> Event {
    Event::Named(NamedEvent { service: service.into(), name: name.into(), fields: fields.into() })
}

/// Answers one request with a program.
pub fn send(
    world: &World,
    main: &str,
    files: &[(&str, &str)],
    request: Request,
) -> Result<Response, ScriptError> {
    compile(world, main, files).0.handle(invocation(), Event::Http(request))
}

/// The body of the answer to a GET, as text.
pub fn get(main: &str) -> String {
    get_with(&World::default(), main)
}

pub fn get_with(world: &World, main: &str) -> String {
    match send(world, main, &[], request("GET")) {
        Ok(response) => String::from_utf8(response.body).unwrap(),
        Err(error) => panic!("{error:?}\n{main}"),
    }
}

/// What the script throws when it gets a request.
pub fn thrown(main: &str) -> ScriptError {
    match send(&World::default(), main, &[], request("GET")) {
        Ok(response) => panic!("it answered {response:?}\n{main}"),
        Err(error) => error,
    }
}

/// The `code` of what the expression throws, and who threw it.
pub fn code(expression: &str) -> String {
    get(&format!(
        "try {{ {expression}; }} catch (e) {{ return `${{e.service}} ${{e.code}}`; }} \"nothing thrown\""
    ))
}
