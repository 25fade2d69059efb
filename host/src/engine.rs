//! The wasmtime engine: its settings, its pool, and the compiled guest on disk.

mod code_cache;

use std::path::Path;

use wasmtime::component::Component;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures,
};

/// Why the sandbox cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the guest is not one this host can run")]
    Split(#[from] crate::SplitError),
    #[error("wasmtime cannot be set up: {0:#}")]
    Wasmtime(wasmtime::Error),
    #[error("the directory for compiled code, {path}, cannot be used")]
    CodeCache {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

/// Largest linear memory that any app may be given, in bytes.
pub(crate) const MAX_MEMORY_BYTES: usize = 1 << 30;

/// Stack of a guest. Rhai's own call depth ends well before it.
const WASM_STACK_BYTES: usize = 512 << 10;
/// Stack of the fiber on which a guest and the host functions it calls run.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// An engine whose pool holds `slots` instances at one time.
pub(crate) fn engine(slots: u32) -> Result<Engine, EngineError> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        // A trap's wasm frames say nothing about a script; its position comes
        // out of the guest as data.
        .wasm_backtrace_max_frames(None)
        // Every proposal that the guest does not use is attack surface.
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(GUEST_FEATURES, true)
        .memory_init_cow(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    Engine::new(&config).map_err(EngineError::Wasmtime)
}

/// What rustc emits for `wasm32-unknown-unknown`, and components.
const GUEST_FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::COMPONENT_MODEL);

/// A split guest takes four core instances (image, main, and wit-component's
/// shim and fixups), one memory and two tables.
fn pool(slots: u32) -> PoolingAllocationConfig {
    const CORE_INSTANCES: u32 = 4;
    const TABLES: u32 = 2;
    const TABLE_ELEMENTS: usize = 20_000;

    // With PAGEMAP_SCAN (Linux 6.7) only the pages that were written are put
    // back, so keeping resident what an ordinary script writes costs nothing.
    // Without it every byte kept is a byte copied after each invocation.
    let keep_resident =
        if PoolingAllocationConfig::is_pagemap_scan_available() { 4 << 20 } else { 512 << 10 };

    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(TABLE_ELEMENTS * size_of::<usize>())
        .total_component_instances(slots)
        .total_core_instances(slots * CORE_INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(slots)
        .max_memories_per_component(1)
        .max_memories_per_module(1)
        .max_memory_size(MAX_MEMORY_BYTES)
        .total_tables(slots * TABLES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .total_stacks(slots)
        .total_gc_heaps(0);
    pool
}

/// Compiles the code component, or takes it from `cache_dir` where the same
/// code was compiled before by the same wasmtime with the same settings.
pub(crate) fn compile(
    engine: &Engine,
    code: &[u8],
    cache_dir: Option<&Path>,
) -> Result<Component, EngineError> {
    let Some(dir) = cache_dir else {
        return Component::from_binary(engine, code).map_err(EngineError::Wasmtime);
    };
    let cache = code_cache::CodeCache::open(dir, engine, code)
        .map_err(|source| EngineError::CodeCache { path: dir.display().to_string(), source })?;
    if let Some(component) = cache.load(engine) {
        return Ok(component);
    }
    tracing::info!("compiling the guest; this is done once per version");
    let component = Component::from_binary(engine, code).map_err(EngineError::Wasmtime)?;
    if let Err(error) =
        component.serialize().map_err(std::io::Error::other).and_then(|bytes| cache.save(&bytes))
    {
        tracing::warn!(%error, "the compiled guest could not be kept; the next start compiles it again");
    }
    Ok(component)
}
