//! The server: wiring, listening, and coming to an end.

mod connections;
mod dispatcher;
mod housekeeping;
mod metrics;
mod peers;
mod warnings;

pub use dispatcher::Settler;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use picloud_egress::{Egress, Policy};
use picloud_executor_core::{Backends, Executor, Owners, Record, Recorder, UsageKeeper};
use picloud_host::Host;
use picloud_manager_core::{
    AccountStores, Accounts, DomainKeeper, Manager, ManagerPorts, ReleaseCaps, SecretKeeper,
};
use picloud_orchestrator_core::{AppDirectory, DomainDirectory, Hosts, Rates};
use picloud_shared::files::Contents;
use picloud_shared::http::HttpClient;
use picloud_shared::vault::KEY_BYTES;
use picloud_shared::{AppSlug, Clock, Limits, SystemClock, Vault};
use picloud_store::{DirContents, Stores};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use crate::backups::Backups;
use crate::blobs::Blobs;
use crate::config::{LogFormat, PublicUrl, ServerConfig};
use crate::dashboard::Dashboard;
use crate::data_dir::{ADMIN_TOKEN_FILE, DataDir, MASTER_KEY_FILE};
use crate::dns::Dns;
use crate::http::{Checks, Front, KnownPasswords};
use crate::node::{BODIES_KIB, Node};
use crate::traces::{Following, Traces};

/// Bytes of scripts that the directory of apps keeps in memory.
const DIRECTORY_BYTES: u64 = 64 << 20;
/// File descriptors to ask for: each script's image and each connection has one.
const WANTED_FILES: u64 = 65_536;

/// Another node's changes of domains are seen after this long at the latest.
const DOMAINS_MAX_AGE_MS: u64 = 5_000;

/// How long connections are still taken once readiness fails, so that whoever
/// spreads the requests hears of it before one is refused.
const GRACE: Duration = Duration::from_millis(200);

/// Runs a server until it is told to stop (SIGINT, SIGTERM).
pub async fn run(config: ServerConfig) -> anyhow::Result<()> {
    start_logging(config.log_format, "info");
    let server = Server::start(config).await?;
    let setup = server.node.accounts.setup().await?;
    // Whoever reads that it is ready may stop it at once.
    let stop = stop_signal()?;
    println!("PiCloud is ready at {}", server.base_url());
    if let Some(path) = &server.token_path {
        eprintln!("The admin's token is in {path}");
    }
    if let Some(secret) = setup {
        let link = server.node.invite_url(&secret);
        eprintln!("Make the first account, within a day: picloud join '{link}'");
        eprintln!("The link opens in a browser, too.");
    }
    stop.await;
    eprintln!("stopping: no new connections, requests under way are finished");
    server.shutdown().await;
    Ok(())
}

/// What a server has around it. Tests of apps run in one of their own.
pub struct World {
    pub clock: Arc<dyn Clock>,
    /// The way to other servers; `None` for the one that the configuration
    /// describes.
    pub network: Option<Arc<dyn HttpClient>>,
}

impl Default for World {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), network: None }
    }
}

/// A server that answers requests.
pub struct Server {
    node: Arc<Node>,
    addr: SocketAddr,
    token_path: Option<String>,
    connections: JoinHandle<()>,
    dispatcher: JoinHandle<()>,
    /// What may be given up at any time.
    background: Vec<JoinHandle<()>>,
    /// Whoever makes spans of records, if anybody does.
    tracing: Option<Following>,
    _data_dir: DataDir,
}

impl Server {
    /// Opens the data directory and the database, sets up the sandbox, listens.
    ///
    /// # Errors
    /// Each says what to do about it.
    pub async fn start(config: ServerConfig) -> anyhow::Result<Self> {
        Self::start_in(config, World::default()).await
    }

