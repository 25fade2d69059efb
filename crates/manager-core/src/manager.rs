//! Apps and their releases.

mod check;
mod compare;
mod conditions;
mod cycles;
mod deploy;
mod review;

use std::sync::Arc;

use picloud_shared::owner::OwnerQuotas;
use picloud_shared::secrets::SecretStore;
use picloud_shared::{
    App, AppSlug, AppStore, Clock, LimitOverrides, Limits, Quota, Release, ReleaseNumber,
    ReleaseStore, Sandbox, StoreError, UserId,
};
use tokio::sync::{Mutex, Semaphore};

use crate::Error;

pub use check::Checked;
pub use conditions::{Conditions, Expected};
pub use deploy::{Deployed, RouteSummary, Upload};

/// Programs that are compiled for deploys at one time, so that deploying
/// leaves the machine to those who are being served.
const COMPILES: usize = 2;

/// What one release may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseCaps {
    /// Sum of the files' sizes.
    pub bytes: u64,
    pub files: u64,
}

impl Default for ReleaseCaps {
    fn default() -> Self {
        Self { bytes: 10 << 20, files: 1_000 }
    }
}

/// Who decides about apps and releases. An installation has one, whose callers
/// have already been found to be allowed what they ask.
///
/// After a success that changes an app, whoever caches apps has to be told.
pub struct Manager {
    apps: Arc<dyn AppStore>,
    releases: Arc<dyn ReleaseStore>,
    secrets: Arc<dyn SecretStore>,
    owners: Arc<dyn OwnerQuotas>,
    sandbox: Arc<dyn Sandbox>,
    clock: Arc<dyn Clock>,
    caps: ReleaseCaps,
    defaults: Limits,
    compiles: Semaphore,
    storing: Mutex<()>,
}

/// What is behind a [`Manager`].
pub struct ManagerPorts {
    pub apps: Arc<dyn AppStore>,
    pub releases: Arc<dyn ReleaseStore>,
    pub secrets: Arc<dyn SecretStore>,
    pub owners: Arc<dyn OwnerQuotas>,
    pub sandbox: Arc<dyn Sandbox>,
}

impl Manager {
    /// `defaults` are the limits of an app that has none of its own.
    #[must_use]
    pub fn new(
        ports: ManagerPorts,
        clock: Arc<dyn Clock>,
        caps: ReleaseCaps,
        defaults: Limits,
    ) -> Self {
        let ManagerPorts { apps, releases, secrets, owners, sandbox } = ports;
        Self {
            apps,
            releases,
            secrets,
            owners,
            sandbox,
            clock,
            caps,
            defaults,
            compiles: Semaphore::new(COMPILES),
            storing: Mutex::new(()),
        }
    }

    #[must_use]
    pub fn caps(&self) -> &ReleaseCaps {
        &self.caps
    }

    /// Makes an app, which is `owner`'s, or the operator's alone.
    pub async fn create_app(&self, slug: &AppSlug, owner: Option<UserId>) -> Result<App, Error> {
        if let Some(owner) = owner
            && !self.owners.has_room_for_app(owner).await?
        {
            return Err(Error::QuotaExceeded(Quota::Apps));
        }
        match self.apps.create(slug, owner, self.clock.now_ms()).await {
            Err(StoreError::Conflict) => Err(Error::NameTaken(slug.to_string())),
            made => Ok(made?),
        }
    }

    pub async fn find_app(&self, slug: &AppSlug) -> Result<Option<App>, Error> {
        Ok(self.apps.find(slug).await?)
    }

    pub async fn app(&self, slug: &AppSlug) -> Result<App, Error> {
        self.apps.find(slug).await?.ok_or_else(|| Error::AppNotFound(slug.clone()))
    }

    /// Up to `limit` apps in the order of their names, from the first after `after`.
    pub async fn apps(&self, after: Option<&AppSlug>, limit: u32) -> Result<Vec<App>, Error> {
        Ok(self.apps.list(after, limit).await?)
    }

    /// The app as it is by now. Another one that has its name since is not it.
    async fn again(&self, app: &App) -> Result<App, Error> {
        let again = self.app(&app.slug).await?;
        if again.id == app.id { Ok(again) } else { Err(Error::AppNotFound(again.slug)) }
    }

    /// Deletes the app with everything that it owns.
    pub async fn delete_app(&self, app: &App) -> Result<(), Error> {
        if self.apps.delete(app.id).await? {
            Ok(())
        } else {
            Err(Error::AppNotFound(app.slug.clone()))
        }
    }

    /// Replaces the app's departures from the default limits.
    pub async fn set_limits(&self, app: &App, limits: LimitOverrides) -> Result<App, Error> {
        self.apps.set_limits(app.id, &limits).await?;
        Ok(App { limits, ..app.clone() })
    }

    /// Up to `limit` releases, newest first, from the first below `before`.
    pub async fn releases(
        &self,
        app: &App,
        before: Option<ReleaseNumber>,
        limit: u32,
    ) -> Result<Vec<Release>, Error> {
        Ok(self.releases.list(app.id, before, limit).await?)
    }
}
