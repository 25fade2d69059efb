//! The ports beside KV, in memory: files and their contents, other servers,
//! secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use picloud_shared::files::{
    Bucket, Change, Contents, Entry, FileStore, Listed, Path, Pieces, Staged, Write,
};
use picloud_shared::http::{self, Caps, HttpClient};
use picloud_shared::kv::{Range, Seen};
use picloud_shared::secrets::{self, Name, SecretStore};
use picloud_shared::{AppId, BlobHash, Quota, StoreError};

/// Files, and contents that were kept.
#[derive(Default)]
pub struct MemoryFiles {
    entries: Mutex<BTreeMap<(AppId, Bucket, Path), Entry>>,
    version: Mutex<i64>,
    pub kept: Arc<Mutex<BTreeMap<(AppId, BlobHash), Bytes>>>,
}

impl MemoryFiles {
    /// Applies files' writes, or none of them.
    pub fn apply(
        &self,
        app: AppId,
        writes: Vec<Write>,
        max_bytes: u64,
    ) -> Result<Option<u64>, StoreError> {
        if writes.is_empty() {
            return Ok(None);
        }
        let mut entries = self.entries.lock().unwrap();
        let mut after = entries.clone();
        for Write { bucket, path, seen, change } in writes {
            let id = (app, bucket, path);
            let version = entries.get(&id).map(|entry| entry.version);
            let holds = match seen {
                Seen::Unread => true,
                Seen::Absent => version.is_none(),
                Seen::Version(seen) => version == Some(seen),
            };
            if !holds {
                return Err(StoreError::Conflict);
            }
            match change {
                Change::Put(info) => {
                    assert!(
                        self.kept.lock().unwrap().contains_key(&(app, info.hash)),
                        "contents are kept before anything names them"
                    );
                    let mut version = self.version.lock().unwrap();
                    *version += 1;
                    after.insert(id, Entry { info, version: *version });
                }
                Change::Delete => _ = after.remove(&id),
            }
        }
        let used = after.iter().filter(|((of, ..), _)| *of == app).map(|(_, e)| e.info.bytes).sum();
        if used > max_bytes {
            return Err(StoreError::QuotaExceeded(Quota::Files));
        }
        *entries = after;
        Ok(Some(used))
    }

    /// Texts that are kept, of any app.
    pub fn kept_texts(&self) -> BTreeSet<String> {
        let kept = self.kept.lock().unwrap();
        kept.values().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
    }
}

#[async_trait]
impl FileStore for MemoryFiles {
    async fn get(
        &self,
        app: AppId,
        bucket: &Bucket,
        path: &Path,
    ) -> Result<Option<Entry>, StoreError> {
        let entries = self.entries.lock().unwrap();
        Ok(entries.get(&(app, bucket.clone(), path.clone())).cloned())
    }

    async fn list(
        &self,
        app: AppId,
        bucket: &Bucket,
        range: Range<'_>,
    ) -> Result<Listed, StoreError> {
        let entries = self.entries.lock().unwrap();
        let mut live = entries
            .iter()
            .filter(|((a, b, path), _)| {
                *a == app
                    && b == bucket
                    && path.as_str().starts_with(range.prefix)
                    && range.after.is_none_or(|after| path.as_str() > after)
            })
            .map(|((.., path), entry)| (path.clone(), entry.clone()));
        let files = live.by_ref().take(range.limit as usize).collect();
        Ok(Listed { files, more: live.next().is_some() })
    }

    async fn buckets(&self, _: AppId) -> Result<Vec<(Bucket, u64)>, StoreError> {
        unimplemented!("the executor does not list buckets")
    }

    async fn usage(&self, app: AppId) -> Result<u64, StoreError> {
        let entries = self.entries.lock().unwrap();
        let own = entries.iter().filter(|((of, ..), _)| *of == app);
        Ok(own.map(|(_, entry)| entry.info.bytes).sum())
    }

