//! `crypto::password_hash` and `crypto::password_verify`: they take longer than
//! a guest's fuel allows, so the host does them.

use std::rc::Rc;

use rhai::{EvalAltResult, ImmutableString};

use crate::sdk::{Registrar, Result, Shared, throw};

/// What the caller did wrong. A script can catch these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    InvalidPassword(String),
    InvalidHash(String),
}

pub(super) fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "password_hash(password) -> string",
        "A salted hash (Argon2id) to keep instead of the password.",
        move |password: ImmutableString| -> Result<String> {
            Ok(ctx.host("crypto")?.password_hash(&password)?)
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "password_verify(password, hash) -> bool",
        "Whether the hash, which `password_hash` made, is one of this password.",
        move |password: ImmutableString, hash: ImmutableString| -> Result<bool> {
            Ok(ctx.host("crypto")?.password_verify(&password, &hash)?)
        },
    );
}

/// What a script catches.
impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::InvalidPassword(message) => ("invalid_password", message),
            Error::InvalidHash(message) => ("invalid_hash", message),
        };
        throw("crypto", code, message)
    }
}
