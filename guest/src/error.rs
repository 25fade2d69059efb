//! What a script's author reads when it fails: Rhai's errors, which wrap one
//! another call by call, as one message with a place and a stack.

use rhai::{Dynamic, EvalAltResult, Map, ParseErrorType, Position};

use crate::dialect::readable;
use crate::model::{self, Frame, ScriptError};
use crate::sdk::{friendly_type_name, json, response};

/// What comes out of a script instead of a value.
pub(crate) enum Thrown {
    /// `throw response::status(404)`: an early exit.
    Response(response::Response),
    Error(ScriptError),
}

/// Describes an error that came out of the code of `file`.
#[expect(clippy::boxed_local, reason = "Rhai boxes its errors")]
pub(crate) fn describe(error: Box<EvalAltResult>, file: &str) -> Thrown {
    let mut stack = Vec::new();
    let mut file = file.to_owned();
    let mut error = *error;
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(function, source, inner, position) => {
                let position = place(&file, position);
                stack.push(Frame { function: readable_function(&function), position });
                if !source.is_empty() {
                    file = source;
                }
                error = *inner;
            }
            EvalAltResult::ErrorInModule(path, inner, _) => {
                file = path;
                error = *inner;
            }
            other => {
                error = other;
                break;
            }
        }
    }
    stack.reverse();
    let position = place(&file, error.take_position());
    let (message, code) = match error {
        EvalAltResult::ErrorRuntime(value, _) => {
            match value.try_cast_result::<response::Response>() {
                Ok(response) => return Thrown::Response(response),
                Err(value) => thrown_value(&value),
            }
        }
        other => (message_of(&other), None),
    };
    Thrown::Error(ScriptError { message, code, position, stack })
}

/// Describes a syntax error in `file`.
pub(crate) fn describe_syntax(
    kind: &ParseErrorType,
    position: Position,
    file: &str,
) -> ScriptError {
    ScriptError {
        message: kind.to_string(),
        position: place(file, position),
        ..ScriptError::default()
    }
}

/// A place in a file, unless the position is none.
pub(crate) fn place(file: &str, position: Position) -> Option<model::Position> {
    let line = u32::try_from(position.line()?).ok()?;
    // A position at the very start of a line has column 0.
    let column = u32::try_from(position.position().unwrap_or(0)).ok()?.max(1);
    Some(model::Position { file: file.to_owned(), line, column })
}

/// The message, and the code, of what a script threw.
fn thrown_value(value: &Dynamic) -> (String, Option<String>) {
    if let Ok(text) = value.as_immutable_string_ref() {
        return (text.to_string(), None);
    }
    if let Ok(map) = value.as_map_ref() {
        let text = |map: &Map, key: &str| {
            map.get(key).filter(|value| !value.is_unit()).map(ToString::to_string)
        };
        let code = text(&map, "code");
        if let Some(message) = text(&map, "message") {
            return (message, code);
        }
        let message = json::to_text("json", value).unwrap_or_else(|_| value.to_string());
        return (message, code);
    }
    if value.is_unit() {
        return ("the script threw () without saying why".to_owned(), None);
    }
    (value.to_string(), None)
}

fn message_of(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            format!("Function not found: {}", readable_signature(signature))
        }
        EvalAltResult::ErrorModuleNotFound(path, _) => {
            format!("Module not found: {path}")
        }
        EvalAltResult::ErrorParsing(kind, _) => kind.to_string(),
        EvalAltResult::ErrorStackOverflow(_) => {
            "too many function calls within one another".to_owned()
        }
        other => other.to_string(),
    }
}

/// `foo (i64, &str | ImmutableString | String)` as `foo(int, string)`.
fn readable_signature(signature: &str) -> String {
    let Some((name, arguments)) = signature.split_once(" (") else {
        return signature.to_owned();
    };
    let arguments: Vec<&str> = arguments
        .strip_suffix(')')
        .unwrap_or(arguments)
        .split(", ")
        .map(|argument| match argument {
            "&str | ImmutableString | String" => "string",
            rust => friendly_type_name(rust),
        })
        .collect();
    format!("{}({})", readable(name), arguments.join(", "))
}

/// Closures have made-up names.
fn readable_function(name: &str) -> String {
    if name.starts_with("anon$") { "(closure)".to_owned() } else { name.to_owned() }
}