    /// [`Server::start`] in a world of one's own.
    ///
    /// # Errors
    /// Each says what to do about it.
    pub async fn start_in(config: ServerConfig, world: World) -> anyhow::Result<Self> {
        raise_file_limit();
        let metrics = metrics::handle()?;
        let hosts = hosts(&config)?;
        let data_dir = DataDir::open(&config.data_dir)?;
        let listener = listen(config.listen).await?;
        let addr = listener.local_addr()?;

        let (admin_token, token_path) = admin_token(&config, &data_dir)?;
        let sandbox = Arc::new(sandbox(&config, data_dir.path()).await?);
        let stores = open_stores(config.database_url.as_deref(), data_dir.path()).await?;
        let vault = Arc::new(vault(config.master_key, &data_dir, &stores).await?);
        let files = DirContents::open(&data_dir.path().join("files"))?;
        let contents: Arc<dyn Contents> = Arc::new(files.clone());
        let World { clock, network } = world;
        let network = network.map_or_else(|| egress(&config, addr.port()), Ok)?;
        let deliver = Arc::new(Notify::new());
        let (recorder, _) = Recorder::start(Arc::clone(&stores.executions));
        let traces = config.otlp_endpoint.as_ref().map(Traces::start).transpose()?.map(Arc::new);
        let tracing = traces.as_ref().map(|traces| traces.follow(recorder.follow()));
        let usage = UsageKeeper::new(Arc::clone(&stores.usage), Arc::clone(&clock));
        let owners =
            Owners::new(Arc::clone(&stores.owners), Arc::clone(&stores.usage), Arc::clone(&clock));
        let backends = Backends {
            kv: Arc::clone(&stores.kv),
            files: Arc::clone(&stores.files),
            contents: Arc::clone(&contents),
            secrets: Arc::clone(&stores.secrets),
            units: Arc::clone(&stores.units),
            http: network,
            vault: Arc::clone(&vault),
            usage: usage.clone(),
            owners: owners.clone(),
            deliver: Arc::clone(&deliver),
        };
        let executor = Executor::new(
            Arc::clone(&sandbox) as _,
            backends,
            Arc::clone(&clock),
            recorder.clone(),
            config.max_concurrent_executions,
        );
        let (domains, domain_directory) = domains(&config, &hosts, &stores, &clock);
        let (settlers, settlers_of) = mpsc::unbounded_channel();
        let stopping = watch::Sender::new(false);
        let node = Arc::new(Node {
            hosts,
            directory: directory(&stores),
            domain_directory,
            manager: Arc::new(manager(&stores, &owners, &sandbox, &clock)),
            secrets: secrets(&stores, &vault, &clock),
            accounts: accounts(&stores, &clock),
            domains,
            executor,
            rates: Rates::default(),
            passwords: KnownPasswords::default(),
            checks: Checks::default(),
            recorder,
            usage,
            owners,
            sandbox,
            backups: Backups::new(stores.clone(), files, data_dir.path(), stopping.clone()),
            stores,
            contents,
            vault,
            blobs: Blobs::default(),
            dashboard: Dashboard::of(config.dashboard_dir.as_deref())?,
            bodies: Semaphore::new(BODIES_KIB as usize),
            started_at_ms: clock.now_ms(),
            clock,
            metrics,
            admin_token,
            trusted_proxies: config.trusted_proxies,
            traces,
            public_url: config.public_url,
            port: addr.port(),
            dev: config.dev,
            deliver,
            outbox_changes: watch::Sender::new(()),
            settlers,
            retention_days: config.retention_days,
            max_concurrent_executions: config.max_concurrent_executions,
            data_dir: data_dir.path().to_owned(),
            stopping,
        });
        let front = Front::new(Arc::clone(&node));
        let connections = tokio::spawn(connections::serve(listener, front, stopped(&node)));
        let dispatcher = tokio::spawn(dispatcher::run(Arc::clone(&node), settlers_of));
        let background = background(&node);
        Ok(Self {
            node,
            addr,
            token_path,
            connections,
            dispatcher,
            background,
            tracing,
            _data_dir: data_dir,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The control plane's address, for people.
    pub fn base_url(&self) -> String {
        if self.addr.ip().is_loopback() || self.addr.ip().is_unspecified() {
            format!("http://localhost:{}", self.addr.port())
        } else {
            format!("http://{}", self.addr)
        }
    }

    /// The app's address, for people.
    pub fn app_url(&self, app: &AppSlug) -> String {
        self.node.app_url(app)
    }

    /// Its parts.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub fn manager(&self) -> &Arc<Manager> {
        &self.node.manager
    }

    /// To be called after the manager has changed an app.
    pub fn invalidate(&self, app: &AppSlug) {
        self.node.changed(app);
    }

    /// Executions from now on, as they end.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Record>> {
        self.node.recorder.follow()
    }

    /// Stops: readiness fails, a moment later no new connections are taken,
    /// requests under way are finished, records are stored, the database is
    /// closed.
    pub async fn shutdown(self) {
        self.node.stopping.send_replace(true);
        // An error means that the listener's task has ended already.
        let _ = self.connections.await;
        let _ = self.dispatcher.await;
        self.background.iter().for_each(JoinHandle::abort);
        self.node.recorder.flush().await;
        if let Some(tracing) = self.tracing {
            tracing.end().await;
        }
        if let Err(error) = self.node.usage.flush().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what apps have used last could not be stored");
        }
        self.node.stores.close().await;
    }
}

