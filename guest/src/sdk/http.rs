//! `http::`: requests to other servers.

use std::rc::Rc;

use rhai::{Blob, Dynamic, EvalAltResult, ImmutableString, Map};

use super::headers::Headers;
use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, json, throw, type_name};

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "http",
    doc: "Requests to the servers that `[egress]` in `picloud.toml` allows. They are made at once, \
          whatever becomes of the invocation.",
    register,
};

/// Redirects that are followed unless the script says otherwise.
const REDIRECTS: u32 = 5;

/// Why there is no answer. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    Denied(String),
    InvalidRequest(String),
    TooManyRequests(String),
    TimedOut(String),
    TooLarge(String),
    Failed(String),
}

/// What is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub timeout_ms: Option<u64>,
    pub redirects: u32,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The URL that answered.
    pub url: String,
}

/// The answer as scripts hold it.
#[derive(Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Headers,
    body: Rc<Vec<u8>>,
    url: ImmutableString,
}

impl Answer {
    pub(super) fn new(
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        url: String,
    ) -> Self {
        Self { status, headers: Headers::new(headers), body: Rc::new(body), url: url.into() }
    }
}

const OPTIONS: &[&str] = &["headers", "timeout_ms", "redirects"];
const REQUEST: &[&str] = &["method", "url", "headers", "body", "timeout_ms", "redirects"];

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "get(url) -> answer",
        "Asks for the URL and returns the answer, whatever its status. Throws `denied` if the host \
         is not allowed, `timed_out`, `too_large` or `failed` if there is no answer.",
        move |url: ImmutableString| send(&ctx, "GET", url.to_string(), None, Map::new()),
    );
    let ctx = Rc::clone(context);
    to.function(
        "get(url, #{headers, timeout_ms, redirects}) -> answer",
        "With headers, a limit in milliseconds, and a number of redirects to follow (5 if not said).",
        move |url: ImmutableString, options: Map| {
            send(&ctx, "GET", url.to_string(), None, options)
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "post(url, body) -> answer",
        "Sends a string as text, a blob as bytes, and any other value as JSON.",
        move |url: ImmutableString, body: Dynamic| {
            send(&ctx, "POST", url.to_string(), Some(body), Map::new())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "post(url, body, #{headers, timeout_ms, redirects}) -> answer",
        "With options as `get` has them.",
        move |url: ImmutableString, body: Dynamic, options: Map| {
            send(&ctx, "POST", url.to_string(), Some(body), options)
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "request(#{method, url, headers, body, timeout_ms, redirects}) -> answer",
        "Any other request.",
        move |request: Map| whole(&ctx, request),
    );
    register_answer(to);
}

fn register_answer(to: &mut Registrar<'_>) {
    to.value::<Answer>("http answer");
    to.property("status -> int", "The status: 200.", |a: &mut Answer| i64::from(a.status));
    to.property("ok -> bool", "Whether the status is from 200 to 299.", |a: &mut Answer| {
        (200..300).contains(&a.status)
    });
    to.property("headers -> headers", "The headers, by names in any case.", |a: &mut Answer| {
        a.headers.clone()
    });
    to.property("url -> string", "The URL that answered, after redirects.", |a: &mut Answer| {
        a.url.clone()
    });
    to.method(
        "text() -> string",
        "The body as text; throws `invalid_answer` if it is not UTF-8.",
        |a: &mut Answer| -> Result<ImmutableString> { Ok(text(a)?.into()) },
    );
    to.method(
        "json() -> value",
        "The body as JSON; throws `invalid_answer` if it is none.",
        |a: &mut Answer| json::parse("http", "invalid_answer", text(a)?.as_bytes()),
    );
    to.method("bytes() -> blob", "The body as it came.", |a: &mut Answer| -> Blob {
        a.body.as_ref().clone()
    });
}

fn text(answer: &Answer) -> Result<&str> {
    std::str::from_utf8(&answer.body)
        .map_err(|_| throw("http", "invalid_answer", "the answer's body is not UTF-8 text"))
}

/// A request that is all in one map.
fn whole(ctx: &Shared, request: Map) -> Result<Answer> {
    let mut request = Options::new("http", request, REQUEST)?;
    let method = request.string("method")?.unwrap_or_else(|| "GET".to_owned());
    let Some(url) = request.string("url")? else {
        return Err(throw("http", "invalid_request", "a request needs a url"));
    };
    let body = request.value("body");
    exchange(ctx, method, url, body, request)
}

fn send(
    ctx: &Shared,
    method: &str,
    url: String,
    body: Option<Dynamic>,
    options: Map,
) -> Result<Answer> {
    exchange(ctx, method.to_owned(), url, body, Options::new("http", options, OPTIONS)?)
}

fn exchange(
    ctx: &Shared,
    method: String,
    url: String,
    body: Option<Dynamic>,
    mut options: Options,
) -> Result<Answer> {
    let headers = options.map("headers")?;
    let (headers, body) = message("http", headers, body)?;
    let redirects = match options.integer("redirects")? {
        Some(number) => u32::try_from(number.clamp(0, i64::from(u32::MAX))).unwrap_or(0),
        None => REDIRECTS,
    };
    let timeout_ms = options.positive("timeout_ms")?;
    let request = Request { method, url, headers, body, timeout_ms, redirects };
    let Response { status, headers, body, url } = ctx.host("http")?.http(request)?;
    Ok(Answer::new(status, headers, body, url))
}

/// A message's header lines and its body.
type Message = (Vec<(String, String)>, Vec<u8>);

/// A message, for `service`. Its body says its type unless a header does.
pub(super) fn message(
    service: &'static str,
    headers: Option<Map>,
    body: Option<Dynamic>,
) -> Result<Message> {
    let mut headers = match headers {
        Some(headers) => lines(service, headers)?,
        None => Vec::new(),
    };
    let (content_type, body) = match body {
        Some(body) => encode(service, body)?,
        None => (None, Vec::new()),
    };
    if let Some(content_type) = content_type
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
    Ok((headers, body))
}

/// `#{accept: "text/html", tries: 3}` as header lines.
fn lines(service: &'static str, headers: Map) -> Result<Vec<(String, String)>> {
    let line = |(name, value): (rhai::Identifier, Dynamic)| {
        if value.is_string() || value.is_int() {
            return Ok((name.to_ascii_lowercase(), value.to_string()));
        }
        let message = format!("header \"{name}\" takes a string, not {}", type_name(&value));
        Err(throw(service, "invalid_request", message))
    };
    headers.into_iter().filter(|(_, value)| !value.is_unit()).map(line).collect()
}

/// A body with its content type.
fn encode(service: &'static str, body: Dynamic) -> Result<(Option<&'static str>, Vec<u8>)> {
    if body.is_unit() {
        return Ok((None, Vec::new()));
    }
    if let Ok(text) = body.as_immutable_string_ref() {
        return Ok((Some("text/plain; charset=utf-8"), text.as_bytes().to_vec()));
    }
    match body.try_cast_result::<Blob>() {
        Ok(blob) => Ok((Some("application/octet-stream"), blob)),
        Err(value) => Ok((Some("application/json"), json::to_text(service, &value)?.into_bytes())),
    }
}

/// What a script catches.
impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::Denied(message) => ("denied", message),
            Error::InvalidRequest(message) => ("invalid_request", message),
            Error::TooManyRequests(message) => ("too_many_requests", message),
            Error::TimedOut(message) => ("timed_out", message),
            Error::TooLarge(message) => ("too_large", message),
            Error::Failed(message) => ("failed", message),
        };
        throw("http", code, message)
    }
}
