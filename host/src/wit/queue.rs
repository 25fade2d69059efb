//! `picloud:sdk/queue`.

use picloud_shared::queue;
use picloud_shared::receipt::Service;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::queue::{Error, Host};
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Queue;

impl HasData for Queue {
    type Data<'a> = View<'a, dyn queue::Queue>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn queue::Queue> {
    View::new(Service::Queue, &*state.services.queue, &mut state.meter)
}

impl Host for View<'_, dyn queue::Queue> {
    async fn send(
        &mut self,
        queue: String,
        payload: String,
        delay: Option<u64>,
        key: Option<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let key_bytes = key.as_ref().map_or(0, String::len);
        self.meter.call("send", queue.len() + payload.len() + key_bytes)?;
        let options = queue::SendOptions { delay_s: delay.unwrap_or(0), key };
        self.meter.answer(answer(self.service.send(&queue, payload, options).await))
    }
}

fn answer(result: Result<(), queue::Error>) -> wasmtime::Result<Result<(), Error>> {
    let Err(error) = result else { return Ok(Ok(())) };
    let message = error.to_string();
    match error {
        queue::Error::InvalidName => Ok(Err(Error::InvalidName(message))),
        queue::Error::InvalidKey => Ok(Err(Error::InvalidKey(message))),
        queue::Error::InvalidValue(_) => Ok(Err(Error::InvalidValue(message))),
        queue::Error::ValueTooLarge(_) => Ok(Err(Error::ValueTooLarge(message))),
        queue::Error::InvalidDelay(_) => Ok(Err(Error::InvalidDelay(message))),
        queue::Error::NoConsumer(_) => Ok(Err(Error::NoConsumer(message))),
        queue::Error::BudgetExceeded(budget) => Err(Stop::Budget(budget).into()),
        queue::Error::Unavailable(source) => Err(Stop::Unavailable(format!("{source:?}")).into()),
    }
}