/// Resolves when no new connections are to be taken.
fn stopped(node: &Node) -> impl Future<Output = ()> + Send + use<> {
    let mut stopping = node.stopping.subscribe();
    let grace = if node.dev { Duration::ZERO } else { GRACE };
    async move {
        // An error means that the node is gone, so nobody is to be served either.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(grace).await;
    }
}

/// What a server does beside answering and delivering.
fn background(node: &Arc<Node>) -> Vec<JoinHandle<()>> {
    let told = Arc::clone(node);
    let usage = node.usage.clone();
    vec![
        tokio::spawn(async move { usage.run().await }),
        tokio::spawn(housekeeping::run(Arc::clone(node))),
        tokio::spawn(async move { told.stores.tell_of_outbox(&told.deliver).await }),
    ]
}

/// Which release each app answers with.
fn directory(stores: &Stores) -> AppDirectory {
    let (apps, releases) = (Arc::clone(&stores.apps), Arc::clone(&stores.releases));
    AppDirectory::new(apps, releases, Limits::default(), DIRECTORY_BYTES)
}

/// Who decides about apps and releases.
fn manager(
    stores: &Stores,
    owners: &Owners,
    sandbox: &Arc<Host>,
    clock: &Arc<dyn Clock>,
) -> Manager {
    let ports = ManagerPorts {
        apps: Arc::clone(&stores.apps),
        releases: Arc::clone(&stores.releases),
        secrets: Arc::clone(&stores.secrets),
        owners: Arc::new(owners.clone()),
        sandbox: Arc::clone(sandbox) as _,
    };
    Manager::new(ports, Arc::clone(clock), ReleaseCaps::default(), Limits::default())
}

/// Who keeps apps' secrets.
fn secrets(stores: &Stores, vault: &Arc<Vault>, clock: &Arc<dyn Clock>) -> SecretKeeper {
    SecretKeeper::new(Arc::clone(&stores.secrets), Arc::clone(vault), Arc::clone(clock))
}

/// Who has an account. People's passwords are hashed apart from those of
/// scripts, and one at a time, so that neither waits for the other.
fn accounts(stores: &Stores, clock: &Arc<dyn Clock>) -> Accounts {
    let ports = AccountStores {
        users: Arc::clone(&stores.users),
        sessions: Arc::clone(&stores.sessions),
        tokens: Arc::clone(&stores.tokens),
        invites: Arc::clone(&stores.invites),
        members: Arc::clone(&stores.members),
    };
    Accounts::new(ports, picloud_executor_core::passwords(), Arc::clone(clock))
}

async fn sandbox(config: &ServerConfig, data_dir: &Path) -> anyhow::Result<Host> {
    let cache_dir = config.code_cache_dir.clone().unwrap_or_else(|| data_dir.join("cache"));
    let slots = u32::try_from(config.max_concurrent_executions).unwrap_or(u32::MAX);
    let builder =
        Host::builder().slots(slots).cache_dir(cache_dir).traces(config.otlp_endpoint.is_some());
    // Compiling the guest, if it comes to that, takes seconds.
    tokio::task::spawn_blocking(move || builder.build())
        .await?
        .map_err(|error| anyhow!(error).context("the sandbox cannot be set up"))
}

