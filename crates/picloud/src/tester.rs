//! Runs an app's tests. Each finds the app as it is deployed, on a server that
//! is for tests alone: without data, with a clock that stands still, in a
//! network without other servers.

mod clock;
mod lent;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use picloud_egress::Stubs;
use picloud_executor_core::{Record, Task};
use picloud_manager_core::{Error, Upload};
use picloud_orchestrator_core::RunnableApp;
use picloud_shared::{
    AppSlug, CompileError, Event, Handler, Layout, LimitOverrides, NamedEvent, Outcome, Program,
    Sandbox as _, ScriptError, layout,
};
use tempfile::TempDir;
use tokio::sync::broadcast::error::TryRecvError;

use crate::client::{self, Issue, Problem};
use crate::config::{ServerConfig, Settings};
use crate::server::{Server, World};
use clock::TestClock;
use lent::Lent;

/// Where an app's tests are.
const FOLDER: &str = "tests/";
/// What the names of tests begin with.
const PREFIX: &str = "test_";

/// A server on which tests run, one after the other.
pub struct Tester {
    server: Server,
    app: AppSlug,
    clock: Arc<TestClock>,
    network: Arc<Stubs>,
    _data: TempDir,
}

/// An app's files, and the tests among them.
pub struct Suite {
    files: BTreeMap<String, Bytes>,
    pub tests: Vec<Test>,
}

/// One function `test_…`.
#[derive(Clone)]
pub struct Test {
    /// Path within the app.
    pub file: String,
    pub name: String,
    program: Arc<Program>,
}

/// A test that has been run.
pub struct Ran {
    pub test: Test,
    pub duration: Duration,
    /// `None` if it passed.
    pub failure: Option<Issue>,
    /// The test's own execution, and those of the requests that it made, as
    /// they ended.
    pub records: Vec<Arc<Record>>,
}

