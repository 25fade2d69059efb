//! `config::`: the settings of the manifest's `[config]`.

use std::rc::Rc;

use rhai::{Dynamic, ImmutableString};

use super::{Namespace, Registrar, Result, Shared, json};

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "config",
    doc: "The settings under `[config]` in `picloud.toml`. None of them is secret.",
    register,
};

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "get(name) -> value",
        "The setting of that name; `()` if there is none.",
        move |name: ImmutableString| get(&ctx, &name),
    );
    let ctx = Rc::clone(context);
    to.function(
        "get(name, default) -> value",
        "The setting of that name; the default if there is none.",
        move |name: ImmutableString, default: Dynamic| -> Result<Dynamic> {
            let value = get(&ctx, &name)?;
            Ok(if value.is_unit() { default } else { value })
        },
    );
}

fn get(ctx: &Shared, name: &str) -> Result<Dynamic> {
    match ctx.host("config")?.config_get(name) {
        Some(text) => json::parse("config", "invalid_value", text.as_bytes()),
        None => Ok(Dynamic::UNIT),
    }
}
