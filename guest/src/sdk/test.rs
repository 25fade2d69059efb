//! `test::`, `assert` and `app::request`: what tests have beyond handlers.

mod assert;

use std::rc::Rc;

use rhai::{Array, Dynamic, EvalAltResult, ImmutableString, Map};

use super::headers::Headers;
use super::http::{self, Answer};
use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, json, throw};
use crate::model::Response;

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "test",
    doc: "What tests have beyond handlers. Files under `tests/` are run by `picloud test`, each \
          function `test_…` on an app without data; elsewhere, all but `assert…` throws \
          `not_available`.",
    register,
};

/// What the caller did wrong, or what went wrong. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    NotAvailable(String),
    InvalidRequest(String),
    Failed(String),
}

/// A client's request to the app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query, or a whole URL of the app.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How other servers are to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stub {
    /// `None` for any.
    pub method: Option<String>,
    /// `*` in it stands for any text.
    pub url: String,
    pub response: Response,
}

/// A delivery of an event that has failed for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// `kv.set`, for example.
    pub event: String,
    /// The event's fields, a JSON object.
    pub fields: String,
    pub handler: String,
    pub attempts: u32,
    /// Why the last one failed.
    pub message: String,
}

const STUB: &[&str] = &["method", "url", "status", "headers", "body"];

fn register(to: &mut Registrar<'_>, context: &Shared) {
    assert::register(to);
    register_time(to, context);
    let ctx = Rc::clone(context);
    to.function(
        "stub(#{method, url, status, headers, body})",
        "Has requests to other servers answered: those to `url`, in which `*` stands for any text, \
         with status 200 if it does not say, and a body as `response` has it. The newest stub that \
         fits answers; a request that none fits fails, and so does one to a host that `[egress]` \
         does not allow.",
        move |stub: Map| -> Result<()> {
            let stub = read_stub(stub)?;
            ctx.host("test")?.test_add_stub(stub).map_err(of("test"))
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "requests() -> array",
        "What the app has sent to other servers since the test began, each as `#{method, url, \
         headers, body}`; the body is a string, or a blob if it is no text.",
        move || -> Result<Array> {
            let requests = ctx.host("test")?.test_outbound_requests().map_err(of("test"))?;
            Ok(requests.into_iter().map(described).collect())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "secret(name, value)",
        "Gives the app a secret, as `picloud secrets set` does.",
        move |name: ImmutableString, value: ImmutableString| -> Result<()> {
            ctx.host("test")?.test_set_secret(&name, &value).map_err(of("test"))
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "dead_letters() -> array",
        "The deliveries of events that have failed for good, each as `#{event, fields, handler, \
         attempts, message}`.",
        move || -> Result<Array> {
            let letters = ctx.host("test")?.test_dead_letters().map_err(of("test"))?;
            letters.into_iter().map(letter).collect()
        },
    );
}

fn letter(letter: DeadLetter) -> Result<Dynamic> {
    let DeadLetter { event, fields, handler, attempts, message } = letter;
    let fields = json::parse("test", "invalid_event", fields.as_bytes())?;
    Ok(Map::from([
        ("event".into(), event.into()),
        ("fields".into(), fields),
        ("handler".into(), handler.into()),
        ("attempts".into(), i64::from(attempts).into()),
        ("message".into(), message.into()),
    ])
    .into())
}

fn register_time(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "set_time(ms)",
        "Sets the clock that the app goes by, in Unix milliseconds. It stands still unless it is \
         moved; each test begins on 2026-01-01 at midnight UTC.",
        move |ms: i64| set_time(&ctx, Some(ms)),
    );
    let ctx = Rc::clone(context);
    to.function(
        "advance(seconds)",
        "Moves the clock forward; entries whose time has come are gone then, and on the way \
         schedules are fired, messages handled and failed handlers called again as they fall due.",
        move |seconds: i64| {
            let now_ms = ctx.invocation("test")?.now_ms.cast_signed();
            set_time(&ctx, seconds.checked_mul(1_000).and_then(|ms| now_ms.checked_add(ms)))
        },
    );
}

fn set_time(context: &Shared, ms: Option<i64>) -> Result<()> {
    // What is later cannot be told in a date either.
    const LAST_MS: u64 = 253_402_300_799_999;
    match ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms <= LAST_MS) {
        Some(now_ms) => {
            context.host("test")?.test_set_time(now_ms).map_err(of("test"))?;
            context.set_time(now_ms);
            Ok(())
        }
        None => Err(throw("test", "invalid_time", "the clock goes from 1970 to the year 9999")),
    }
}

fn read_stub(stub: Map) -> Result<Stub> {
    let mut stub = Options::new("test", stub, STUB)?;
    let method = stub.string("method")?.map(|method| method.to_ascii_uppercase());
    let Some(url) = stub.string("url")? else {
        return Err(throw("test", "invalid_request", "a stub needs a url"));
    };
    let status = stub.natural("status")?.unwrap_or(200);
    let Some(status) = u16::try_from(status).ok().filter(|status| (200..=599).contains(status))
    else {
        return Err(throw("test", "invalid_option", "a status is from 200 to 599"));
    };
    let headers = stub.map("headers")?;
    let (headers, body) = http::message("test", headers, stub.value("body"))?;
    Ok(Stub { method, url, response: Response { status, headers, body } })
}

fn described(request: http::Request) -> Dynamic {
    let http::Request { method, url, headers, body, .. } = request;
    let body = match String::from_utf8(body) {
        Ok(text) => text.into(),
        Err(error) => Dynamic::from_blob(error.into_bytes()),
    };
    Map::from([
        ("method".into(), method.into()),
        ("url".into(), url.into()),
        ("headers".into(), Headers::new(headers).to_map().into()),
        ("body".into(), body),
    ])
    .into()
}

/// `app::request`.
pub(super) fn request(
    context: &Shared,
    method: &str,
    path: &str,
    body: Option<Dynamic>,
    options: Map,
) -> Result<Answer> {
    let headers = Options::new("app", options, &["headers"])?.map("headers")?;
    let (headers, body) = http::message("app", headers, body)?;
    let (method, path) = (method.to_ascii_uppercase(), path.to_owned());
    let request = Request { method, path: path.clone(), headers, body };
    let Response { status, headers, body } =
        context.host("app")?.test_send(request).map_err(of("app"))?;
    Ok(Answer::new(status, headers, body, path))
}

/// What a script catches, of a function of `service`.
fn of(service: &'static str) -> impl Fn(Error) -> Box<EvalAltResult> {
    move |error| {
        let (code, message) = match error {
            Error::NotAvailable(message) => ("not_available", message),
            Error::InvalidRequest(message) => ("invalid_request", message),
            Error::Failed(message) => ("failed", message),
        };
        throw(service, code, message)
    }
}
