//! One invocation's view of its app's files.
//!
//! What it writes lies in [`Contents`], in nobody's sight, until the executor
//! keeps it and commits its metadata.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use picloud_shared::files::{
    Bucket, Change, Contents, DEFAULT_URL_TTL_S, Entry, Error, FileStore, Files, Info, Listed,
    MAX_BYTES, MAX_PAGE, MAX_URL_TTL_S, MAX_WRITES, Page, Path, Pieces, Staged, Write,
    content_type_of,
};
use picloud_shared::kv::{Range, Seen};
use picloud_shared::{AppId, Budget, StoreError, Vault};

use super::Quota;
use super::merge::merge;

/// Bytes that a content type may have.
const MAX_CONTENT_TYPE_BYTES: usize = 128;
/// What stays as it is in a URL's path.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// One attempt of one invocation, bound to its app.
pub struct FileUnit {
    app: AppId,
    store: Arc<dyn FileStore>,
    contents: Arc<dyn Contents>,
    vault: Arc<Vault>,
    origin: Arc<str>,
    now_ms: u64,
    quota: Quota,
    state: Mutex<State>,
}

type Id = (Bucket, Path);

#[derive(Default)]
struct State {
    /// What the store was found to hold.
    found: HashMap<Id, Option<Entry>>,
    changes: BTreeMap<Bucket, BTreeMap<Path, Pending>>,
    writes: usize,
    /// The usage, asked for once.
    used_bytes: Option<u64>,
}

/// A change that is not committed.
#[derive(Clone)]
enum Pending {
    Put { info: Info, staged: Arc<dyn Staged> },
    Delete,
}

impl State {
    fn change(&self, (bucket, path): &Id) -> Option<&Pending> {
        self.changes.get(bucket)?.get(path)
    }
}

impl FileUnit {
    /// `origin` is where clients reach the app, without a slash at its end.
    pub fn new(
        app: AppId,
        store: Arc<dyn FileStore>,
        contents: Arc<dyn Contents>,
        vault: Arc<Vault>,
        origin: Arc<str>,
        now_ms: u64,
        quota: Quota,
    ) -> Self {
        Self { app, store, contents, vault, origin, now_ms, quota, state: Mutex::default() }
    }

    /// Writes a file that comes in pieces, as large as there is room for,
    /// whatever is there by then.
    ///
    /// # Errors
    /// Those of [`Files::put`] but [`Error::TooLarge`].
    pub async fn put_pieces(
        &self,
        bucket: &str,
        path: &str,
        pieces: Pieces,
        content_type: Option<String>,
    ) -> Result<Info, Error> {
        let id: Id = (bucket.parse()?, path.parse()?);
        let content_type = content_type_for(path, content_type)?;
        let used = self.used_bytes().await?;
        let old = self.store.get(self.app, &id.0, &id.1).await.map_err(Error::Unavailable)?;
        let old = old.map_or(0, |entry| entry.info.bytes);
        let room = self.quota.max_bytes.saturating_sub(used.saturating_sub(old)).max(old);
        let staged = self.contents.stage_pieces(self.app, pieces, room).await;
        let staged = staged.map_err(|error| match error {
            StoreError::QuotaExceeded(_) => Error::QuotaExceeded,
            error => Error::Unavailable(error),
        })?;
        self.put_staged(id, staged, content_type)
    }

    fn put_staged(
        &self,
        id: Id,
        staged: Box<dyn Staged>,
        content_type: String,
    ) -> Result<Info, Error> {
        let info = Info {
            bytes: staged.bytes(),
            hash: staged.hash(),
            content_type,
            modified_ms: self.now_ms,
        };
        self.write(id, Pending::Put { info: info.clone(), staged: staged.into() })?;
        Ok(info)
    }

