//! Data: an argument that may be a string or a blob.

use std::ops::Deref;

use rhai::{Blob, Dynamic, ImmutableString};

use super::{Result, throw, type_name};

/// The bytes of a blob, or of a string as UTF-8.
pub(crate) enum Data {
    Text(ImmutableString),
    Bytes(Blob),
}

impl Data {
    /// The argument `name` of `function`, which is written `service::function`.
    pub(crate) fn of(function: &'static str, name: &str, value: Dynamic) -> Result<Self> {
        let value = match value.try_cast_result::<ImmutableString>() {
            Ok(text) => return Ok(Self::Text(text)),
            Err(value) => value,
        };
        match value.try_cast_result::<Blob>() {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(value) => {
                let given = type_name(&value);
                let message = format!("{function} takes a string or a blob as {name}, not {given}");
                let service = function.split_once("::").map_or(function, |(service, _)| service);
                Err(throw(service, "invalid_argument", message))
            }
        }
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A string as it is, and what has one way to be written (a number, a bool, a
/// char) as text; anything else comes back.
pub(crate) fn written(value: Dynamic) -> std::result::Result<ImmutableString, Dynamic> {
    if value.is_int() || value.is_float() || value.is_bool() || value.is_char() {
        Ok(value.to_string().into())
    } else {
        value.try_cast_result()
    }
}

/// Text of bytes that `function` has made; throws `not_utf8` if they are none.
pub(crate) fn text(function: &'static str, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let service = function.split_once("::").map_or(function, |(service, _)| service);
        let message = format!("{function}: what comes out is not UTF-8 text at byte {at}");
        throw(service, "not_utf8", message)
    })
}

/// A place in a text that somebody has to find: `'?' at byte 5`.
pub(crate) fn place(text: &str, at: usize) -> String {
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some(c) => format!("{c:?} at byte {at}"),
        None => format!("byte {at}"),
    }
}

/// A text in quotes for a message, of a long one enough to recognise it by.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or("")),
        None => format!("{text:?}"),
    }
}
