//! `picloud:sdk/files`.

use picloud_shared::files;
use picloud_shared::receipt::Service;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::files::{Error, FileInfo, Host, Page};
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Files;

impl HasData for Files {
    type Data<'a> = View<'a, dyn files::Files>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn files::Files> {
    View::new(Service::Files, &*state.services.files, &mut state.meter)
}

impl Host for View<'_, dyn files::Files> {
    async fn put(
        &mut self,
        bucket: String,
        path: String,
        contents: Vec<u8>,
        content_type: Option<String>,
    ) -> wasmtime::Result<Result<FileInfo, Error>> {
        self.meter.call("put", bucket.len() + path.len() + contents.len())?;
        let put = self.service.put(&bucket, &path, contents.into(), content_type).await;
        Ok(self.meter.answer(answer(put))?.map(|written| info(path, written)))
    }

    async fn get(
        &mut self,
        bucket: String,
        path: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        self.meter.call("get", bucket.len() + path.len())?;
        let found = self.meter.answer(answer(self.service.get(&bucket, &path).await))?;
        if let Ok(Some(contents)) = &found {
            self.meter.move_bytes(contents.len())?;
        }
        Ok(found.map(|contents| contents.map(Vec::from)))
    }

    async fn info(
        &mut self,
        bucket: String,
        path: String,
    ) -> wasmtime::Result<Result<Option<FileInfo>, Error>> {
        self.meter.call("info", bucket.len() + path.len())?;
        let found = self.meter.answer(answer(self.service.info(&bucket, &path).await))?;
        Ok(found.map(|found| found.map(|found| info(path, found))))
    }

    async fn list(
        &mut self,
        bucket: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Error>> {
        let after_bytes = after.as_ref().map_or(0, String::len);
        self.meter.call("list", bucket.len() + prefix.len() + after_bytes)?;
        let limit = limit.min(files::MAX_PAGE);
        let listed = self.service.list(&bucket, &prefix, after.as_deref(), limit).await;
        let files::Page { files, next } = match self.meter.answer(answer(listed))? {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let files: Vec<_> = files.into_iter().map(|(path, found)| info(path, found)).collect();
        let bytes = files.iter().map(|f| f.path.len() + f.content_type.len() + f.etag.len()).sum();
        self.meter.move_bytes(bytes)?;
        Ok(Ok(Page { files, next }))
    }

    async fn delete(
        &mut self,
        bucket: String,
        path: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.meter.call("delete", bucket.len() + path.len())?;
        self.meter.answer(answer(self.service.delete(&bucket, &path).await))
    }

    fn url(
        &mut self,
        bucket: String,
        path: String,
        ttl: Option<u64>,
    ) -> wasmtime::Result<Result<String, Error>> {
        self.meter.call("url", bucket.len() + path.len())?;
        self.meter.answer(answer(self.service.url(&bucket, &path, ttl)))
    }
}

fn info(path: String, info: files::Info) -> FileInfo {
    let etag = info.etag();
    let files::Info { bytes, hash: _, content_type, modified_ms } = info;
    FileInfo { path, bytes, content_type, etag, modified: modified_ms }
}

fn answer<T>(result: Result<T, files::Error>) -> wasmtime::Result<Result<T, Error>> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let message = error.to_string();
    match error {
        files::Error::InvalidBucket => Ok(Err(Error::InvalidBucket(message))),
        files::Error::InvalidPath => Ok(Err(Error::InvalidPath(message))),
        files::Error::InvalidContentType => Ok(Err(Error::InvalidContentType(message))),
        files::Error::TooLarge(_) => Ok(Err(Error::TooLarge(message))),
        files::Error::QuotaExceeded => Ok(Err(Error::QuotaExceeded(message))),
        files::Error::BudgetExceeded(budget) => Err(Stop::Budget(budget).into()),
        files::Error::Unavailable(source) => Err(Stop::Unavailable(format!("{source:?}")).into()),
    }
}
