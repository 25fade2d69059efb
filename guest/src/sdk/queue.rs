//! `queue::`: messages that are handled later, one by one.

use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, ImmutableString, Map};

use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, json, throw};

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "queue",
    doc: "Messages that a trigger on `queue.message` handles later, as many at a time as it says.",
    register,
};

/// What the caller did wrong. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidName(String),
    InvalidKey(String),
    InvalidValue(String),
    ValueTooLarge(String),
    InvalidDelay(String),
    NoConsumer(String),
}

/// What `queue::named` returns.
#[derive(Clone)]
struct Queue {
    context: Shared,
    name: ImmutableString,
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    to.value::<Queue>("queue");
    let ctx = Rc::clone(context);
    to.function("named(name) -> queue", "A queue of the app.", move |name: ImmutableString| {
        Queue { context: Rc::clone(&ctx), name }
    });
    to.method(
        "send(payload)",
        "Sends a message once the invocation has succeeded.",
        |queue: &mut Queue, payload: Dynamic| queue.send(&payload, None, None),
    );
    to.method(
        "send(payload, #{delay, key})",
        "The same, to be handled `delay` seconds from now. While a message with the same `key` \
         waits or is being handled, nothing is sent.",
        |queue: &mut Queue, payload: Dynamic, options: Map| -> Result<()> {
            let mut options = Options::new("queue", options, &["delay", "key"])?;
            let (delay, key) = (options.natural("delay")?, options.string("key")?);
            queue.send(&payload, delay, key.as_deref())
        },
    );
}

impl Queue {
    fn send(&self, payload: &Dynamic, delay_s: Option<u64>, key: Option<&str>) -> Result<()> {
        let payload = json::to_text("queue", payload)?;
        Ok(self.context.host("queue")?.queue_send(&self.name, &payload, delay_s, key)?)
    }
}

impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::InvalidName(message) => ("invalid_name", message),
            Error::InvalidKey(message) => ("invalid_key", message),
            Error::InvalidValue(message) => ("invalid_value", message),
            Error::ValueTooLarge(message) => ("value_too_large", message),
            Error::InvalidDelay(message) => ("invalid_delay", message),
            Error::NoConsumer(message) => ("no_consumer", message),
        };
        throw("queue", code, message)
    }
}
