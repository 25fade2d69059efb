//! `response::`: answers that a plain value cannot give.

use std::cell::RefCell;
use std::rc::Rc;

use cookie::{Cookie, SameSite, time::Duration};
use rhai::{Blob, Dynamic, ImmutableString, Map};

use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, json, throw};
use crate::model;

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "response", doc: "Answers with a status, headers and cookies.", register };

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// An answer being built. Copies are the same answer: a method changes it and
/// returns it, so both `return r.status(404)` and `r.status(404); r` do.
#[derive(Clone)]
pub(crate) struct Response(Rc<RefCell<Answer>>);

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

enum Body {
    Text(ImmutableString),
    Bytes(Vec<u8>),
}

impl Response {
    fn new(status: u16, content_type: Option<&str>, body: Body) -> Self {
        let headers = content_type
            .map(|value| ("content-type".to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        Self(Rc::new(RefCell::new(Answer { status, headers, body })))
    }

    pub(crate) fn text(text: ImmutableString) -> Self {
        Self::new(200, Some(TEXT), Body::Text(text))
    }

    pub(crate) fn bytes(bytes: Blob) -> Self {
        Self::new(200, Some(BYTES), Body::Bytes(bytes))
    }

    pub(crate) fn json(value: &Dynamic) -> Result<Self> {
        let text = json::to_text("response", value)?;
        Ok(Self::new(200, Some(JSON), Body::Text(text.into())))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, None, Body::Bytes(Vec::new()))
    }

    /// Sets the header of that name, or adds it if it may occur more than once.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        {
            let headers = &mut self.0.borrow_mut().headers;
            if name != "set-cookie" {
                headers.retain(|(other, _)| other != name);
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        self.0.borrow_mut().status = status;
        self
    }

    pub(crate) fn finish(self) -> model::Response {
        let answer = match Rc::try_unwrap(self.0) {
            Ok(answer) => answer.into_inner(),
            Err(shared) => {
                let answer = &mut *shared.borrow_mut();
                Answer {
                    status: answer.status,
                    headers: std::mem::take(&mut answer.headers),
                    body: std::mem::replace(&mut answer.body, Body::Bytes(Vec::new())),
                }
            }
        };
        let body = match answer.body {
            Body::Text(text) => text.into_owned().into_bytes(),
            Body::Bytes(bytes) => bytes,
        };
        model::Response { status: answer.status, headers: answer.headers, body }
    }
}

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.value::<Response>("response");
    to.function("html(text) -> response", "A page of HTML.", |text: ImmutableString| {
        Response::new(200, Some(HTML), Body::Text(text))
    });
    to.function("text(text) -> response", "Plain text.", Response::text);
    to.function("json(value) -> response", "The value as JSON.", |value: Dynamic| {
        Response::json(&value)
    });
    to.function("bytes(blob) -> response", "Bytes, as application/octet-stream.", Response::bytes);
    to.function("status(code) -> response", "An answer without a body.", |code: i64| {
        Ok::<_, Box<rhai::EvalAltResult>>(Response::empty(status(code)?))
    });
    to.function(
        "redirect(url) -> response",
        "Sends the client there with a GET (303 See Other); use `.status(308)` for good.",
        |url: ImmutableString| {
            check_header("location", &url)?;
            Ok::<_, Box<rhai::EvalAltResult>>(Response::empty(303).header("location", &url))
        },
    );
    to.method(
        "header(name, value) -> response",
        "Sets a header; `set-cookie` is added to those there are. Throws `invalid_header` for what \
         cannot be one.",
        |r: &mut Response, name: ImmutableString, value: ImmutableString| {
            check_header(&name, &value)?;
            Ok::<_, Box<rhai::EvalAltResult>>(r.clone().header(&name.to_ascii_lowercase(), &value))
        },
    );
    to.method(
        "status(code) -> response",
        "Sets the status, from 200 to 599.",
        |r: &mut Response, code: i64| {
            Ok::<_, Box<rhai::EvalAltResult>>(r.clone().with_status(status(code)?))
        },
    );
    to.method(
        "cookie(name, value) -> response",
        "Sets a cookie: HttpOnly, SameSite=Lax, Path=/, gone when the browser closes.",
        |r: &mut Response, name: ImmutableString, value: ImmutableString| {
            cookie(r, &name, &value, Map::new())
        },
    );
    to.method(
        "cookie(name, value, #{max_age, expires, path, http_only, secure, same_site}) -> response",
        "Sets a cookie. `max_age` in seconds, 0 to delete it; `expires` in Unix milliseconds; \
         `same_site` is \"strict\", \"lax\" or \"none\".",
        |r: &mut Response, name: ImmutableString, value: ImmutableString, options: Map| {
            cookie(r, &name, &value, options)
        },
    );
}