/// The hosts that the configuration names.
fn hosts(config: &ServerConfig) -> anyhow::Result<Hosts> {
    // The first is the one that links to the control plane have.
    let public = config.public_url.iter().map(PublicUrl::host);
    let control: Vec<&str> =
        public.chain(config.control_hosts.iter().map(String::as_str)).collect();
    let apps: Vec<&str> = config.apps_domains.iter().map(String::as_str).collect();
    Ok(Hosts::new(&control, &apps)?)
}

/// Who decides which domain is whose, and who finds it for a request.
fn domains(
    config: &ServerConfig,
    hosts: &Hosts,
    stores: &Stores,
    clock: &Arc<dyn Clock>,
) -> (DomainKeeper, DomainDirectory) {
    let keeper = DomainKeeper::new(
        Arc::clone(&stores.domains),
        Arc::new(Dns::new(config.dns_servers.clone())),
        Arc::clone(clock),
        hosts.reserved().map(str::to_owned).collect(),
    );
    let max_age_ms = stores.is_shared().then_some(DOMAINS_MAX_AGE_MS);
    let directory =
        DomainDirectory::new(Arc::clone(&stores.domains), Arc::clone(clock), max_age_ms);
    (keeper, directory)
}

/// The way to other servers, but for this one.
fn egress(config: &ServerConfig, port: u16) -> anyhow::Result<Arc<dyn HttpClient>> {
    Ok(Arc::new(Egress::new(Policy {
        allow: config.egress_allow.clone(),
        private: config.egress_private.clone(),
        own_port: Some(port),
    })?))
}

async fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program uses it; choose another with --listen, \
                 or let the system choose with --listen 127.0.0.1:0"
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 are reserved; choose another with --listen"
            }
            _ => "choose another with --listen",
        };
        anyhow!(error).context(format!("cannot listen on {addr}: {advice}"))
    })
}

async fn open_stores(database_url: Option<&str>, dir: &Path) -> anyhow::Result<Stores> {
    match database_url {
        None => Stores::open_sqlite(dir)
            .await
            .with_context(|| format!("cannot open the database in {}", dir.display())),
        // The URL may hold a password, so it is not repeated.
        Some(url) => Stores::connect_postgres(url)
            .await
            .context("cannot use the PostgreSQL database of --database-url"),
    }
}

/// The master key's vault, if it is the key that this database knows.
async fn vault(
    key: Option<[u8; KEY_BYTES]>,
    data_dir: &DataDir,
    stores: &Stores,
) -> anyhow::Result<Vault> {
    let (key, origin) = match key {
        Some(key) => (key, "the master key that was given".to_owned()),
        None => (
            data_dir.master_key()?,
            format!("the key in {}", data_dir.path().join(MASTER_KEY_FILE).display()),
        ),
    };
    let vault = Vault::new(&key);
    let known = stores.remember("master key", vault.fingerprint()).await?;
    if known != vault.fingerprint() {
        bail!(
            "{origin} is not the one that this database's secrets are sealed with; put the right \
             one back, into {MASTER_KEY_FILE} in the data directory or into PICLOUD_MASTER_KEY"
        );
    }
    Ok(vault)
}

/// The digest of the admin's token, and where the token lies if it is ours.
/// On a loopback address, `dev` asks for none.
fn admin_token(
    config: &ServerConfig,
    data_dir: &DataDir,
) -> anyhow::Result<(Option<[u8; 32]>, Option<String>)> {
    if config.dev && config.listen.ip().is_loopback() {
        return Ok((None, None));
    }
    let (token, path) = if let Some(token) = &config.admin_token {
        (token.clone(), None)
    } else {
        let path = data_dir.path().join(ADMIN_TOKEN_FILE);
        (data_dir.admin_token()?, Some(path.display().to_string()))
    };
    Ok((Some(Sha256::digest(token).into()), path))
}

fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED_FILES, |maximum| maximum.min(WANTED_FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}

/// Resolves when the process is told to stop, from now on.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The server's own log goes to standard error; `RUST_LOG` chooses what, and
/// `default` does where that is silent.
pub fn start_logging(format: LogFormat, default: &str) {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // An embedding program, or a test, may have set one up already.
    let _ = match format {
        LogFormat::Text => builder.compact().with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