    async fn referenced(
        &self,
        app: AppId,
        asked: &[BlobHash],
    ) -> Result<Vec<BlobHash>, StoreError> {
        let entries = self.entries.lock().unwrap();
        let own = entries.iter().filter(|((of, ..), _)| *of == app);
        let hashes: BTreeSet<_> = own.map(|(_, entry)| entry.info.hash).collect();
        Ok(asked.iter().filter(|hash| hashes.contains(hash)).copied().collect())
    }
}

struct MemoryStaged {
    app: AppId,
    contents: Bytes,
    kept: Arc<Mutex<BTreeMap<(AppId, BlobHash), Bytes>>>,
}

#[async_trait]
impl Staged for MemoryStaged {
    fn hash(&self) -> BlobHash {
        BlobHash::of(&self.contents)
    }

    fn bytes(&self) -> u64 {
        self.contents.len() as u64
    }

    async fn read(&self) -> Result<Bytes, StoreError> {
        Ok(self.contents.clone())
    }

    async fn keep(&self) -> Result<bool, StoreError> {
        let id = (self.app, self.hash());
        Ok(self.kept.lock().unwrap().insert(id, self.contents.clone()).is_none())
    }
}

#[async_trait]
impl Contents for MemoryFiles {
    async fn stage(&self, app: AppId, contents: Bytes) -> Result<Box<dyn Staged>, StoreError> {
        Ok(Box::new(MemoryStaged { app, contents, kept: Arc::clone(&self.kept) }))
    }

    async fn stage_pieces(
        &self,
        _: AppId,
        _: Pieces,
        _: u64,
    ) -> Result<Box<dyn Staged>, StoreError> {
        unimplemented!("scripts have whole files")
    }

    async fn read(&self, app: AppId, hash: BlobHash) -> Result<Option<Bytes>, StoreError> {
        Ok(self.kept.lock().unwrap().get(&(app, hash)).cloned())
    }

    async fn open(&self, _: AppId, _: BlobHash, _: u64) -> Result<Option<Pieces>, StoreError> {
        unimplemented!("scripts have whole files")
    }

    async fn remove(&self, app: AppId, hashes: &[BlobHash]) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().unwrap();
        for hash in hashes {
            kept.remove(&(app, *hash));
        }
        Ok(())
    }

    async fn apps(&self) -> Result<Vec<AppId>, StoreError> {
        unimplemented!("the executor is told which apps there are")
    }

    async fn older_than(&self, app: AppId, _: u64) -> Result<Vec<BlobHash>, StoreError> {
        let kept = self.kept.lock().unwrap();
        Ok(kept.keys().filter(|(of, _)| *of == app).map(|(_, hash)| *hash).collect())
    }

    async fn remove_app(&self, _: AppId) -> Result<(), StoreError> {
        unimplemented!("the executor does not delete apps")
    }
}

/// Answers every request, and remembers whose it was.
#[derive(Default)]
pub struct MemoryHttp(pub Mutex<Vec<(AppId, Caps, http::Request)>>);

#[async_trait]
impl HttpClient for MemoryHttp {
    async fn send(
        &self,
        app: AppId,
        caps: &Caps,
        request: http::Request,
    ) -> Result<http::Response, http::Error> {
        self.0.lock().unwrap().push((app, caps.clone(), request));
        Ok(http::Response { status: 200, ..http::Response::default() })
    }
}

/// Sealed secrets.
#[derive(Default)]
pub struct MemorySecrets(pub Mutex<BTreeMap<(AppId, Name), Vec<u8>>>);

#[async_trait]
impl SecretStore for MemorySecrets {
    async fn get(&self, app: AppId, name: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(&(app, name.clone())).cloned())
    }

    async fn list(&self, _: AppId) -> Result<Vec<secrets::Listed>, StoreError> {
        unimplemented!("the executor does not list secrets")
    }

    async fn set(&self, app: AppId, name: &Name, sealed: &[u8], _: u64) -> Result<(), StoreError> {
        self.0.lock().unwrap().insert((app, name.clone()), sealed.to_vec());
        Ok(())
    }

    async fn delete(&self, _: AppId, _: &Name) -> Result<bool, StoreError> {
        unimplemented!("the executor does not delete secrets")
    }
}
