//! `events::`: what has happened, for the app's own triggers.

use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, ImmutableString};

use super::{Namespace, Registrar, Result, Shared, json, throw};

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "events",
    doc: "Events that the app's triggers call handlers for, once the invocation has succeeded.",
    register,
};

/// What the caller did wrong. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidTopic(String),
    InvalidValue(String),
    ValueTooLarge(String),
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "publish(topic, payload)",
        "Publishes an event: every trigger on `events.publish` whose topic matches calls its \
         handler with it.",
        move |topic: ImmutableString, payload: Dynamic| -> Result<()> {
            let payload = json::to_text("events", &payload)?;
            Ok(ctx.host("events")?.publish(&topic, &payload)?)
        },
    );
}

impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::InvalidTopic(message) => ("invalid_topic", message),
            Error::InvalidValue(message) => ("invalid_value", message),
            Error::ValueTooLarge(message) => ("value_too_large", message),
        };
        throw("events", code, message)
    }
}
