//! What one invocation changes, over all services, and the port that applies
//! it: wholly or not at all.

use async_trait::async_trait;

use crate::{AppId, StoreError, files, kv};

/// Everything that one invocation changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    pub kv: kv::WriteSet,
    /// At most one write per file. The contents are kept already.
    pub files: Vec<files::Write>,
}

impl WriteSet {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kv.is_empty() && self.files.is_empty()
    }
}

impl From<kv::WriteSet> for WriteSet {
    fn from(kv: kv::WriteSet) -> Self {
        Self { kv, files: Vec::new() }
    }
}

/// What an app may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    pub kv_bytes: u64,
    pub file_bytes: u64,
}

/// What an app keeps after a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub kv_bytes: u64,
    /// `None` if the commit did not touch files.
    pub file_bytes: Option<u64>,
}

/// Applies write-sets.
#[async_trait]
pub trait UnitStore: Send + Sync {
    /// Applies a write-set in one transaction: every `seen` must still hold,
    /// and what the app keeps of a kind must not exceed its quota if the
    /// write-set makes it grow.
    ///
    /// It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a `seen` no longer holds, or the app is
    /// gone; [`StoreError::QuotaExceeded`]; nothing is written in either case.
    async fn commit(
        &self,
        app: AppId,
        write_set: WriteSet,
        quotas: Quotas,
        now_ms: u64,
    ) -> Result<Kept, StoreError>;
}
