//! `picloud:sdk/config`.

use picloud_shared::config;
use picloud_shared::receipt::{CallOutcome, Service};
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::config::Host;
use crate::invocation::State;

/// Names the view to the linker.
pub(super) struct Config;

impl HasData for Config {
    type Data<'a> = View<'a, dyn config::Config>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn config::Config> {
    View::new(Service::Config, &*state.services.config, &mut state.meter)
}

impl Host for View<'_, dyn config::Config> {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.meter.call("get", name.len())?;
        let value = self.service.get(&name);
        self.meter.outcome(CallOutcome::Ok);
        self.meter.move_bytes(value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }
}