fn status(code: i64) -> Result<u16> {
    match u16::try_from(code) {
        Ok(status @ 200..=599) => Ok(status),
        _ => Err(throw(
            "response",
            "invalid_status",
            format!("a status is from 200 to 599, not {code}"),
        )),
    }
}

/// A header's name is a token of RFC 9110, its value has no control characters.
fn check_header(name: &str, value: &str) -> Result<()> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        let message = format!("{name:?} cannot be a header's name");
        return Err(throw("response", "invalid_header", message));
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let message =
            format!("the value of header \"{name}\" has a line break or control character");
        return Err(throw("response", "invalid_header", message));
    }
    Ok(())
}

const COOKIE_OPTIONS: &[&str] = &["max_age", "expires", "path", "http_only", "secure", "same_site"];

fn cookie(r: &Response, name: &str, value: &str, options: Map) -> Result<Response> {
    let invalid = |message: String| throw("response", "invalid_cookie", message);
    if options.contains_key("domain") {
        // A cookie for a parent domain would reach other apps.
        return Err(invalid("a cookie belongs to the app's own host: it takes no domain".into()));
    }
    let mut options = Options::new("response", options, COOKIE_OPTIONS)?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(invalid(format!("{name:?} cannot be a cookie's name")));
    }
    let is_value =
        |b: u8| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    if !value.bytes().all(is_value) {
        let message = format!(
            "the value of cookie \"{name}\" has a space, quote, comma, semicolon, backslash or a \
             character beyond ASCII; encode it first"
        );
        return Err(invalid(message));
    }
    let path = options.string("path")?.unwrap_or_else(|| "/".to_owned());
    if !path.starts_with('/') || path.chars().any(|c| c == ';' || c.is_control()) {
        return Err(invalid(format!("{path:?} cannot be a cookie's path")));
    }
    let mut cookie = Cookie::build((name, value))
        .path(path)
        .http_only(options.boolean("http_only")?.unwrap_or(true));
    let mut secure = options.boolean("secure")?;
    cookie = match options.string("same_site")?.as_deref() {
        None | Some("lax") => cookie.same_site(SameSite::Lax),
        Some("strict") => cookie.same_site(SameSite::Strict),
        Some("none") => {
            // Browsers drop a cookie with SameSite=None that is not Secure.
            secure = secure.or(Some(true));
            cookie.same_site(SameSite::None)
        }
        Some(other) => {
            return Err(invalid(format!(
                "option \"same_site\" takes \"strict\", \"lax\" or \"none\", not \"{other}\""
            )));
        }
    };
    if let Some(secure) = secure {
        cookie = cookie.secure(secure);
    }
    if let Some(seconds) = options.integer("max_age")? {
        cookie = cookie.max_age(Duration::seconds(seconds.max(0)));
    }
    if let Some(ms) = options.integer("expires")? {
        let time = cookie::time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000))
            .map_err(|_| invalid(format!("{ms} ms is not a time that a cookie can expire at")))?;
        cookie = cookie.expires(time);
    }
    Ok(r.clone().header("set-cookie", &cookie.to_string()))
}
