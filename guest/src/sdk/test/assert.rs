//! `assert` and its kin. They need no namespace, and work anywhere.

use rhai::{Array, Blob, Dynamic, EvalAltResult, FnPtr, ImmutableString, Map, NativeCallContext};

use crate::sdk::{Registrar, Result, json, throw};

/// Characters of a value that a failure shows.
const SHOWN: usize = 1_000;

pub(super) fn register(to: &mut Registrar<'_>) {
    to.global(
        "assert(condition)",
        "Throws `assertion_failed` unless the condition is true.",
        |condition: bool| assert(condition, ""),
    );
    to.global(
        "assert(condition, message)",
        "With a message that says what was expected.",
        |condition: bool, message: ImmutableString| assert(condition, &message),
    );
    to.global(
        "assert_eq(left, right)",
        "Throws `assertion_failed`, with both values, unless they are equal, in what they contain, \
         too.",
        |left: Dynamic, right: Dynamic| assert_eq(left, right, ""),
    );
    to.global(
        "assert_eq(left, right, message)",
        "With a message that says what was expected.",
        |left: Dynamic, right: Dynamic, message: ImmutableString| assert_eq(left, right, &message),
    );
    to.global(
        "assert_throws(code, || …) -> error",
        "Calls the function and returns what it throws; throws `assertion_failed` unless that has \
         this code.",
        |context: NativeCallContext<'_>, code: ImmutableString, function: FnPtr| match function
            .call_within_context::<Dynamic>(
            &context,
            (),
        ) {
            Ok(_) => Err(failed("", format!("nothing was thrown instead of {code}"))),
            Err(error) => thrown(*error, &code),
        },
    );
}

fn failed(message: &str, what: String) -> Box<EvalAltResult> {
    let message = if message.is_empty() { what } else { format!("{message}: {what}") };
    throw("test", "assertion_failed", message)
}

fn assert(condition: bool, message: &str) -> Result<()> {
    if condition { Ok(()) } else { Err(failed(message, "the assertion does not hold".to_owned())) }
}

fn assert_eq(left: Dynamic, right: Dynamic, message: &str) -> Result<()> {
    let (left, right) = (left.flatten(), right.flatten());
    if equal(&left, &right) {
        return Ok(());
    }
    let (left, right) = (shown(&left), shown(&right));
    Err(failed(message, format!("the values are not equal\n left: {left}\nright: {right}")))
}

/// Whether two values say the same: an integer and a float may.
fn equal(left: &Dynamic, right: &Dynamic) -> bool {
    if let (Ok(left), Ok(right)) = (left.as_array_ref(), right.as_array_ref()) {
        return left.len() == right.len() && left.iter().zip(&*right).all(|(l, r)| equal(l, r));
    }
    if let (Ok(left), Ok(right)) = (left.as_map_ref(), right.as_map_ref()) {
        let is_in = |(key, value)| right.get(key).is_some_and(|other| equal(value, other));
        return left.len() == right.len() && left.iter().all(is_in);
    }
    if let (Ok(left), Ok(right)) = (left.as_blob_ref(), right.as_blob_ref()) {
        return *left == *right;
    }
    if let (Ok(left), Ok(right)) = (left.as_int(), right.as_int()) {
        return left == right;
    }
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return left.partial_cmp(&right).unwrap_or_else(|| left.total_cmp(&right)).is_eq();
    }
    // What is left has no inside: texts, characters, truth values, nothing,
    // functions by their names.
    left.type_id() == right.type_id() && left.to_string() == right.to_string()
}

#[expect(clippy::cast_precision_loss, reason = "as Rhai compares an integer with a float")]
fn number(value: &Dynamic) -> Option<f64> {
    value.as_float().ok().or_else(|| value.as_int().ok().map(|int| int as f64))
}

/// A value as a failure shows it: as JSON, if it can be.
fn shown(value: &Dynamic) -> String {
    let mut text = match json::to_text("test", value) {
        Ok(text) => text,
        Err(_) if value.is::<Array>() || value.is::<Map>() || value.is::<Blob>() => {
            format!("{value:?}")
        }
        Err(_) => value.to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// What was thrown, if it has this code.
fn thrown(error: EvalAltResult, code: &str) -> Result<Map> {
    let mut error = error;
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
    | EvalAltResult::ErrorInModule(_, inner, _) = error
    {
        error = *inner;
    }
    let EvalAltResult::ErrorRuntime(value, _) = error else {
        return Err(failed("", format!("this was thrown instead of {code}: {error}")));
    };
    match value.try_cast_result::<Map>() {
        Ok(map) if map.get("code").is_some_and(|own| own.to_string() == code) => Ok(map),
        Ok(map) => {
            let shown = shown(&map.into());
            Err(failed("", format!("this was thrown instead of {code}: {shown}")))
        }
        Err(value) => {
            let shown = shown(&value);
            Err(failed("", format!("this was thrown instead of {code}: {shown}")))
        }
    }
}
