//! `html::`: making text safe to put into HTML, and undoing it.
//!
//! There is no function that takes tags out. Where a tag ends depends on its
//! element, on comments and on quotes; what guesses at it gets taken for a
//! protection, which only escaping is.

use rhai::{Dynamic, ImmutableString};

use super::data::written;
use super::{Namespace, Registrar, Result, Shared, throw, type_name};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "html", doc: "Text for HTML pages.", register };

/// The longest entity between its `&` and `;`: `#x10FFFF`, and two leading zeros.
const MAX_ENTITY_BYTES: usize = 10;

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "escape(value) -> string",
        "The value as text that is safe between tags and inside quoted attributes; `()` gives an \
         empty text.",
        escape,
    );
    to.function(
        "unescape(text) -> string",
        "The text with `&amp;`, `&lt;`, `&gt;`, `&quot;`, `&apos;`, `&nbsp;` and numbers like \
         `&#39;` and `&#x27;` as the characters that they stand for; everything else stays as it \
         is.",
        |text: ImmutableString| unescape(&text),
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

fn unescape(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        unescaped.push_str(before);
        if let Some((c, behind)) = entity(after) {
            unescaped.push(c);
            rest = behind;
        } else {
            unescaped.push('&');
            rest = after;
        }
    }
    unescaped.push_str(rest);
    unescaped
}

/// The character that an entity stands for, and what is behind its semicolon.
fn entity(text: &str) -> Option<(char, &str)> {
    let end = text.bytes().take(MAX_ENTITY_BYTES + 1).position(|byte| byte == b';')?;
    let (name, behind) = (text.get(..end)?, text.get(end + 1..)?);
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => numbered(name.strip_prefix('#')?)?,
    };
    Some((c, behind))
}

fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // A number with a sign would be parsed, too.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    char::from_u32(code).filter(|c| *c != '\0')
}
