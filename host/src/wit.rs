//! The host's side of `wit/`: generated bindings, and one file per interface.

mod app;
mod config;
mod convert;
mod crypto;
mod events;
mod files;
mod http;
mod kv;
mod log;
mod queue;
mod secrets;
mod test;

use picloud_shared::receipt::Service;
use wasmtime::component::{HasData, Linker};

use crate::invocation::{Meter, State};

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "script",
        imports: {
            "picloud:sdk/app": trappable,
            "picloud:sdk/config": trappable,
            "picloud:sdk/files.url": trappable,
            "picloud:sdk/log": trappable,
            "picloud:sdk/test.add-stub": trappable,
            "picloud:sdk/test.outbound-requests": trappable,
            default: async | trappable,
        },
        exports: { default: async },
    });
}

/// Links every interface that a guest may import.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    use bindings::picloud::sdk;
    sdk::app::add_to_linker::<State, app::App>(linker, app::view)?;
    sdk::config::add_to_linker::<State, config::Config>(linker, config::view)?;
    sdk::crypto::add_to_linker::<State, crypto::Crypto>(linker, crypto::view)?;
    sdk::events::add_to_linker::<State, events::Events>(linker, events::view)?;
    sdk::files::add_to_linker::<State, files::Files>(linker, files::view)?;
    sdk::http::add_to_linker::<State, http::Http>(linker, http::view)?;
    sdk::kv::add_to_linker::<State, kv::Kv>(linker, kv::view)?;
    sdk::log::add_to_linker::<State, log::Log>(linker, log::view)?;
    sdk::queue::add_to_linker::<State, queue::Queue>(linker, queue::view)?;
    sdk::secrets::add_to_linker::<State, secrets::Secrets>(linker, secrets::view)?;
    sdk::test::add_to_linker::<State, test::Test>(linker, test::view)?;
    sdk::types::add_to_linker::<State, Types>(linker, |_| Types)
}

/// The interface of types has no functions and needs no view.
struct Types;

impl HasData for Types {
    type Data<'a> = Self;
}

impl bindings::picloud::sdk::types::Host for Types {}

/// A service as its host functions see it, with the meter they must pay: a
/// narrow view, so that no function reaches more of an invocation than it needs.
struct View<'a, S: ?Sized> {
    service: &'a S,
    meter: &'a mut Meter,
}

impl<'a, S: ?Sized> View<'a, S> {
    /// What is charged from now on is charged to this service.
    fn new(of: Service, service: &'a S, meter: &'a mut Meter) -> Self {
        meter.service = of;
        Self { service, meter }
    }
}

/// A view lives as long as the call that it was made for.
impl<S: ?Sized> Drop for View<'_, S> {
    fn drop(&mut self) {
        self.meter.end();
    }
}
