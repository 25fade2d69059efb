//! Apps by name, ready to run, kept in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use picloud_shared::config::Settings;
use picloud_shared::{
    App, AppId, AppSlug, AppStore, HostPattern, Layout, Limits, Manifest, Program, ReleaseNumber,
    ReleaseStore, ScriptError, ScriptPath, StoreError, Trigger,
};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::RouteTable;

/// What an entry weighs beside its scripts and templates: tables, paths, bookkeeping.
const ENTRY_BYTES: u64 = 4 * 1024;
/// The part of the memory that previews may take.
const PREVIEW_SHARE: u64 = 8;

/// An app with one of its releases.
#[derive(Debug)]
pub struct RunnableApp {
    pub app: App,
    /// Defaults, the admin's departures and the manifest's, in that order.
    pub limits: Arc<Limits>,
    pub release: Arc<LoadedRelease>,
    /// The active release, where `release` is another one.
    pub active: Option<Arc<LoadedRelease>>,
    /// The triggers of the active release, also where another one is run: what
    /// changes, changes for the app.
    pub triggers: Arc<[Trigger]>,
}

/// A release as a request needs it.
#[derive(Debug)]
pub struct LoadedRelease {
    pub number: ReleaseNumber,
    pub manifest: Manifest,
    pub routes: RouteTable,
    /// The manifest's `[config]`, as scripts get it.
    pub settings: Arc<Settings>,
    /// The manifest's `[egress] allow`.
    pub egress: Arc<[HostPattern]>,
    /// The manifest's `[[triggers]]`.
    pub triggers: Arc<[Trigger]>,
    programs: BTreeMap<ScriptPath, Arc<Program>>,
    /// Bytes of all scripts and templates.
    bytes: u64,
}

impl LoadedRelease {
    /// The program that starts with this script; `None` if no handler names it.
    #[must_use]
    pub fn program(&self, script: &str) -> Option<&Arc<Program>> {
        self.programs.get(script)
    }

    /// The text of a script, for showing where it failed.
    #[must_use]
    pub fn source(&self, script: &str) -> Option<&str> {
        let files = self.programs.values().next()?.files();
        files.get(script).map(String::as_str)
    }
}

/// Why an app that exists cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored release does not follow the rules of this version.
    #[error("release {release} can no longer be run: {reason}")]
    Broken { release: ReleaseNumber, reason: String },
}

/// Finds apps by name, in memory or else through the stores.
///
/// However many requests ask for an app that is not in memory, it is loaded
/// once. Names of no app are not remembered, so that inventing names costs
/// the inventor a query each and us no memory.
pub struct AppDirectory {
    apps: Arc<dyn AppStore>,
    releases: Arc<dyn ReleaseStore>,
    defaults: Limits,
    active: Cache<AppSlug, Arc<RunnableApp>, ByBytes>,
    /// A release never changes, so these are never stale.
    previews: Cache<(AppId, ReleaseNumber), Arc<LoadedRelease>, ByBytes>,
}

impl AppDirectory {
    /// A directory that keeps about `capacity_bytes` of scripts in memory.
    #[must_use]
    pub fn new(
        apps: Arc<dyn AppStore>,
        releases: Arc<dyn ReleaseStore>,
        defaults: Limits,
        capacity_bytes: u64,
    ) -> Self {
        let cache_items = |bytes: u64| usize::try_from(bytes / ENTRY_BYTES / 4).unwrap_or(1).max(1);
        let preview_bytes = capacity_bytes / PREVIEW_SHARE;
        Self {
            apps,
            releases,
            defaults,
            active: Cache::with_weighter(cache_items(capacity_bytes), capacity_bytes, ByBytes),
            previews: Cache::with_weighter(cache_items(preview_bytes), preview_bytes, ByBytes),
        }
    }

