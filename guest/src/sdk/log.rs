//! `log::`: the invocation's log, which `print` and `debug` write to as well.

use std::rc::Rc;

use rhai::{Dynamic, Engine, Map};

use super::{Namespace, Registrar, Result, Shared, json};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "log", doc: "The invocation's log.", register };

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    macro_rules! level {
        ($level:expr, $plain:literal, $with_fields:literal, $doc:literal) => {
            let ctx = Rc::clone(context);
            to.function($plain, $doc, move |message: Dynamic| write(&ctx, $level, &message, None));
            let ctx = Rc::clone(context);
            to.function($with_fields, $doc, move |message: Dynamic, fields: Map| {
                write(&ctx, $level, &message, Some(fields))
            });
        };
    }
    level!(
        Level::Debug,
        "debug(message)",
        "debug(message, fields)",
        "Writes a line that helps to find a mistake."
    );
    level!(
        Level::Info,
        "info(message)",
        "info(message, fields)",
        "Writes a line; `print` does the same."
    );
    level!(
        Level::Warn,
        "warn(message)",
        "warn(message, fields)",
        "Writes a line about something that should not be so."
    );
    level!(
        Level::Error,
        "error(message)",
        "error(message, fields)",
        "Writes a line about something that went wrong."
    );
}

fn write(ctx: &Shared, level: Level, message: &Dynamic, fields: Option<Map>) -> Result<()> {
    let host = ctx.host("log")?;
    let fields = match fields {
        Some(fields) => Some(json::to_text("log", &fields.into())?),
        None => None,
    };
    match message.as_immutable_string_ref() {
        Ok(text) => host.log(level, &text, fields.as_deref()),
        Err(_) => host.log(level, &message.to_string(), fields.as_deref()),
    }
    Ok(())
}

/// Sends what `print` and `debug` print to the log. While the program is being
/// loaded there is no log to write to.
pub(crate) fn redirect_print(engine: &mut Engine, context: &Shared) {
    let ctx = Rc::clone(context);
    engine.on_print(move |text| {
        if let Some(host) = ctx.host_if_running() {
            host.log(Level::Info, text, None);
        }
    });
    let ctx = Rc::clone(context);
    engine.on_debug(move |text, _, _| {
        if let Some(host) = ctx.host_if_running() {
            host.log(Level::Debug, text, None);
        }
    });
}
