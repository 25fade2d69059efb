//! `picloud:sdk/log`.

use picloud_shared::log;
use picloud_shared::receipt::{CallOutcome, Service};
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::log::{Host, Level};
use crate::invocation::State;

/// What a line costs beyond its text, so that empty lines are not free.
const LINE_OVERHEAD_BYTES: u64 = 32;

/// Names the view to the linker.
pub(super) struct Log;

impl HasData for Log {
    type Data<'a> = View<'a, dyn log::Log>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn log::Log> {
    View::new(Service::Log, &*state.services.log, &mut state.meter)
}

impl Host for View<'_, dyn log::Log> {
    fn write(
        &mut self,
        level: Level,
        message: String,
        fields: Option<String>,
    ) -> wasmtime::Result<()> {
        let bytes = message.len() + fields.as_ref().map_or(0, String::len);
        self.meter.call("write", bytes)?;
        self.meter.outcome(CallOutcome::Ok);
        if self.meter.log_is_cut {
            return Ok(());
        }
        let cost = bytes as u64 + LINE_OVERHEAD_BYTES;
        if let Some(left) = self.meter.log_bytes_left.checked_sub(cost) {
            self.meter.log_bytes_left = left;
            self.service.write(level.into(), message, fields);
        } else {
            self.meter.log_is_cut = true;
            let max_bytes = self.meter.log_bytes;
            let notice =
                format!("log cut here: the invocation's {max_bytes} bytes of log are used up");
            self.service.write(log::Level::Warn, notice, None);
        }
        Ok(())
    }
}

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}
