//! `picloud:sdk/crypto`.

use picloud_shared::crypto;
use picloud_shared::receipt::Service;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::crypto::{Error, Host};
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Crypto;

impl HasData for Crypto {
    type Data<'a> = View<'a, dyn crypto::Crypto>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn crypto::Crypto> {
    View::new(Service::Crypto, &*state.services.crypto, &mut state.meter)
}

impl Host for View<'_, dyn crypto::Crypto> {
    async fn password_hash(&mut self, password: String) -> wasmtime::Result<Result<String, Error>> {
        self.meter.call("password-hash", password.len())?;
        let hash = self.meter.answer(answer(self.service.password_hash(password).await))?;
        self.meter.move_bytes(hash.as_ref().map_or(0, String::len))?;
        Ok(hash)
    }

    async fn password_verify(
        &mut self,
        password: String,
        hash: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.meter.call("password-verify", password.len() + hash.len())?;
        self.meter.answer(answer(self.service.password_verify(password, hash).await))
    }
}

fn answer<T>(result: Result<T, crypto::Error>) -> wasmtime::Result<Result<T, Error>> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let message = error.to_string();
    match error {
        crypto::Error::InvalidPassword => Ok(Err(Error::InvalidPassword(message))),
        crypto::Error::InvalidHash => Ok(Err(Error::InvalidHash(message))),
        crypto::Error::Failed(cause) => Err(Stop::Failed(cause).into()),
    }
}
