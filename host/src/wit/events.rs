//! `picloud:sdk/events`.

use picloud_shared::events;
use picloud_shared::receipt::Service;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::events::{Error, Host};
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Events;

impl HasData for Events {
    type Data<'a> = View<'a, dyn events::Events>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn events::Events> {
    View::new(Service::Events, &*state.services.events, &mut state.meter)
}

impl Host for View<'_, dyn events::Events> {
    async fn publish(
        &mut self,
        topic: String,
        payload: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.meter.call("publish", topic.len() + payload.len())?;
        self.meter.answer(answer(self.service.publish(&topic, payload).await))
    }
}

fn answer(result: Result<(), events::Error>) -> wasmtime::Result<Result<(), Error>> {
    let Err(error) = result else { return Ok(Ok(())) };
    let message = error.to_string();
    match error {
        events::Error::InvalidTopic => Ok(Err(Error::InvalidTopic(message))),
        events::Error::InvalidValue(_) => Ok(Err(Error::InvalidValue(message))),
        events::Error::ValueTooLarge(_) => Ok(Err(Error::ValueTooLarge(message))),
        events::Error::BudgetExceeded(budget) => Err(Stop::Budget(budget).into()),
        events::Error::Unavailable(source) => Err(Stop::Unavailable(format!("{source:?}")).into()),
    }
}
