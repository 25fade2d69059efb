//! The manager's ports in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use picloud_manager_core::{Manager, ManagerPorts, ReleaseCaps, Upload};
use picloud_shared::idempotency::{Idempotency, MadeDeploy, NewDeploy};
use picloud_shared::owner::OwnerQuotas;
use picloud_shared::schedule::Planned;
use picloud_shared::secrets::{Listed, Name, SecretStore};
use picloud_shared::{
    App, AppId, AppSlug, AppStore, BlobHash, Clock, CompileError, Event, Finished, Invocation,
    LimitOverrides, Limits, NewRelease, Position, Program, Quota, Release, ReleaseFile,
    ReleaseNumber, ReleaseStore, Sandbox, ScriptError, ScriptInfo, Services, StoreError, UserId,
};

type Files = BTreeMap<String, Bytes>;

/// A manager with the fakes behind it.
pub(crate) struct World {
    pub(crate) manager: Arc<Manager>,
    pub(crate) store: Arc<Stores>,
    pub(crate) sandbox: Arc<Compiler>,
    pub(crate) clock: Arc<HandClock>,
}

pub(crate) const CAPS: ReleaseCaps = ReleaseCaps { bytes: 2_000, files: 10 };

impl World {
    /// With the app `shop`, to which nothing has been deployed.
    pub(crate) async fn new() -> Self {
        let store = Arc::new(Stores::default());
        let sandbox = Arc::new(Compiler::default());
        let clock = Arc::new(HandClock(AtomicU64::new(1_000)));
        let ports = ManagerPorts {
            apps: store.clone(),
            releases: store.clone(),
            secrets: store.clone(),
            owners: store.clone(),
            sandbox: sandbox.clone(),
        };
        let manager = Arc::new(Manager::new(ports, clock.clone(), CAPS, Limits::default()));
        manager.create_app(&slug("shop"), None).await.unwrap();
        Self { manager, store, sandbox, clock }
    }

    pub(crate) async fn shop(&self) -> App {
        self.manager.app(&slug("shop")).await.unwrap()
    }

    /// The active release's number and its files' names.
    pub(crate) async fn active(&self) -> Option<(i64, Vec<String>)> {
        let app = self.shop().await;
        let number = app.active_release?;
        let files = self.store.contents(app.id, number).await.unwrap();
        Some((number.0, files.into_keys().collect()))
    }
}

pub(crate) fn slug(text: &str) -> AppSlug {
    text.parse().unwrap()
}

pub(crate) fn files(files: &[(&str, &str)]) -> Upload {
    let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec().into());
    Upload::Files(files.iter().map(file).collect())
}

pub(crate) fn set(path: &str, text: &str) -> Upload {
    let contents = Some(Bytes::from(text.to_owned()));
    Upload::Patch { path: path.to_owned(), contents }
}

pub(crate) fn remove(path: &str) -> Upload {
    Upload::Patch { path: path.to_owned(), contents: None }
}

/// A clock that is moved by hand.
pub(crate) struct HandClock(pub(crate) AtomicU64);

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// Finds `!!` to be a syntax error, `fn name` to be a function, and follows no import.
#[derive(Default)]
pub(crate) struct Compiler {
    pub(crate) broken: AtomicBool,
    running: AtomicUsize,
    pub(crate) most_running: AtomicUsize,
}

#[async_trait]
impl Sandbox for Compiler {
    async fn compile(&self, program: &Program) -> Result<ScriptInfo, CompileError> {
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most_running.fetch_max(running, SeqCst);
        tokio::task::yield_now().await;
        self.running.fetch_sub(1, SeqCst);
        if self.broken.load(SeqCst) {
            return Err(CompileError::HostFault("/secret/path".to_owned()));
        }
        let entry = program.entry();
        // An import is a mention: enough to share a library's mistake.
        let reached = program.files().iter().filter(|(path, _)| {
            path.as_str() == entry
                || program.files()[entry].contains(path.trim_end_matches(".rhai"))
        });
        let errors: Vec<ScriptError> = reached
            .flat_map(|(path, text)| {
                text.lines().enumerate().filter_map(|(line, text)| {
                    let column = text.find("!!")?;
                    Some(ScriptError {
                        position: Some(Position {
                            file: path.clone(),
                            line: u32::try_from(line + 1).unwrap(),
                            column: u32::try_from(column + 1).unwrap(),
                        }),
                        ..ScriptError::new("unexpected '!'")
                    })
                })
            })
            .collect();
        if program.files()[entry].contains("((((") {
            return Err(CompileError::TooLarge("fuel"));
        }
        if !errors.is_empty() {
            return Err(CompileError::Script(errors));
        }
        let functions = program.files()[entry].split("fn ").skip(1);
        let functions = functions.map(|rest| rest.split('(').next().unwrap().to_owned());
        Ok(ScriptInfo { functions: functions.collect(), imports: Vec::new() })
    }

