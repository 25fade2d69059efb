//! Stores in memory, which count what is read and can be held up in a read.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use picloud_shared::idempotency::{Idempotency, MadeDeploy};
use picloud_shared::schedule::Planned;
use picloud_shared::{
    App, AppId, AppSlug, AppStore, BlobHash, LimitOverrides, NewRelease, Release, ReleaseFile,
    ReleaseNumber, ReleaseStore, StoreError, UserId,
};
use tokio::sync::Semaphore;

type Files = BTreeMap<String, Bytes>;

pub(crate) struct Stores {
    apps: Mutex<BTreeMap<AppSlug, App>>,
    releases: Mutex<BTreeMap<(AppId, ReleaseNumber), Files>>,
    /// A read of a release's contents waits for a permit here.
    pub(crate) reads: Semaphore,
    pub(crate) finds: AtomicUsize,
    pub(crate) loads: AtomicUsize,
    pub(crate) down: Mutex<bool>,
}

impl Stores {
    pub(crate) fn new() -> Self {
        Self {
            apps: Mutex::default(),
            releases: Mutex::default(),
            reads: Semaphore::new(Semaphore::MAX_PERMITS),
            finds: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
            down: Mutex::new(false),
        }
    }

    /// Makes the app if need be, and the files its new active release.
    pub(crate) fn deploy(&self, slug: &str, files: &[(&str, &str)]) -> ReleaseNumber {
        let slug: AppSlug = slug.parse().unwrap();
        let mut apps = self.apps.lock().unwrap();
        let id = AppId(i64::try_from(apps.len()).unwrap() + 1);
        let app = apps.entry(slug.clone()).or_insert_with(|| App {
            id,
            slug,
            created_at_ms: 0,
            active_release: None,
            limits: LimitOverrides::default(),
        });
        let number = ReleaseNumber(app.active_release.map_or(1, |release| release.0 + 1));
        app.active_release = Some(number);
        let files =
            files.iter().map(|(path, text)| (String::from(*path), text.as_bytes().to_vec().into()));
        self.releases.lock().unwrap().insert((app.id, number), files.collect());
        number
    }

    pub(crate) fn edit(&self, slug: &str, edit: impl FnOnce(&mut App)) {
        edit(self.apps.lock().unwrap().get_mut(&slug.parse::<AppSlug>().unwrap()).unwrap());
    }

    pub(crate) fn remove(&self, slug: &str) {
        self.apps.lock().unwrap().remove(&slug.parse::<AppSlug>().unwrap());
    }

    fn release(&self, app: AppId, number: ReleaseNumber) -> Files {
        self.releases.lock().unwrap().get(&(app, number)).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl AppStore for Stores {
    async fn create(&self, _: &AppSlug, _owner: Option<UserId>, _: u64) -> Result<App, StoreError> {
        unimplemented!()
    }

    async fn find(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        if *self.down.lock().unwrap() {
            return Err(StoreError::unavailable("down"));
        }
        Ok(self.apps.lock().unwrap().get(slug).cloned())
    }

    async fn list(&self, _: Option<&AppSlug>, _: u32) -> Result<Vec<App>, StoreError> {
        unimplemented!()
    }

    async fn set_limits(&self, _: AppId, _: &LimitOverrides) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn delete(&self, _: AppId) -> Result<bool, StoreError> {
        unimplemented!()
    }
}

#[async_trait]
impl ReleaseStore for Stores {
    async fn create(&self, _: AppId, _: &NewRelease) -> Result<Release, StoreError> {
        unimplemented!()
    }

    async fn find(&self, app: AppId, number: ReleaseNumber) -> Result<Option<Release>, StoreError> {
        let known = self.releases.lock().unwrap().contains_key(&(app, number));
        let release = Release { number, created_at_ms: 0, note: String::new(), files: 0, bytes: 0 };
        Ok(known.then_some(release))
    }

    async fn list(
        &self,
        _: AppId,
        _: Option<ReleaseNumber>,
        _: u32,
    ) -> Result<Vec<Release>, StoreError> {
        unimplemented!()
    }

    async fn activate(
        &self,
        _: AppId,
        _: ReleaseNumber,
        _: &[Planned],
        _: Option<ReleaseNumber>,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn delete(&self, _: AppId, _: ReleaseNumber) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn made(
        &self,
        _: AppId,
        _: &Idempotency,
        _: u64,
    ) -> Result<Option<MadeDeploy>, StoreError> {
        unimplemented!()
    }

    async fn files(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<Vec<ReleaseFile>, StoreError> {
        let file = |(path, bytes): (String, Bytes)| ReleaseFile {
            path,
            hash: BlobHash::of(&bytes),
            bytes: bytes.len() as u64,
        };
        Ok(self.release(app, number).into_iter().map(file).collect())
    }

    async fn blob(&self, _: AppId, _: BlobHash) -> Result<Option<Bytes>, StoreError> {
        unimplemented!()
    }

    async fn contents(&self, app: AppId, number: ReleaseNumber) -> Result<Files, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.reads.acquire().await.unwrap().forget();
        Ok(self.release(app, number))
    }
}
