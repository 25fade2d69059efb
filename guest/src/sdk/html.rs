//! `html::`: making text safe to put into HTML.

use rhai::{Dynamic, ImmutableString};

use super::data::written;
use super::{Namespace, Registrar, Result, Shared, throw, type_name};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "html", doc: "Text for HTML pages.", register };

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "escape(value) -> string",
        "The value as text that is safe between tags and inside quoted attributes; () gives an \
         empty text.",
        escape,
    );
}

fn escape(value: Dynamic) -> Result<ImmutableString> {
    if value.is_unit() {
        return Ok(ImmutableString::new());
    }
    let text = written(value).map_err(|value| {
        let what = type_name(&value);
        throw("html", "invalid_value", format!("a {what} is not text; put it together first"))
    })?;
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Ok(text);
    }
    let mut escaped = String::with_capacity(text.len() + text.len() / 8 + 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    Ok(escaped.into())
}
