//! `secrets::`: the app's keys to other services.

use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult, ImmutableString};

use super::{Namespace, Registrar, Result, Shared, throw};

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "secrets",
    doc: "The app's secrets, which `picloud secrets set` writes. Their values are kept out of logs.",
    register,
};

/// What the caller did wrong. A script can catch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidName(String),
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "get(name) -> string",
        "The secret of that name; `()` if there is none.",
        move |name: ImmutableString| -> Result<Dynamic> {
            let value = ctx.host("secrets")?.secret(&name)?;
            Ok(value.map_or(Dynamic::UNIT, Into::into))
        },
    );
}

impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidName(message) => throw("secrets", "invalid_name", message),
        }
    }
}
