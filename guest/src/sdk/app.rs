//! `app::`: what the script may know of the app that it belongs to, and its
//! other handlers.

use std::rc::Rc;

use rhai::{Dynamic, ImmutableString, Map, NativeCallContext};

use super::{Namespace, Registrar, Result, Shared, test};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "app", doc: "The app that the script belongs to.", register };

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function("slug() -> string", "The app's name.", move || -> Result<ImmutableString> {
        Ok(ctx.invocation("app")?.app.as_str().into())
    });
    let ctx = Rc::clone(context);
    to.function("release() -> int", "The release's number.", move || -> Result<i64> {
        Ok(ctx.invocation("app")?.release.cast_signed())
    });
    let ctx = Rc::clone(context);
    to.function(
        "url(path) -> string",
        "The URL at which clients reach that path of the app.",
        move |path: ImmutableString| -> Result<String> {
            let origin = ctx.host("app")?.origin();
            let slash = if path.starts_with('/') { "" } else { "/" };
            Ok(format!("{origin}{slash}{path}"))
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "invoke(handler, payload) -> value",
        "Calls another handler of the app, `\"file.rhai#function\"` or `\"file.rhai\"` for its \
         `handle`, as a part of this invocation, and returns its value. Throws \
         `handler_not_found`, `too_deep`, and what the handler throws.",
        move |call: NativeCallContext<'_>,
              handler: ImmutableString,
              payload: Dynamic|
              -> Result<Dynamic> {
            ctx.handlers("app")?.invoke(&call, &handler, payload.flatten())
        },
    );
    register_request(to, context);
}

fn register_request(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "request(method, path) -> answer",
        "In tests: asks the app for a path with its query, or for a URL of its own, as a client \
         would, and returns the answer as `http` has it. Redirects are not followed.",
        move |method: ImmutableString, path: ImmutableString| {
            test::request(&ctx, &method, &path, None, Map::new())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "request(method, path, body) -> answer",
        "Sends a string as text, a blob as bytes, and any other value as JSON.",
        move |method: ImmutableString, path: ImmutableString, body: Dynamic| {
            test::request(&ctx, &method, &path, Some(body), Map::new())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "request(method, path, body, #{headers}) -> answer",
        "With headers; the body may be `()`.",
        move |method: ImmutableString, path: ImmutableString, body: Dynamic, options: Map| {
            test::request(&ctx, &method, &path, Some(body), options)
        },
    );
}
