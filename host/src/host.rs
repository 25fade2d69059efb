//! The host: programs in, outcomes out.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use picloud_shared::{
    Budget, CompileError, Event, Finished, Invocation, Limits, Outcome, Program, Response, Sandbox,
    ScriptInfo, Services, Usage,
};
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::engine::{self, EngineError};
use crate::image::{Image, ImageBuilder, ImageCache};
use crate::pace::Pacer;
use crate::{component, invocation, outcome, wit};

/// Slots in the pool beyond those for invocations, in which images are built.
const BUILD_SLOTS: u32 = 2;
/// A program's parsing is ended after this long.
const COMPILE_DEADLINE: Duration = Duration::from_secs(5);
/// Fuel for a program's parsing: about 0.1 s of CPU.
const COMPILE_FUEL: u64 = 500_000_000;

/// Settings of a [`Host`]. Each has a default that suits a small server.
#[derive(Debug, Clone)]
pub struct Builder {
    guest: Vec<u8>,
    cache_dir: Option<PathBuf>,
    slots: u32,
    images: NonZeroUsize,
    image_bytes: u64,
    compile_limits: Limits,
    traces: bool,
}

impl Builder {
    /// The guest component; [`crate::GUEST`] by default.
    #[must_use]
    pub fn guest(mut self, component: impl Into<Vec<u8>>) -> Self {
        self.guest = component.into();
        self
    }

    /// Where to keep the compiled guest. It must belong to this user, and
    /// becomes accessible to this user alone. Without it the guest is compiled
    /// at every start, which takes seconds.
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// How many invocations can run at one time; more wait. 64 by default. A
    /// slot reserves address space, not memory.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// How many scripts' images to hold. 256 by default; each takes a file
    /// descriptor and, typically, 0.8 MB, most of it in a file in memory, which
    /// a process's RSS does not show. One that is not there is made again in
    /// milliseconds.
    #[must_use]
    pub fn images(mut self, images: NonZeroUsize) -> Self {
        self.images = images;
        self
    }

    /// How many bytes those images may hold together. 512 MiB by default; the
    /// least recently used give way.
    #[must_use]
    pub fn image_bytes(mut self, bytes: u64) -> Self {
        self.image_bytes = bytes;
        self
    }

    /// What compiling one program may take: `fuel`, `memory_bytes`.
    #[must_use]
    pub fn compile_limits(mut self, limits: Limits) -> Self {
        self.compile_limits = limits;
        self
    }

    /// Whether each invocation's first calls to the host are told with their
    /// times. They are not by default.
    #[must_use]
    pub fn traces(mut self, traces: bool) -> Self {
        self.traces = traces;
        self
    }

    /// Sets the sandbox up. Compiles the guest unless `cache_dir` has it.
    ///
    /// # Errors
    /// [`EngineError`] if the guest asks for more than it may, or if this
    /// machine cannot run it.
    pub fn build(self) -> Result<Host, EngineError> {
        let split = component::split(&self.guest)?;
        let engine = engine::engine(self.slots + BUILD_SLOTS)?;
        let code = engine::compile(&engine, &split.code, self.cache_dir.as_deref())?;
        let mut linker = Linker::new(&engine);
        wit::link(&mut linker).map_err(EngineError::Wasmtime)?;
        let builder = ImageBuilder::new(
            engine.clone(),
            linker,
            code,
            &split.base,
            self.compile_limits,
            COMPILE_DEADLINE,
        )
        .map_err(EngineError::Wasmtime)?;
        Ok(Host {
            engine,
            builder,
            images: ImageCache::new(self.images, self.image_bytes),
            slots: Semaphore::new(self.slots as usize),
            build_slots: Semaphore::new(BUILD_SLOTS as usize),
            pacer: Pacer::new(),
            traces: self.traces,
        })
    }
}

/// Runs programs, each invocation in a new instance of the guest.
pub struct Host {
    pub(crate) engine: Engine,
    pub(crate) builder: ImageBuilder,
    images: ImageCache,
    /// The pool does not queue, so whoever wants an instance queues here.
    slots: Semaphore,
    build_slots: Semaphore,
    pacer: Pacer,
    traces: bool,
}