    /// The app with its active release; `None` if there is no such app, or
    /// nothing has been deployed to it yet.
    pub async fn active(&self, slug: &AppSlug) -> Result<Option<Arc<RunnableApp>>, DirectoryError> {
        if let Some(app) = self.active.get(slug) {
            return Ok(Some(app));
        }
        // Asked outside of the queue for the one load, where requests for what
        // cannot be loaded would wait for each other in vain.
        if self.apps.find(slug).await?.is_none_or(|app| app.active_release.is_none()) {
            return Ok(None);
        }
        let guard = match self.active.get_value_or_guard_async(slug).await {
            Ok(app) => return Ok(Some(app)),
            Err(guard) => guard,
        };
        // Asked again inside: what was read before the guard was taken may be
        // from before an `invalidate` that came before it, too.
        let Some(app) = self.apps.find(slug).await? else { return Ok(None) };
        let Some(number) = app.active_release else { return Ok(None) };
        let Some(release) = self.load(app.id, number).await? else { return Ok(None) };
        let app = Arc::new(self.runnable(app, Arc::new(release)));
        // Not kept if the app was invalidated while it was being loaded.
        _ = guard.insert(Arc::clone(&app));
        Ok(Some(app))
    }

    /// The app with the release of this number, active or not.
    pub async fn preview(
        &self,
        slug: &AppSlug,
        number: ReleaseNumber,
    ) -> Result<Option<Arc<RunnableApp>>, DirectoryError> {
        let Some(app) = self.apps.find(slug).await? else { return Ok(None) };
        let key = (app.id, number);
        let release = if let Some(release) = self.previews.get(&key) {
            release
        } else {
            let Some(release) = self.load(app.id, number).await?.map(Arc::new) else {
                return Ok(None);
            };
            self.previews.insert(key, Arc::clone(&release));
            release
        };
        let active = self.active(slug).await?;
        let triggers = active.as_ref().map(|app| Arc::clone(&app.triggers));
        let active = active.filter(|app| app.release.number != number);
        Ok(Some(Arc::new(RunnableApp {
            triggers: triggers.unwrap_or_else(|| Arc::from([])),
            active: active.map(|app| Arc::clone(&app.release)),
            ..self.runnable(app, release)
        })))
    }

    /// To be called after anything about an app has changed: who asks from now
    /// on is told what is in the stores now, even if a load is under way.
    pub fn invalidate(&self, slug: &AppSlug) {
        self.active.remove(slug);
    }

    fn runnable(&self, app: App, release: Arc<LoadedRelease>) -> RunnableApp {
        let limits = self.defaults.with(&app.limits).lowered_by(&release.manifest.limits);
        let triggers = Arc::clone(&release.triggers);
        RunnableApp { app, limits: Arc::new(limits), release, active: None, triggers }
    }

    async fn load(
        &self,
        app: AppId,
        number: ReleaseNumber,
    ) -> Result<Option<LoadedRelease>, DirectoryError> {
        let files = self.releases.files(app, number).await?;
        let contents = self.releases.contents(app, number).await?;
        if files.is_empty() && self.releases.find(app, number).await?.is_none() {
            return Ok(None);
        }
        let broken = |reason| DirectoryError::Broken { release: number, reason };
        let layout = Layout::of(&contents).map_err(|errors| broken(listed(&errors)))?;
        let routes = RouteTable::new(&layout.routes, &files).map_err(broken)?;
        Ok(Some(LoadedRelease {
            number,
            routes,
            settings: Arc::new(layout.manifest.settings()),
            egress: layout.manifest.egress.clone().into(),
            triggers: layout.manifest.triggers.clone().into(),
            programs: layout.programs(),
            bytes: layout.sources.values().map(|source| source.len() as u64).sum(),
            manifest: layout.manifest,
        }))
    }
}

fn listed(errors: &[ScriptError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<AppSlug, Arc<RunnableApp>> for ByBytes {
    fn weight(&self, _: &AppSlug, app: &Arc<RunnableApp>) -> u64 {
        ENTRY_BYTES + app.release.bytes
    }
}

impl Weighter<(AppId, ReleaseNumber), Arc<LoadedRelease>> for ByBytes {
    fn weight(&self, _: &(AppId, ReleaseNumber), release: &Arc<LoadedRelease>) -> u64 {
        ENTRY_BYTES + release.bytes
    }
}
