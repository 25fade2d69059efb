//! JSON that a script hands over.

use serde_json::Value;

/// Why a text is not accepted.
pub(super) enum Invalid {
    /// It has this many bytes.
    TooLarge(usize),
    /// Not JSON, or with a NUL character in it.
    NotJson(String),
}

/// Whether a text is JSON of at most `max_bytes` that every store can keep.
/// `noun` names it: "the value".
pub(super) fn check(noun: &str, text: &str, max_bytes: usize) -> Result<(), Invalid> {
    if text.len() > max_bytes {
        return Err(Invalid::TooLarge(text.len()));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Invalid::NotJson(format!("{noun} is not JSON: {error}")))?;
    if has_nul(&value) {
        let reason = format!("{noun} has a NUL character in it, which cannot be stored");
        return Err(Invalid::NotJson(reason));
    }
    Ok(())
}

/// PostgreSQL's JSONB has no NUL; what one store refuses, both do. The depth of
/// `value` is bounded by the parser.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