/// What the host holds at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Instances alive.
    pub instances: u64,
    /// Linear memories in use.
    pub memories: u64,
    /// Fiber stacks in use.
    pub stacks: u64,
    /// Scripts' images held.
    pub images: u64,
    /// Bytes that those images hold.
    pub image_bytes: u64,
    /// Images whose building was begun since the start.
    pub builds: u64,
}

impl Host {
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            guest: crate::GUEST.to_vec(),
            cache_dir: None,
            slots: 64,
            images: NonZeroUsize::new(256).unwrap_or(NonZeroUsize::MIN),
            image_bytes: 512 << 20,
            compile_limits: Limits { fuel: COMPILE_FUEL, ..Limits::default() },
            traces: false,
        }
    }

    /// What is in use now. Instances, memories and stacks are 0 when nothing runs.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let pool = self.engine.pooling_allocator_metrics();
        let pool = pool.as_ref();
        Stats {
            instances: pool.map_or(0, wasmtime::PoolingAllocatorMetrics::component_instances),
            memories: pool.map_or(0, |pool| pool.memories() as u64),
            stacks: pool.map_or(0, |pool| pool.stacks() as u64),
            images: self.images.len() as u64,
            image_bytes: self.images.bytes(),
            builds: self.images.builds(),
        }
    }

    pub(crate) async fn image(
        &self,
        program: &Program,
        waited: &mut Duration,
    ) -> Result<Arc<Image>, CompileError> {
        self.images.get(program, &self.builder, &self.build_slots, waited).await
    }
}

#[async_trait]
impl Sandbox for Host {
    async fn compile(&self, program: &Program) -> Result<ScriptInfo, CompileError> {
        self.image(program, &mut Duration::default()).await.map(|image| image.info.clone())
    }

    async fn invoke(
        &self,
        program: &Program,
        invocation: Invocation,
        event: Event,
        services: Services,
        limits: &Limits,
        deadline: Duration,
    ) -> Finished {
        // Both outlive the future below, which the deadline may drop: the store,
        // for what was used is read from it, and the slot, for the store is in
        // the pool until it is dropped, which is before the slot is.
        let mut slot = None;
        let mut store = None;
        let mut compile = Duration::ZERO;
        let run = async {
            let image = self.image(program, &mut compile).await.map_err(does_not_compile)?;
            let acquired = self.slots.acquire().await.map_err(host_fault)?;
            slot.replace(acquired);
            let new = invocation::store(&self.engine, services, limits, self.traces);
            let store = store.insert(new.map_err(host_fault)?);
            let answer = async {
                let script = image.script.instantiate_async(&mut *store).await?;
                script.call_handle(&mut *store, &invocation.into(), &event.into()).await
            };
            match self.pacer.run(answer).await {
                Ok(answer) => answer.map_err(|error| Outcome::ScriptError(error.into())),
                Err(error) => Err(outcome::of_error(&error, invocation::memory_was_refused(store))),
            }
        };
        let outcome = match tokio::time::timeout(deadline, run).await {
            Err(_elapsed) => Outcome::TimedOut,
            Ok(Err(outcome)) => outcome,
            Ok(Ok(response)) => bounded(response.into(), limits),
        };
        let usage = store.as_ref().map(|store| invocation::usage(store, limits));
        let compile_us = u64::try_from(compile.as_micros()).unwrap_or(u64::MAX);
        let usage = Usage { compile_us, ..usage.unwrap_or_default() };
        let calls = store.map_or_else(Vec::new, invocation::calls);
        Finished { outcome, usage, calls }
    }
}

/// How an invocation ends whose program has no image.
fn does_not_compile(error: CompileError) -> Outcome {
    match error {
        CompileError::Script(errors) => errors.into_iter().next().map_or_else(
            || Outcome::HostFault("a script failed without an error".to_owned()),
            Outcome::ScriptError,
        ),
        error => host_fault(error),
    }
}

fn host_fault(error: impl std::fmt::Display) -> Outcome {
    Outcome::HostFault(format!("{error:#}"))
}

/// A response within its limit, or the limit's outcome.
fn bounded(response: Response, limits: &Limits) -> Outcome {
    if response.body.len() as u64 > limits.response_body_bytes {
        Outcome::BudgetExceeded(Budget::ResponseBytes)
    } else {
        Outcome::Ok(response)
    }
}
