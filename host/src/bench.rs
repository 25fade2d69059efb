//! What benchmarks and tests need and nobody else: the stages of an invocation
//! one by one, the naive way to compare with, and a look at a whole memory.

use std::time::{Duration, Instant};

use picloud_shared::{Event, Limits, Program};
use wasmtime::component::WasmList;

use crate::component::MEMORY_EXPORT;
use crate::wit::bindings::Script;
use crate::{Host, invocation, testing};

/// How long each stage of one invocation took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    pub instantiate: Duration,
    pub run: Duration,
    pub drop: Duration,
}

impl Stages {
    #[must_use]
    pub fn total(&self) -> Duration {
        self.instantiate + self.run + self.drop
    }
}

impl Host {
    /// One invocation the way the host does it: the script is in the image.
    ///
    /// # Errors
    /// Whatever goes wrong, as wasmtime says it.
    pub async fn bench_image(&self, program: &Program, event: Event) -> wasmtime::Result<Stages> {
        let image =
            self.image(program, &mut Duration::default()).await.map_err(wasmtime::Error::from)?;
        self.bench(event, async |mut store| image.script.instantiate_async(&mut store).await, None)
            .await
    }

    /// One invocation the naive way: the engine is built, and the script
    /// parsed, in every instance.
    ///
    /// # Errors
    /// Whatever goes wrong, as wasmtime says it.
    pub async fn bench_naive(&self, program: &Program, event: Event) -> wasmtime::Result<Stages> {
        let base = self.builder.base();
        self.bench(event, async |mut store| base.instantiate_async(&mut store).await, Some(program))
            .await
    }

    /// Source to runnable image, without the cache.
    ///
    /// # Errors
    /// If the program does not compile.
    pub async fn bench_build(&self, program: &Program) -> Result<(), picloud_shared::CompileError> {
        self.builder.build(program).await.map(drop)
    }

    /// Runs one invocation to its end and returns the whole linear memory that
    /// it leaves, whatever of it the guest itself could still find.
    ///
    /// # Errors
    /// Whatever goes wrong, as wasmtime says it.
    pub async fn memory_after(&self, program: &Program, event: Event) -> wasmtime::Result<Vec<u8>> {
        let image =
            self.image(program, &mut Duration::default()).await.map_err(wasmtime::Error::from)?;
        let mut store =
            invocation::store(&self.engine, testing::services(), &Limits::default(), false)?;
        // Room for the whole memory, which no invocation could return.
        store.set_hostcall_fuel(usize::MAX);
        let instance = image.script.instance_pre().instantiate_async(&mut store).await?;
        let script = Script::new(&mut store, &instance)?;
        let (invocation, event) = (testing::invocation().into(), event.into());
        let answer = script.call_handle(&mut store, &invocation, &event).await?;
        answer.map_err(|error| wasmtime::Error::msg(format!("{error:?}")))?;
        let read = instance.get_typed_func::<(), (WasmList<u8>,)>(&mut store, MEMORY_EXPORT)?;
        let (memory,) = read.call_async(&mut store, ()).await?;
        Ok(memory.as_le_slice(&store).to_vec())
    }

    async fn bench(
        &self,
        event: Event,
        instantiate: impl AsyncFnOnce(
            wasmtime::StoreContextMut<'_, invocation::State>,
        ) -> wasmtime::Result<Script>,
        program: Option<&Program>,
    ) -> wasmtime::Result<Stages> {
        use wasmtime::AsContextMut;

        let (invocation, event) = (testing::invocation().into(), event.into());
        let started = Instant::now();
        let mut store =
            invocation::store(&self.engine, testing::services(), &Limits::default(), false)?;
        let script = instantiate(store.as_context_mut()).await?;
        let instantiated = Instant::now();
        if let Some(program) = program {
            let compiled = script.call_compile(&mut store, &program.into()).await?;
            compiled.map_err(|errors| wasmtime::Error::msg(format!("{errors:?}")))?;
        }
        let answer = script.call_handle(&mut store, &invocation, &event).await?;
        answer.map_err(|error| wasmtime::Error::msg(format!("{error:?}")))?;
        let ran = Instant::now();
        drop(store);
        Ok(Stages {
            instantiate: instantiated - started,
            run: ran - instantiated,
            drop: ran.elapsed(),
        })
    }
}
