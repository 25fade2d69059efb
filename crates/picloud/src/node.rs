//! What the parts of a running server share.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use picloud_executor_core::{Executor, Owners, Recorder, UsageKeeper};
use picloud_host::Host;
use picloud_manager_core::{Accounts, DomainKeeper, Manager, SecretKeeper};
use picloud_orchestrator_core::{AppDirectory, DomainDirectory, Hosts, Rates};
use picloud_shared::files::Contents;
use picloud_shared::{AppSlug, Clock, Vault};
use picloud_store::Stores;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use crate::backups::Backups;
use crate::blobs::Blobs;
use crate::config::PublicUrl;
use crate::dashboard::Dashboard;
use crate::http::{Checks, KnownPasswords};
use crate::server::Settler;
use crate::traces::Traces;

/// KiB of memory for the bodies of apps' requests.
pub const BODIES_KIB: u32 = 256 << 10;

/// A running server's parts, wired.
pub struct Node {
    pub hosts: Hosts,
    pub directory: AppDirectory,
    /// Domains of apps' own, as requests find them.
    pub domain_directory: DomainDirectory,
    pub manager: Arc<Manager>,
    pub secrets: SecretKeeper,
    pub accounts: Accounts,
    pub domains: DomainKeeper,
    pub executor: Executor,
    /// How often apps' clients may come.
    pub rates: Rates,
    /// Passwords that were right lately.
    pub passwords: KnownPasswords,
    /// Checks of files that are under way.
    pub checks: Checks,
    pub recorder: Recorder,
    pub usage: UsageKeeper,
    pub owners: Owners,
    pub sandbox: Arc<Host>,
    pub stores: Stores,
    /// The bytes of apps' files.
    pub contents: Arc<dyn Contents>,
    pub backups: Backups,
    pub vault: Arc<Vault>,
    /// Files that were asked for lately.
    pub blobs: Blobs,
    /// KiB that apps' requests may have in their bodies, all together.
    pub bodies: Semaphore,
    pub dashboard: Dashboard,
    pub clock: Arc<dyn Clock>,
    pub metrics: PrometheusHandle,
    /// SHA-256 of the admin's token; `None` asks for none (`picloud dev`).
    pub admin_token: Option<[u8; 32]>,
    pub trusted_proxies: Vec<IpNet>,
    /// `None` where nothing is traced.
    pub traces: Option<Arc<Traces>>,
    /// Where clients reach the control plane; `None` for where it listens.
    pub public_url: Option<PublicUrl>,
    /// Port that URLs name without a public one.
    pub port: u16,
    /// Whether answers may show what went wrong in a script.
    pub dev: bool,
    /// Wakes up whoever delivers events and fires schedules.
    pub deliver: Arc<Notify>,
    /// Changes whenever there may be new events.
    pub outbox_changes: watch::Sender<()>,
    /// Asks for word when nothing is due and nothing runs.
    pub settlers: mpsc::UnboundedSender<Settler>,
    /// Days for which executions and logs are kept.
    pub retention_days: u64,
    /// Invocations at one time, of the whole instance.
    pub max_concurrent_executions: usize,
    /// When it was started, Unix time in milliseconds.
    pub started_at_ms: u64,
    pub data_dir: PathBuf,
    /// Turns true once the server is told to stop.
    pub stopping: watch::Sender<bool>,
}

impl Node {
    /// The app's address, for people.
    pub fn app_url(&self, app: &AppSlug) -> String {
        self.url_of(&self.hosts.of_app(app))
    }

    /// The address of one of our hosts, for people.
    pub fn url_of(&self, host: &str) -> String {
        match &self.public_url {
            Some(public) => public.at(host),
            None => format!("http://{host}:{}/", self.port),
        }
    }

    /// The control plane's address, for people.
    pub fn base_url(&self) -> String {
        self.url_of(self.hosts.control()).trim_end_matches('/').to_owned()
    }

    /// The address at which a link's secret is used, for people. What comes
    /// after the `#` browsers keep to themselves.
    pub fn invite_url(&self, secret: &str) -> String {
        format!("{}/join#{secret}", self.base_url())
    }

    /// To be called after anything about an app has changed.
    pub fn changed(&self, app: &AppSlug) {
        self.directory.invalidate(app);
        // Its schedules may be others now.
        self.deliver.notify_one();
    }

    /// Waits until everything that is due has been delivered. When something
    /// will be due again, Unix time in milliseconds.
    pub async fn settle(&self) -> Option<u64> {
        let (settler, settled) = oneshot::channel();
        // An error means that nobody delivers any more.
        self.settlers.send(settler).ok()?;
        settled.await.ok().flatten()
    }

    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