impl Tester {
    /// Starts the server. Compiled code is kept in `code_cache_dir`.
    ///
    /// # Errors
    /// If there is no room for its files, or the sandbox cannot be set up.
    pub async fn start(app: AppSlug, code_cache_dir: &Path) -> anyhow::Result<Self> {
        let data = scratch().context("there is no place for the tests' data")?;
        let clock = Arc::new(TestClock::default());
        let network = Arc::new(Stubs::default());
        let config = ServerConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            data_dir: data.path().to_owned(),
            code_cache_dir: Some(code_cache_dir.to_owned()),
            dev: true,
            ..ServerConfig::new(Settings::default())
        };
        let world =
            World { clock: Arc::clone(&clock) as _, network: Some(Arc::clone(&network) as _) };
        let server = Server::start_in(config, world).await?;
        Ok(Self { server, app, clock, network, _data: data })
    }

    /// Finds the tests among an app's files, and what is wrong with the files.
    ///
    /// # Errors
    /// [`client::Error::Problem`] as a deploy would; other errors are the server's.
    pub async fn load(&self, files: BTreeMap<String, Bytes>) -> anyhow::Result<Suite> {
        self.deploy(&files).await?;
        let layout = Layout::of(&files).map_err(|errors| rejected(errors, &files))?;
        let mut sources = (*layout.sources).clone();
        for (path, bytes) in files.iter().filter(|(path, _)| is_test_file(path)) {
            let text = std::str::from_utf8(bytes)
                .map_err(|error| rejected(vec![layout::not_utf8(path, bytes, error)], &files))?;
            sources.insert(path.clone(), text.to_owned());
        }
        let base = Program::new("", Arc::new(sources));
        let mut tests = Vec::new();
        for file in files.keys().filter(|path| is_test_file(path)) {
            let program = Arc::new(base.with_entry(file.as_str()));
            let info = match self.server.node().sandbox.compile(&program).await {
                Ok(info) => info,
                Err(CompileError::Script(errors)) => return Err(rejected(errors, &files).into()),
                Err(error) => return Err(anyhow::Error::new(error).context(file.clone())),
            };
            tests.extend(
                info.functions
                    .into_iter()
                    .filter(|name| name.starts_with(PREFIX))
                    .map(|name| Test { file: file.clone(), name, program: Arc::clone(&program) }),
            );
        }
        Ok(Suite { files, tests })
    }

    /// Runs one test of the suite.
    ///
    /// # Errors
    /// What kept it from being run; a test that fails is no error.
    pub async fn run(&self, suite: &Suite, test: &Test) -> anyhow::Result<Ran> {
        self.clock.reset();
        self.network.reset();
        self.deploy(&suite.files).await?;
        let node = self.server.node();
        let app = node.directory.active(&self.app).await?;
        let app = app.context("the app that was deployed is gone")?;
        let origin = format!("http://{}", node.hosts.of_app(&self.app));
        let lent = Lent {
            node: Arc::clone(node),
            addr: self.server.addr(),
            origin: origin.clone(),
            app: app.app.clone(),
            clock: Arc::clone(&self.clock),
            network: Arc::clone(&self.network),
        };
        let mut follower = node.recorder.follow();
        let started = Instant::now();
        let task = task(&app, test, origin);
        let executed = node.executor.execute_test(task, Arc::new(lent)).await?;
        let duration = started.elapsed();

        let mut records = Vec::new();
        loop {
            match follower.try_recv() {
                Ok(record) => records.push(record),
                // Of very many, the first are forgotten.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let failure = match executed.outcome {
            Outcome::Ok(_) => None,
            Outcome::ScriptError(error) => Some(error),
            other => Some(ScriptError {
                code: Some(other.code().to_owned()),
                ..ScriptError::new(other.to_string())
            }),
        };
        let failure = failure.map(|error| issue(error, &suite.files));
        Ok(Ran { test: test.clone(), duration, failure, records })
    }

    /// Stops the server and removes its data.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }

    /// Deploys the files to an app without data.
    async fn deploy(&self, files: &BTreeMap<String, Bytes>) -> anyhow::Result<()> {
        let node = self.server.node();
        if let Some(old) = node.manager.find_app(&self.app).await? {
            node.manager.delete_app(&old).await?;
            node.executor.forget(old.id);
            node.rates.forget(old.id);
            node.contents.remove_app(old.id).await?;
        }
        let app = node.manager.create_app(&self.app, None).await?;
        let app = node.manager.set_limits(&app, at_once()).await?;
        let deployed = node.manager.deploy(&app, Upload::Files(files.clone()), "test").await;
        self.server.invalidate(&self.app);
        match deployed {
            Ok(_) => Ok(()),
            Err(Error::Rejected(issues)) => {
                Err(refused(issues.into_iter().map(Issue::from).collect()).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A folder for data that nobody keeps: in memory where the system offers that,
/// and enough of it.
fn scratch() -> std::io::Result<TempDir> {
    const IN_MEMORY: &str = "/dev/shm";
    const ENOUGH_BYTES: u64 = 256 << 20;
    let mut builder = tempfile::Builder::new();
    builder.prefix("picloud-test-");
    let free = rustix::fs::statvfs(IN_MEMORY).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
    if free < ENOUGH_BYTES {
        return builder.tempdir();
    }
    builder.tempdir_in(IN_MEMORY).or_else(|_| builder.tempdir())
}

fn is_test_file(path: &str) -> bool {
    path.starts_with(FOLDER) && Path::new(path).extension().is_some_and(|end| end == "rhai")
}

fn task(app: &RunnableApp, test: &Test, origin: String) -> Task {
    let Test { file, name, program } = test;
    let fields = "{}".to_owned();
    Task {
        app: app.app.id,
        slug: app.app.slug.clone(),
        release: app.release.number,
        program: Arc::clone(program),
        handler: Handler { script: file.clone(), function: Some(name.clone()) },
        event: Event::Named(NamedEvent { service: "test".to_owned(), name: name.clone(), fields }),
        limits: Arc::clone(&app.limits),
        settings: Arc::clone(&app.release.settings),
        egress: Arc::clone(&app.release.egress),
        origin: origin.into(),
        cause: format!("{file}#{name}"),
        triggers: Arc::clone(&app.triggers),
        delivery: None,
        span: None,
    }
}

/// What is wrong with files, as a deploy tells it.
fn rejected(errors: Vec<ScriptError>, files: &BTreeMap<String, Bytes>) -> client::Error {
    refused(errors.into_iter().map(|error| issue(error, files)).collect())
}

fn refused(errors: Vec<Issue>) -> client::Error {
    client::Error::Problem(Problem::of_files("the app's files are not right", errors))
}

fn issue(error: ScriptError, files: &BTreeMap<String, Bytes>) -> Issue {
    let file = error.position.as_ref().and_then(|at| files.get(&at.file));
    let source = file.and_then(|bytes| std::str::from_utf8(bytes).ok());
    Issue::new(error, source)
}

/// A test makes as many requests as it likes while its clock stands still.
fn at_once() -> LimitOverrides {
    const MANY: u64 = 1_000_000_000;
    LimitOverrides {
        requests_per_s: Some(MANY),
        requests_burst: Some(MANY),
        ..LimitOverrides::default()
    }
}
