//! What the benchmarks need and nobody else: the stages of an invocation one by
//! one, and the naive way to compare with.

use std::time::{Duration, Instant};

use picloud_shared::{Event, Limits, Program};

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
        let image = self.image(program).await.map_err(wasmtime::Error::from)?;
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
        let mut store = invocation::store(&self.engine, testing::services(), &Limits::default())?;
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