    async fn invoke(
        &self,
        _: &Program,
        _: Invocation,
        _: Event,
        _: Services,
        _: &Limits,
        _: Duration,
    ) -> Finished {
        unimplemented!("the manager runs nothing")
    }
}

#[derive(Default)]
pub(crate) struct Stores {
    secrets: Mutex<Vec<Name>>,
    apps: Mutex<BTreeMap<AppSlug, App>>,
    releases: Mutex<BTreeMap<(AppId, ReleaseNumber), (Release, Files)>>,
    deploys: Mutex<Vec<(AppId, NewDeploy, ReleaseNumber)>>,
    ids: AtomicI64,
    owners: Mutex<Vec<UserId>>,
    /// That many stores of a release fail because somebody else was faster.
    pub(crate) conflicts: AtomicUsize,
    pub(crate) down: AtomicBool,
}

impl Stores {
    fn check(&self) -> Result<(), StoreError> {
        if self.down.load(SeqCst) { Err(StoreError::unavailable("disk full")) } else { Ok(()) }
    }

    fn find_deploy(
        deploys: &[(AppId, NewDeploy, ReleaseNumber)],
        id: AppId,
        idempotency: &Idempotency,
    ) -> Option<MadeDeploy> {
        let is_it = |(app, deploy, _): &&(AppId, NewDeploy, ReleaseNumber)| {
            *app == id && deploy.idempotency == *idempotency
        };
        let (_, NewDeploy { request, answer, .. }, release) = deploys.iter().find(is_it)?;
        Some(MadeDeploy { request: *request, answer: answer.clone(), release: *release })
    }

    fn edit<T>(&self, id: AppId, edit: impl FnOnce(&mut App) -> T) -> T {
        let mut apps = self.apps.lock().unwrap();
        edit(apps.values_mut().find(|app| app.id == id).unwrap())
    }
}

#[async_trait]
impl AppStore for Stores {
    async fn create(
        &self,
        slug: &AppSlug,
        owner: Option<UserId>,
        now_ms: u64,
    ) -> Result<App, StoreError> {
        self.check()?;
        let mut apps = self.apps.lock().unwrap();
        if apps.contains_key(slug) {
            return Err(StoreError::Conflict);
        }
        let app = App {
            id: AppId(self.ids.fetch_add(1, SeqCst)),
            slug: slug.clone(),
            created_at_ms: now_ms,
            active_release: None,
            limits: LimitOverrides::default(),
        };
        apps.insert(slug.clone(), app.clone());
        self.owners.lock().unwrap().extend(owner);
        Ok(app)
    }

    async fn find(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        self.check()?;
        let app = self.apps.lock().unwrap().get(slug).cloned();
        // Whoever asks at the same time is answered the same.
        tokio::task::yield_now().await;
        Ok(app)
    }

    async fn list(&self, after: Option<&AppSlug>, limit: u32) -> Result<Vec<App>, StoreError> {
        let apps = self.apps.lock().unwrap();
        let apps = apps.values().filter(|app| after.is_none_or(|after| app.slug > *after));
        Ok(apps.take(limit as usize).cloned().collect())
    }

    async fn set_limits(&self, app: AppId, limits: &LimitOverrides) -> Result<(), StoreError> {
        self.edit(app, |app| app.limits = limits.clone());
        Ok(())
    }

    async fn delete(&self, id: AppId) -> Result<bool, StoreError> {
        let mut apps = self.apps.lock().unwrap();
        let before = apps.len();
        apps.retain(|_, app| app.id != id);
        Ok(apps.len() < before)
    }
}

#[async_trait]
impl SecretStore for Stores {
    async fn get(&self, _: AppId, _: &Name) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!("a deploy opens no secret")
    }

    async fn list(&self, _: AppId) -> Result<Vec<Listed>, StoreError> {
        let names = self.secrets.lock().unwrap();
        let listed = |name: &Name| Listed { name: name.clone(), updated_at_ms: 0 };
        Ok(names.iter().map(listed).collect())
    }

    async fn set(&self, _: AppId, name: &Name, _: &[u8], _: u64) -> Result<(), StoreError> {
        self.secrets.lock().unwrap().push(name.clone());
        Ok(())
    }

    async fn delete(&self, _: AppId, _: &Name) -> Result<bool, StoreError> {
        unreachable!("no test deletes a secret")
    }
}

