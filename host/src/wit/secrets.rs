//! `picloud:sdk/secrets`.

use picloud_shared::receipt::Service;
use picloud_shared::secrets;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::secrets::{Error, Host};
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Secrets;

impl HasData for Secrets {
    type Data<'a> = View<'a, dyn secrets::Secrets>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn secrets::Secrets> {
    View::new(Service::Secrets, &*state.services.secrets, &mut state.meter)
}

impl Host for View<'_, dyn secrets::Secrets> {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.meter.call("get", name.len())?;
        let found = self.meter.answer(answer(self.service.get(&name).await))?;
        if let Ok(Some(value)) = &found {
            self.meter.move_bytes(value.len())?;
        }
        Ok(found)
    }
}

fn answer<T>(result: Result<T, secrets::Error>) -> wasmtime::Result<Result<T, Error>> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let message = error.to_string();
    match error {
        secrets::Error::InvalidName(_) => Ok(Err(Error::InvalidName(message))),
        secrets::Error::Unavailable(source) => Err(Stop::Unavailable(format!("{source:?}")).into()),
    }
}
