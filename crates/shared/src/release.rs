//! A release: an immutable, numbered snapshot of an app's files.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;

use crate::idempotency::{Idempotency, MadeDeploy, NewDeploy};
use crate::schedule::Planned;
use crate::{AppId, BlobHash, ReleaseNumber, StoreError};

/// A release without its files' contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Release {
    pub number: ReleaseNumber,
    /// Unix time, milliseconds.
    pub created_at_ms: u64,
    /// Where it came from, for people: `upload`, `script hello.rhai`, `dev`.
    pub note: String,
    pub files: u64,
    /// Sum of the files' sizes.
    pub bytes: u64,
}

impl Release {
    /// Tells it from every other release that its app, or another app of this
    /// name, has ever had.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{}-{:x}", self.number, self.created_at_ms)
    }
}

/// One file's entry in a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    pub path: String,
    pub hash: BlobHash,
    pub bytes: u64,
}

/// What a deploy stores.
#[derive(Clone, Debug)]
pub struct NewRelease {
    pub note: String,
    pub created_at_ms: u64,
    /// Whether it is the active one from then on.
    pub activate: bool,
    /// Path within the app → contents. Paths are already validated.
    pub files: BTreeMap<String, Bytes>,
    /// The active release that the files were derived from; the deploy is a
    /// [`StoreError::Conflict`] when another one became active meanwhile.
    /// `None` replaces whatever is active.
    pub derived_from: Option<ReleaseNumber>,
    /// By what it is to be found if it is asked for again; a
    /// [`StoreError::Conflict`] if a release of the last [`KEPT_MS`] is.
    ///
    /// [`KEPT_MS`]: crate::idempotency::KEPT_MS
    pub deploy: Option<NewDeploy>,
    /// The schedules that its manifest has; they are the app's if it is the
    /// active one.
    pub schedules: Vec<Planned>,
    /// Bytes that the contents of all the app's releases may take.
    pub quota_bytes: u64,
}

/// Where releases are kept, their contents addressed by hash within the app.
#[async_trait]
pub trait ReleaseStore: Send + Sync {
    /// Stores the release under the next number and, if it is to be, makes it
    /// the active one, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`] if it brings contents for which there is no
    /// room.
    async fn create(&self, app: AppId, release: &NewRelease) -> Result<Release, StoreError>;

    async fn find(&self, app: AppId, number: ReleaseNumber) -> Result<Option<Release>, StoreError>;

    /// Up to `limit` releases, newest first, from the first below `before`.
    async fn list(
        &self,
        app: AppId,
        before: Option<ReleaseNumber>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError>;

    /// The release that was made under this key, if that is less than
    /// [`KEPT_MS`](crate::idempotency::KEPT_MS) ago.
    async fn made(
        &self,
        app: AppId,
        idempotency: &Idempotency,
        now_ms: u64,
    ) -> Result<Option<MadeDeploy>, StoreError>;

    /// Makes an existing release the active one, with its schedules. `false` if
    /// there is no such release.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if `instead_of` is given and another one is
    /// active.
    async fn activate(
        &self,
        app: AppId,
        number: ReleaseNumber,
        schedules: &[Planned],
        instead_of: Option<ReleaseNumber>,
    ) -> Result<bool, StoreError>;

    /// Deletes a release with the contents that no other one has. `false` if
    /// there is none, or if it is the active or the newest one: numbers are
    /// never given out twice.
    async fn delete(&self, app: AppId, number: ReleaseNumber) -> Result<bool, StoreError>;

    /// The files of a release in the order of their paths; empty if there is no such release.
    async fn files(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<Vec<ReleaseFile>, StoreError>;

    /// The contents stored under `hash` by this app.
    async fn blob(&self, app: AppId, hash: BlobHash) -> Result<Option<Bytes>, StoreError>;

    /// All files of a release with their contents, in one read.
    async fn contents(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<BTreeMap<String, Bytes>, StoreError>;
}
