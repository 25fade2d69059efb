//! `picloud:sdk/kv`.

use picloud_shared::kv;
use picloud_shared::receipt::Service;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::kv::{Error, Host, Page};
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Kv;

impl HasData for Kv {
    type Data<'a> = View<'a, dyn kv::Kv>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn kv::Kv> {
    View::new(Service::Kv, &*state.services.kv, &mut state.meter)
}

impl Host for View<'_, dyn kv::Kv> {
    async fn get(
        &mut self,
        collection: String,
        key: String,
    ) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.meter.call("get", collection.len() + key.len())?;
        let found = self.meter.answer(answer(self.service.get(&collection, &key).await))?;
        if let Ok(Some(value)) = &found {
            self.meter.move_bytes(value.len())?;
        }
        Ok(found)
    }

    async fn set(
        &mut self,
        collection: String,
        key: String,
        value: String,
        ttl: Option<u64>,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.meter.call("set", collection.len() + key.len() + value.len())?;
        self.meter.answer(answer(self.service.set(&collection, &key, value, ttl).await))
    }

    async fn delete(
        &mut self,
        collection: String,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.meter.call("delete", collection.len() + key.len())?;
        self.meter.answer(answer(self.service.delete(&collection, &key).await))
    }

    async fn list(
        &mut self,
        collection: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Error>> {
        let after_bytes = after.as_ref().map_or(0, String::len);
        self.meter.call("list", collection.len() + prefix.len() + after_bytes)?;
        let limit = limit.min(kv::MAX_PAGE);
        let listed = self.service.list(&collection, &prefix, after.as_deref(), limit).await;
        let page = self.meter.answer(answer(listed))?;
        if let Ok(page) = &page {
            let bytes = page.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
            self.meter.move_bytes(bytes)?;
        }
        Ok(page.map(|kv::Page { entries, next }| Page { entries, next }))
    }

    async fn count(&mut self, collection: String) -> wasmtime::Result<Result<u64, Error>> {
        self.meter.call("count", collection.len())?;
        self.meter.answer(answer(self.service.count(&collection).await))
    }

    async fn clear(&mut self, collection: String) -> wasmtime::Result<Result<(), Error>> {
        self.meter.call("clear", collection.len())?;
        self.meter.answer(answer(self.service.clear(&collection).await))
    }
}

/// Whose fault is it? The guest's mistakes go back to the guest, which can
/// catch them; an exhausted budget and a failing store end the invocation.
fn answer<T>(result: Result<T, kv::Error>) -> wasmtime::Result<Result<T, Error>> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let message = error.to_string();
    match error {
        kv::Error::InvalidCollection => Ok(Err(Error::InvalidCollection(message))),
        kv::Error::InvalidKey => Ok(Err(Error::InvalidKey(message))),
        kv::Error::InvalidValue(_) => Ok(Err(Error::InvalidValue(message))),
        kv::Error::ValueTooLarge(_) => Ok(Err(Error::ValueTooLarge(message))),
        kv::Error::QuotaExceeded => Ok(Err(Error::QuotaExceeded(message))),
        kv::Error::BudgetExceeded(budget) => Err(Stop::Budget(budget).into()),
        kv::Error::Unavailable(source) => Err(Stop::Unavailable(format!("{source:?}")).into()),
    }
}
