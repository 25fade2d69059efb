//! `req`: the request, which decodes what a script asks for and nothing else.

use std::rc::Rc;

use cookie::Cookie;
use rhai::{Blob, Dynamic, ImmutableString, Map};

use super::{Namespace, Registrar, Result, Shared, json, throw};
use crate::model::Request;

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "req", doc: "The request: what a handler is called with.", register };

/// The request, as scripts hold it.
#[derive(Clone)]
pub(crate) struct Req(Rc<Request>);

/// `req.headers`: names in any case.
#[derive(Clone)]
pub(crate) struct Headers(Rc<Request>);

impl Req {
    pub(crate) fn new(request: Request) -> Self {
        Self(Rc::new(request))
    }
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    to.value::<Req>("request");
    register_fields(to);
    register_headers(to);
    register_body(to);
    let ctx = Rc::clone(context);
    to.property(
        "id -> string",
        "The execution's id.",
        move |_: &mut Req| -> Result<ImmutableString> {
            Ok(ctx.invocation("req")?.id.as_str().into())
        },
    );
}

fn register_fields(to: &mut Registrar<'_>) {
    macro_rules! text {
        ($field:ident, $doc:literal) => {
            to.property(
                concat!(stringify!($field), " -> string"),
                $doc,
                |req: &mut Req| -> ImmutableString { req.0.$field.as_str().into() },
            );
        };
    }
    text!(method, "The method, in upper case.");
    text!(path, "The path, as the client sent it.");
    text!(host, "The host that was asked.");
    text!(ip, "The client's address.");
    text!(url, "What was asked for: scheme, host, path and query.");
    to.property(
        "params -> map",
        "The route's parameters: `req.params.id` for `/posts/[id]`.",
        |req: &mut Req| to_map(req.0.params.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
    );
    to.property(
        "query -> map",
        "The query's parameters; of a name that occurs twice, the first.",
        |req: &mut Req| to_map(form_urlencoded::parse(req.0.query.as_bytes())),
    );
    to.property("cookies -> map", "The cookies.", |req: &mut Req| {
        let lines = req.0.headers.iter().filter(|(name, _)| name == "cookie");
        to_map(
            lines
                .flat_map(|(_, line)| Cookie::split_parse(line.as_str()))
                .filter_map(std::result::Result::ok)
                .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())),
        )
    });
}

fn register_headers(to: &mut Registrar<'_>) {
    to.value::<Headers>("headers")
        .register_indexer_get(|headers: &mut Headers, name: &str| headers.get(name));
    to.property(
        "headers -> headers",
        "The headers, by names in any case: `req.headers.accept`, `req.headers[\"user-agent\"]`.",
        |req: &mut Req| Headers(Rc::clone(&req.0)),
    );
    to.method(
        "to_map() -> map",
        "All headers, by names in lower case.",
        |headers: &mut Headers| headers.to_map(),
    );
}

fn register_body(to: &mut Registrar<'_>) {
    to.method(
        "text() -> string",
        "The body as text; throws `invalid_body` if it is not UTF-8.",
        |req: &mut Req| -> Result<ImmutableString> { Ok(text(req)?.into()) },
    );
    to.method(
        "json() -> value",
        "The body as JSON; throws `invalid_body` if it is none.",
        |req: &mut Req| json::parse("req", "invalid_body", text(req)?.as_bytes()),
    );
    to.method(
        "form() -> map",
        "The fields of an HTML form (application/x-www-form-urlencoded); throws `invalid_body` if \
         the body is not UTF-8.",
        |req: &mut Req| -> Result<Map> {
            Ok(to_map(form_urlencoded::parse(text(req)?.as_bytes())))
        },
    );
    to.method("bytes() -> blob", "The body as it came.", |req: &mut Req| -> Blob {
        req.0.body.clone()
    });
}

fn text(req: &Req) -> Result<&str> {
    std::str::from_utf8(&req.0.body)
        .map_err(|_| throw("req", "invalid_body", "the request's body is not UTF-8 text"))
}

impl Headers {
    /// Lines of the same name are one value, as RFC 9110 joins them.
    fn get(&self, name: &str) -> Dynamic {
        let mut value: Option<String> = None;
        for (other, line) in &self.0.headers {
            if other.eq_ignore_ascii_case(name) {
                match &mut value {
                    Some(value) => {
                        value.push_str(separator(other));
                        value.push_str(line);
                    }
                    None => value = Some(line.clone()),
                }
            }
        }
        value.map_or(Dynamic::UNIT, Into::into)
    }

    pub(crate) fn to_map(&self) -> Map {
        self.0.headers.iter().map(|(name, _)| (name.as_str().into(), self.get(name))).collect()
    }
}

fn separator(name: &str) -> &'static str {
    if name == "cookie" { "; " } else { ", " }
}

/// Of a name that occurs twice, the first stays.
fn to_map<K: AsRef<str>, V: Into<String>>(pairs: impl Iterator<Item = (K, V)>) -> Map {
    let mut map = Map::new();
    for (key, value) in pairs {
        map.entry(key.as_ref().into()).or_insert_with(|| value.into().into());
    }
    map
}
