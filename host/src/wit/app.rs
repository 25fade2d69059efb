//! `picloud:sdk/app`.

use picloud_shared::receipt::{CallOutcome, Service};
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::app::Host;
use crate::invocation::State;

/// Names the view to the linker.
pub(super) struct App;

impl HasData for App {
    type Data<'a> = View<'a, str>;
}

pub(super) fn view(state: &mut State) -> View<'_, str> {
    View::new(Service::App, &state.services.origin, &mut state.meter)
}

impl Host for View<'_, str> {
    fn origin(&mut self) -> wasmtime::Result<String> {
        self.meter.call("origin", self.service.len())?;
        self.meter.outcome(CallOutcome::Ok);
        Ok(self.service.to_owned())
    }
}
