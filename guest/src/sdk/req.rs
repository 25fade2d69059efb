//! `req`: the request, which decodes what a script asks for and nothing else.

mod multipart;

use std::rc::Rc;

use cookie::Cookie;
use rhai::{Array, Blob, Dynamic, EvalAltResult, ImmutableString, Map};

use super::headers::{self, Headers};
use super::{Namespace, Registrar, Result, Shared, json, throw};
use crate::model::Request;

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "req", doc: "The request: what a handler is called with.", register };

/// The request, as scripts hold it.
#[derive(Clone)]
pub(crate) struct Req {
    /// Without its headers.
    request: Rc<Request>,
    headers: Headers,
}

impl Req {
    pub(crate) fn new(mut request: Request) -> Self {
        let headers = Headers::new(std::mem::take(&mut request.headers));
        Self { request: Rc::new(request), headers }
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
                |req: &mut Req| -> ImmutableString { req.request.$field.as_str().into() },
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
        |req: &mut Req| to_map(req.request.params.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
    );
    to.property(
        "query -> map",
        "The query's parameters; of a name that occurs twice, the first.",
        |req: &mut Req| to_map(form_urlencoded::parse(req.request.query.as_bytes())),
    );
    to.property("cookies -> map", "The cookies.", |req: &mut Req| {
        let lines = req.headers.lines("cookie");
        to_map(
            lines
                .flat_map(Cookie::split_parse)
                .filter_map(std::result::Result::ok)
                .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())),
        )
    });
}

fn register_headers(to: &mut Registrar<'_>) {
    to.property(
        "headers -> headers",
        "The headers, by names in any case: `req.headers.accept`, `req.headers[\"user-agent\"]`.",
        |req: &mut Req| req.headers.clone(),
    );
    headers::register(to);
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
        "The fields of an HTML form, but for its files; of a name that occurs twice, the first. \
         Throws `invalid_body` if the body is no form, or not UTF-8.",
        |req: &mut Req| form(req),
    );
    to.method(
        "files() -> array",
        "The files of an HTML form (multipart/form-data), each as `#{name, filename, content_type, \
         bytes}`, where `name` is the field's; empty if the body is no such form. The file's name \
         is the client's word. Throws `invalid_body` if the form is broken.",
        |req: &mut Req| files(req),
    );
    to.method("bytes() -> blob", "The body as it came.", |req: &mut Req| -> Blob {
        req.request.body.clone()
    });
}

fn form(req: &Req) -> Result<Map> {
    let Some(parts) = multipart::parts(req) else {
        return Ok(to_map(form_urlencoded::parse(text(req)?.as_bytes())));
    };
    let texts = parts?.into_iter().filter(|part| part.filename.is_none()).map(|part| {
        let text = String::from_utf8(part.bytes).map_err(|_| not_text())?;
        Ok((part.name, text))
    });
    Ok(to_map(texts.collect::<Result<Vec<_>>>()?.into_iter()))
}

fn files(req: &Req) -> Result<Array> {
    let Some(parts) = multipart::parts(req) else { return Ok(Array::new()) };
    let file = |part: multipart::Part| {
        // A field in which no file was chosen is sent as a file without a name.
        let filename = part.filename.filter(|name| !name.is_empty())?;
        let content_type = part.content_type.unwrap_or("application/octet-stream".to_owned());
        let file = Map::from([
            ("name".into(), part.name.into()),
            ("filename".into(), filename.into()),
            ("content_type".into(), content_type.into()),
            ("bytes".into(), Dynamic::from_blob(part.bytes)),
        ]);
        Some(file.into())
    };
    Ok(parts?.into_iter().filter_map(file).collect())
}

fn text(req: &Req) -> Result<&str> {
    std::str::from_utf8(&req.request.body).map_err(|_| not_text())
}

fn not_text() -> Box<EvalAltResult> {
    throw("req", "invalid_body", "the request's body is not UTF-8 text")
}

/// Of a name that occurs twice, the first stays.
pub(super) fn to_map<K: AsRef<str>, V: Into<String>>(pairs: impl Iterator<Item = (K, V)>) -> Map {
    let mut map = Map::new();
    for (key, value) in pairs {
        map.entry(key.as_ref().into()).or_insert_with(|| value.into().into());
    }
    map
}
