//! An app: a tenant's unit of isolation.

use async_trait::async_trait;
use serde::Serialize;

use crate::{AppId, AppSlug, LimitOverrides, ReleaseNumber, StoreError, UserId};

/// An app as the store knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct App {
    #[serde(skip)]
    pub id: AppId,
    pub slug: AppSlug,
    /// Unix time, milliseconds.
    pub created_at_ms: u64,
    /// The release that answers requests; there is none until the first deploy.
    pub active_release: Option<ReleaseNumber>,
    /// Where an admin departed from the default limits.
    pub limits: LimitOverrides,
}

/// Where apps are kept.
#[async_trait]
pub trait AppStore: Send + Sync {
    /// Makes the app, with its owner if it has one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the slug is taken, or the user is gone.
    async fn create(
        &self,
        slug: &AppSlug,
        owner: Option<UserId>,
        now_ms: u64,
    ) -> Result<App, StoreError>;

    async fn find(&self, slug: &AppSlug) -> Result<Option<App>, StoreError>;

    /// Up to `limit` apps in the order of their slugs, from the first after `after`.
    async fn list(&self, after: Option<&AppSlug>, limit: u32) -> Result<Vec<App>, StoreError>;

    /// Replaces an app's limits.
    async fn set_limits(&self, app: AppId, limits: &LimitOverrides) -> Result<(), StoreError>;

    /// Deletes the app and everything that it owns: releases, blobs, KV
    /// entries, executions and logs. `false` if there was none.
    async fn delete(&self, app: AppId) -> Result<bool, StoreError>;
}