    /// Everything that the invocation changed, and the contents to be kept
    /// before it is committed.
    #[must_use]
    pub fn write_set(&self) -> (Vec<Write>, Vec<Arc<dyn Staged>>) {
        let state = self.lock();
        let (mut writes, mut contents) = (Vec::new(), Vec::new());
        for (bucket, changes) in &state.changes {
            for (path, change) in changes {
                let seen = match state.found.get(&(bucket.clone(), path.clone())) {
                    None => Seen::Unread,
                    Some(None) => Seen::Absent,
                    Some(Some(entry)) => Seen::Version(entry.version),
                };
                let change = match change {
                    Pending::Put { info, staged } => {
                        contents.push(Arc::clone(staged));
                        Change::Put(info.clone())
                    }
                    Pending::Delete => Change::Delete,
                };
                writes.push(Write { bucket: bucket.clone(), path: path.clone(), seen, change });
            }
        }
        (writes, contents)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a single insert or a sum.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file as the store has it.
    async fn stored(&self, id: &Id) -> Result<Option<Info>, Error> {
        if let Some(found) = self.lock().found.get(id) {
            return Ok(found.as_ref().map(|entry| entry.info.clone()));
        }
        let found = self.store.get(self.app, &id.0, &id.1).await.map_err(Error::Unavailable)?;
        let info = found.as_ref().map(|entry| entry.info.clone());
        // What was seen first is what the commit must find.
        self.lock().found.entry(id.clone()).or_insert(found);
        Ok(info)
    }

    fn write(&self, (bucket, path): Id, change: Pending) -> Result<(), Error> {
        let mut state = self.lock();
        state.writes += 1;
        if state.writes > MAX_WRITES {
            return Err(Error::BudgetExceeded(Budget::FileWrites));
        }
        state.changes.entry(bucket).or_default().insert(path, change);
        Ok(())
    }

    /// Refuses what an app without space left cannot commit, before it is
    /// written anywhere. The commit decides.
    async fn check_quota(&self, id: &Id, bytes: u64) -> Result<(), Error> {
        let used = self.used_bytes().await?;
        let pending: u64 = {
            let state = self.lock();
            let all: u64 = state.changes.values().flatten().map(|(_, put)| put.bytes()).sum();
            all - state.change(id).map_or(0, Pending::bytes)
        };
        let fits = |used: u64| used + pending + bytes <= self.quota.max_bytes;
        if fits(used) {
            return Ok(());
        }
        let old = self.stored(id).await?.map_or(0, |info| info.bytes);
        if bytes <= old || fits(used.saturating_sub(old)) {
            return Ok(());
        }
        Err(Error::QuotaExceeded)
    }

    async fn used_bytes(&self) -> Result<u64, Error> {
        let known = self.quota.used_bytes.or(self.lock().used_bytes);
        if let Some(used) = known {
            return Ok(used);
        }
        let used = self.store.usage(self.app).await.map_err(Error::Unavailable)?;
        self.lock().used_bytes = Some(used);
        Ok(used)
    }
}

impl Pending {
    fn bytes(&self) -> u64 {
        match self {
            Self::Put { info, .. } => info.bytes,
            Self::Delete => 0,
        }
    }

    fn info(&self) -> Option<Info> {
        match self {
            Self::Put { info, .. } => Some(info.clone()),
            Self::Delete => None,
        }
    }
}

#[async_trait]
impl Files for FileUnit {
    async fn put(
        &self,
        bucket: &str,
        path: &str,
        contents: Bytes,
        content_type: Option<String>,
    ) -> Result<Info, Error> {
        let id: Id = (bucket.parse()?, path.parse()?);
        let content_type = content_type_for(path, content_type)?;
        if contents.len() > MAX_BYTES {
            return Err(Error::TooLarge(contents.len()));
        }
        self.check_quota(&id, contents.len() as u64).await?;
        let staged = self.contents.stage(self.app, contents).await.map_err(Error::Unavailable)?;
        self.put_staged(id, staged, content_type)
    }

