//! What one invocation changes, over all services, and the port that applies
//! it: wholly or not at all.

use async_trait::async_trait;

use crate::outbox::{Emitted, Lease};
use crate::{AppId, Limits, StoreError, files, kv};

/// Everything that one invocation changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    pub kv: kv::WriteSet,
    /// At most one write per file. The contents are kept already.
    pub files: Vec<files::Write>,
    /// What these changes and the invocation have caused.
    pub events: Vec<Emitted>,
    /// The delivery that the invocation handles.
    pub ack: Option<Lease>,
}

impl WriteSet {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kv.is_empty() && self.files.is_empty() && self.events.is_empty() && self.ack.is_none()
    }
}

impl From<kv::WriteSet> for WriteSet {
    fn from(kv: kv::WriteSet) -> Self {
        Self { kv, ..Self::default() }
    }
}

/// What an app may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    pub kv_bytes: u64,
    pub file_bytes: u64,
    pub outbox_rows: u64,
    pub outbox_bytes: u64,
}

impl Quotas {
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        let Limits { kv_bytes, file_bytes, outbox_rows, outbox_bytes, .. } = *limits;
        Self { kv_bytes, file_bytes, outbox_rows, outbox_bytes }
    }

    /// Deliveries and bytes that the outbox may have after a commit. A handler
    /// of an event may go a tenth over it, so that a full outbox empties even
    /// where handling an event makes another one.
    #[must_use]
    pub fn outbox(&self, is_handler_of_event: bool) -> (u64, u64) {
        let over = |quota: u64| if is_handler_of_event { quota / 10 } else { 0 };
        let max = |quota: u64| quota.saturating_add(over(quota));
        (max(self.outbox_rows), max(self.outbox_bytes))
    }
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
    /// the lease of the delivery must be the last one, and what the app keeps
    /// of a kind must not exceed its quota if the write-set makes it grow.
    ///
    /// What has expired, and deliveries that are done, give way first. On
    /// PostgreSQL commits that run at the same time do not see one another's
    /// events, so together they may take the outbox over its quota.
    ///
    /// It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a `seen` no longer holds, or the app is
    /// gone; [`StoreError::Superseded`]; [`StoreError::QuotaExceeded`]; nothing
    /// is written in any of these cases.
    async fn commit(
        &self,
        app: AppId,
        write_set: WriteSet,
        quotas: Quotas,
        now_ms: u64,
    ) -> Result<Kept, StoreError>;
}
