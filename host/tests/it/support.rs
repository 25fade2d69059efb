//! One host for all tests, and services that remember.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use picloud_host::{Builder, Host, testing};
use picloud_shared::kv::{Error, Kv, Page};
use picloud_shared::{
    Event, Finished, Level, Limits, Log, Outcome, Program, Request, Sandbox, Services,
};

/// The compiled guest is shared by every test of this binary, and by the next run.
pub fn host() -> &'static Arc<Host> {
    static HOST: OnceLock<Arc<Host>> = OnceLock::new();
    HOST.get_or_init(|| Arc::new(builder().slots(16).build().unwrap()))
}

/// For a test that counts, and needs a host of its own.
pub fn builder() -> Builder {
    Host::builder().cache_dir(concat!(env!("CARGO_TARGET_TMPDIR"), "/code-cache"))
}

/// An in-memory KV that can be told to fail, or to hang.
#[derive(Default)]
pub struct MemoryKv {
    pub entries: Mutex<BTreeMap<(String, String), String>>,
    pub behaviour: Mutex<Behaviour>,
}

#[derive(Default, Clone, Copy, PartialEq)]
pub enum Behaviour {
    #[default]
    Work,
    Hang,
    Panic,
    Fail,
}

impl MemoryKv {
    async fn misbehave(&self) -> Result<(), Error> {
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Work => Ok(()),
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Panic => panic!("a host function panics"),
            Behaviour::Fail => {
                Err(Error::Unavailable(picloud_shared::StoreError::unavailable("disk on fire")))
            }
        }
    }
}

#[async_trait]
impl Kv for MemoryKv {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<String>, Error> {
        self.misbehave().await?;
        let id = (collection.to_owned(), key.to_owned());
        Ok(self.entries.lock().unwrap().get(&id).cloned())
    }

    async fn set(&self, c: &str, k: &str, value: String, _: Option<u64>) -> Result<(), Error> {
        self.misbehave().await?;
        self.entries.lock().unwrap().insert((c.to_owned(), k.to_owned()), value);
        Ok(())
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool, Error> {
        self.misbehave().await?;
        let id = (collection.to_owned(), key.to_owned());
        Ok(self.entries.lock().unwrap().remove(&id).is_some())
    }

    async fn list(&self, c: &str, prefix: &str, _: Option<&str>, _: u32) -> Result<Page, Error> {
        self.misbehave().await?;
        let entries = self.entries.lock().unwrap();
        let matching = entries.iter().filter(|((of, k), _)| of == c && k.starts_with(prefix));
        let entries = matching.map(|((_, k), v)| (k.clone(), v.clone())).collect();
        Ok(Page { entries, next: None })
    }

    async fn count(&self, collection: &str) -> Result<u64, Error> {
        self.misbehave().await?;
        let entries = self.entries.lock().unwrap();
        Ok(entries.keys().filter(|(of, _)| of == collection).count() as u64)
    }

    async fn clear(&self, collection: &str) -> Result<(), Error> {
        self.misbehave().await?;
        self.entries.lock().unwrap().retain(|(of, _), _| of != collection);
        Ok(())
    }
}

/// A log that keeps its lines.
#[derive(Default)]
pub struct MemoryLog(pub Mutex<Vec<(Level, String)>>);

impl Log for MemoryLog {
    fn write(&self, level: Level, message: String, _fields: Option<String>) {
        self.0.lock().unwrap().push((level, message));
    }
}

/// One run with its surroundings, each of which a test may change.
pub struct Run {
    pub host: Arc<Host>,
    pub kv: Arc<MemoryKv>,
    pub log: Arc<MemoryLog>,
    pub limits: Limits,
    pub deadline: Duration,
    pub request: Request,
    pub seed: [u64; 4],
}

impl Run {
    /// Makes a script ready, so that a short deadline is the run's alone.
    pub async fn compile(&self, source: &str) {
        self.host.compile(&Program::single("index.rhai", source)).await.unwrap();
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            host: Arc::clone(host()),
            kv: Arc::default(),
            log: Arc::default(),
            limits: Limits::default(),
            // Far off: a busy machine takes seconds to compile a script here.
            deadline: Duration::from_mins(1),
            request: Request { method: "GET".into(), path: "/".into(), ..Request::default() },
            seed: [0; 4],
        }
    }
}

impl Run {
    /// On a host of its own, for a test that asks what is left behind.
    pub fn alone() -> Self {
        Self { host: Arc::new(builder().slots(4).build().unwrap()), ..Self::default() }
    }

    pub async fn script(&self, source: &str) -> Finished {
        self.program(&Program::single("index.rhai", source)).await
    }

    pub async fn program(&self, program: &Program) -> Finished {
        self.on(&self.host, program).await
    }

    pub async fn on(&self, host: &Host, program: &Program) -> Finished {
        let mut invocation = testing::invocation();
        invocation.seed = self.seed;
        let services = Services {
            kv: Arc::clone(&self.kv) as _,
            log: Arc::clone(&self.log) as _,
            ..testing::services()
        };
        let event = Event::Http(self.request.clone());
        host.invoke(program, invocation, event, services, &self.limits, self.deadline).await
    }
}

/// Runs a script and returns the text that it answered.
pub async fn answer(source: &str) -> String {
    text(&Run::default().script(source).await)
}

#[track_caller]
pub fn text(finished: &Finished) -> String {
    match &finished.outcome {
        Outcome::Ok(response) => String::from_utf8(response.body.to_vec()).unwrap(),
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// Asserts that nothing is left on the host of what ran before, and that a
/// well-behaved script still runs there.
pub async fn assert_unharmed(host: &Host) {
    let in_use = || {
        let stats = host.stats();
        (stats.instances, stats.memories, stats.stacks)
    };
    assert_eq!(in_use(), (0, 0, 0));
    let well = Program::single("index.rhai", "\"well\"");
    assert_eq!(text(&Run::default().on(host, &well).await), "well");
    assert_eq!(in_use(), (0, 0, 0));
}