    async fn get(&self, bucket: &str, path: &str) -> Result<Option<Bytes>, Error> {
        let id: Id = (bucket.parse()?, path.parse()?);
        let change = self.lock().change(&id).cloned();
        match change {
            Some(Pending::Put { staged, .. }) => {
                return staged.read().await.map(Some).map_err(Error::Unavailable);
            }
            Some(Pending::Delete) => return Ok(None),
            None => {}
        }
        let Some(info) = self.stored(&id).await? else { return Ok(None) };
        if info.bytes > MAX_BYTES as u64 {
            return Err(Error::TooLarge(usize::try_from(info.bytes).unwrap_or(usize::MAX)));
        }
        match self.contents.read(self.app, info.hash).await.map_err(Error::Unavailable)? {
            Some(contents) => Ok(Some(contents)),
            // Somebody replaced the file since it was found.
            None => Err(Error::Unavailable(StoreError::unavailable("a file's contents are gone"))),
        }
    }

    async fn info(&self, bucket: &str, path: &str) -> Result<Option<Info>, Error> {
        let id: Id = (bucket.parse()?, path.parse()?);
        let change = self.lock().change(&id).map(Pending::info);
        match change {
            Some(info) => Ok(info),
            None => self.stored(&id).await,
        }
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, Error> {
        let bucket: Bucket = bucket.parse()?;
        let limit = limit.min(MAX_PAGE);
        // Enough that a full page remains after the deletions.
        let changed = self.lock().changes.get(&bucket).map_or(0, BTreeMap::len);
        let asked = limit.saturating_add(u32::try_from(changed).unwrap_or(u32::MAX));
        let range = Range { prefix, after, limit: asked };
        let listed = self.store.list(self.app, &bucket, range).await;
        let Listed { files, more } = listed.map_err(Error::Unavailable)?;
        let stored = files.into_iter().map(|(path, entry)| (path.to_string(), entry.info));

        let state = self.lock();
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let changes = state.changes.get(&bucket).into_iter();
        let changes = changes
            .flat_map(|changes| changes.range::<str, _>((start, Bound::Unbounded)))
            .take_while(|(path, _)| path.as_str().starts_with(prefix))
            .map(|(path, change)| (path.as_str(), change.info()));
        let (files, next) = merge(stored, more, changes, limit as usize);
        Ok(Page { files, next })
    }

    async fn delete(&self, bucket: &str, path: &str) -> Result<bool, Error> {
        let existed = self.info(bucket, path).await?.is_some();
        if existed {
            self.write((bucket.parse()?, path.parse()?), Pending::Delete)?;
        }
        Ok(existed)
    }

    fn url(&self, bucket: &str, path: &str, ttl_s: Option<u64>) -> Result<String, Error> {
        let (bucket, path): Id = (bucket.parse()?, path.parse()?);
        let ttl_s = ttl_s.unwrap_or(DEFAULT_URL_TTL_S).min(MAX_URL_TTL_S);
        let expires_s = self.now_ms / 1000 + ttl_s;
        let signature = self.vault.sign_url(self.app, &bucket, &path, expires_s);
        let path = utf8_percent_encode(path.as_str(), IN_PATH);
        let origin = &self.origin;
        Ok(format!(
            "{origin}/.picloud/files/{bucket}/{path}?expires={expires_s}&signature={signature}"
        ))
    }
}

/// The content type that is given, or else the path's.
fn content_type_for(path: &str, given: Option<String>) -> Result<String, Error> {
    match given {
        Some(given) if is_media_type(&given) => Ok(given),
        Some(_) => Err(Error::InvalidContentType),
        None => Ok(content_type_of(path)),
    }
}

/// `type/subtype`, with parameters or without: what can stand in a header.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    text.len() <= MAX_CONTENT_TYPE_BYTES
        && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        && essence.split_once('/').is_some_and(|(kind, sub)| is_token(kind) && is_token(sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_can_stand_in_a_header() {
        for good in ["image/png", "text/html; charset=utf-8", "application/vnd.a+json"] {
            assert!(is_media_type(good), "{good}");
        }
        for bad in ["", "png", "image/", "/png", "a b/c", "image/png\r\nx: y", "é/x", "a/b/c"] {
            assert!(!is_media_type(bad), "{bad:?}");
        }
    }
}