#[async_trait]
impl OwnerQuotas for Stores {
    async fn lower(&self, _: AppId, limits: &Limits) -> Limits {
        limits.clone()
    }

    /// A user may own one app.
    async fn has_room_for_app(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(!self.owners.lock().unwrap().contains(&user))
    }
}

#[async_trait]
impl ReleaseStore for Stores {
    async fn create(&self, id: AppId, new: &NewRelease) -> Result<Release, StoreError> {
        self.check()?;
        let take = |left: usize| left.checked_sub(1);
        if self.conflicts.fetch_update(SeqCst, SeqCst, take).is_ok() {
            return Err(StoreError::Conflict);
        }
        let active = self.edit(id, |app| app.active_release);
        if new.derived_from.is_some() && new.derived_from != active {
            return Err(StoreError::Conflict);
        }
        let mut deploys = self.deploys.lock().unwrap();
        if new
            .deploy
            .as_ref()
            .is_some_and(|new| Self::find_deploy(&deploys, id, &new.idempotency).is_some())
        {
            return Err(StoreError::Conflict);
        }
        let mut releases = self.releases.lock().unwrap();
        let last = releases.keys().filter(|(app, _)| *app == id).count();
        let release = Release {
            number: ReleaseNumber(i64::try_from(last).unwrap() + 1),
            created_at_ms: new.created_at_ms,
            note: new.note.clone(),
            files: new.files.len() as u64,
            bytes: new.files.values().map(|contents| contents.len() as u64).sum(),
        };
        if release.bytes > new.quota_bytes {
            return Err(StoreError::QuotaExceeded(Quota::Releases));
        }
        releases.insert((id, release.number), (release.clone(), new.files.clone()));
        if new.activate {
            self.edit(id, |app| app.active_release = Some(release.number));
        }
        deploys.extend(new.deploy.clone().map(|deploy| (id, deploy, release.number)));
        Ok(release)
    }

    async fn made(
        &self,
        id: AppId,
        idempotency: &Idempotency,
        _: u64,
    ) -> Result<Option<MadeDeploy>, StoreError> {
        let deploys = self.deploys.lock().unwrap();
        Ok(Self::find_deploy(&deploys, id, idempotency))
    }

    async fn find(&self, id: AppId, number: ReleaseNumber) -> Result<Option<Release>, StoreError> {
        let releases = self.releases.lock().unwrap();
        Ok(releases.get(&(id, number)).map(|(release, _)| release.clone()))
    }

    async fn list(
        &self,
        id: AppId,
        before: Option<ReleaseNumber>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError> {
        let releases = self.releases.lock().unwrap();
        let releases = releases.iter().rev().filter(|((app, number), _)| {
            *app == id && before.is_none_or(|before| *number < before)
        });
        Ok(releases.take(limit as usize).map(|(_, (release, _))| release.clone()).collect())
    }

    async fn activate(
        &self,
        id: AppId,
        number: ReleaseNumber,
        _: &[Planned],
        instead_of: Option<ReleaseNumber>,
    ) -> Result<bool, StoreError> {
        if instead_of.is_some() && instead_of != self.edit(id, |app| app.active_release) {
            return Err(StoreError::Conflict);
        }
        let known = self.releases.lock().unwrap().contains_key(&(id, number));
        if known {
            self.edit(id, |app| app.active_release = Some(number));
        }
        Ok(known)
    }

    async fn delete(&self, id: AppId, number: ReleaseNumber) -> Result<bool, StoreError> {
        let active = self.edit(id, |app| app.active_release);
        let mut releases = self.releases.lock().unwrap();
        Ok(active != Some(number) && releases.remove(&(id, number)).is_some())
    }

    async fn files(&self, _: AppId, _: ReleaseNumber) -> Result<Vec<ReleaseFile>, StoreError> {
        unimplemented!("the manager reads contents")
    }

    async fn blob(&self, _: AppId, _: BlobHash) -> Result<Option<Bytes>, StoreError> {
        unimplemented!("the manager reads contents")
    }

    async fn contents(&self, id: AppId, number: ReleaseNumber) -> Result<Files, StoreError> {
        let releases = self.releases.lock().unwrap();
        Ok(releases.get(&(id, number)).map(|(_, files)| files.clone()).unwrap_or_default())
    }
}
