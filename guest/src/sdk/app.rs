//! `app::`: what the script may know of the app that it belongs to.

use std::rc::Rc;

use rhai::ImmutableString;

use super::{Namespace, Registrar, Result, Shared};

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
}
