//! What one invocation carries with it: its services, its meter, its limiter.

use std::time::{Duration, Instant};

use picloud_shared::receipt::{CallOutcome, Calls, HostCall, Service};
use picloud_shared::{Budget, Limits, Services, Usage, files};
use wasmtime::{Engine, ResourceLimiter, Store};

use crate::engine::MAX_MEMORY_BYTES;

/// Fuel between two yields to the async runtime: some 20 µs of work. Without a
/// yield a script in a loop would not even notice its deadline.
const YIELD_INTERVAL: u64 = 100_000;
/// What a call may move from the guest beyond a response's body or a file:
/// headers, log lines, a value.
const HOSTCALL_SLACK_BYTES: u64 = 1 << 20;
/// Calls of one invocation that are traced: its first.
const MAX_TRACED_CALLS: usize = 1_000;

/// The data of a wasmtime store, which lives as long as the invocation.
pub(crate) struct State {
    pub(crate) services: Services,
    pub(crate) meter: Meter,
    limiter: MemoryLimiter,
}

/// Why the host ends an invocation from within a host call. Inside wasmtime
/// these are traps, so no script can catch them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the budget of {0} is used up")]
    Budget(Budget),
    #[error("a service is unavailable: {0}")]
    Unavailable(String),
    #[error("a service failed: {0}")]
    Failed(String),
}

/// Counts what fuel does not: calls to the host, bytes moved, bytes logged.
pub(crate) struct Meter {
    /// Whose function the guest is in.
    pub(crate) service: Service,
    by_service: Calls,
    calls: u64,
    max_calls: u64,
    bytes: u64,
    received_bytes: u64,
    max_bytes: u64,
    pub(crate) log_bytes_left: u64,
    pub(crate) log_bytes: u64,
    pub(crate) log_is_cut: bool,
    /// Calls so far; `None` where nobody traces.
    trace: Option<Vec<HostCall>>,
    /// The bytes before the call that the guest is in, if that is traced.
    bytes_before: Option<u64>,
}

impl Meter {
    fn new(limits: &Limits, traces: bool) -> Self {
        Self {
            // Any: the first call says which.
            service: Service::App,
            by_service: Calls::default(),
            calls: 0,
            max_calls: limits.host_calls,
            bytes: 0,
            received_bytes: 0,
            max_bytes: limits.host_bytes,
            log_bytes_left: limits.log_bytes,
            log_bytes: limits.log_bytes,
            log_is_cut: false,
            trace: traces.then(Vec::new),
            bytes_before: None,
        }
    }

    /// Counts a call of that function and the bytes that came with it. Until
    /// it has an [`Self::answer`], it is stopped.
    pub(crate) fn call(&mut self, operation: &'static str, bytes: usize) -> Result<(), Stop> {
        self.begin(operation);
        if self.calls >= self.max_calls {
            return Err(Stop::Budget(Budget::HostCalls));
        }
        self.calls += 1;
        self.by_service.count(self.service);
        self.charge(bytes)
    }

    /// Counts bytes that a call returns.
    pub(crate) fn move_bytes(&mut self, bytes: usize) -> Result<(), Stop> {
        self.received_bytes = self.received_bytes.saturating_add(bytes as u64);
        self.charge(bytes)
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > self.max_bytes {
            self.outcome(CallOutcome::Stopped);
            return Err(Stop::Budget(Budget::HostBytes));
        }
        Ok(())
    }

    /// Takes note of what the guest is answered.
    pub(crate) fn answer<T, E>(
        &mut self,
        answer: wasmtime::Result<Result<T, E>>,
    ) -> wasmtime::Result<Result<T, E>> {
        self.outcome(match &answer {
            Ok(Ok(_)) => CallOutcome::Ok,
            Ok(Err(_)) => CallOutcome::Error,
            Err(_) => CallOutcome::Stopped,
        });
        answer
    }

    /// The call ends so.
    pub(crate) fn outcome(&mut self, outcome: CallOutcome) {
        if let (Some(_), Some(call)) = (self.bytes_before, self.last_traced()) {
            call.outcome = outcome;
        }
    }

    fn begin(&mut self, operation: &'static str) {
        let (service, bytes) = (self.service, self.bytes);
        let Some(trace) = &mut self.trace else { return };
        if trace.len() < MAX_TRACED_CALLS {
            let (began, took) = (Instant::now(), Duration::ZERO);
            let outcome = CallOutcome::Stopped;
            trace.push(HostCall { service, operation, began, took, bytes: 0, outcome });
            self.bytes_before = Some(bytes);
        }
    }

    /// The guest goes on, or is no more.
    pub(crate) fn end(&mut self) {
        let bytes = self.bytes;
        if let (Some(before), Some(call)) = (self.bytes_before.take(), self.last_traced()) {
            call.took = call.began.elapsed();
            call.bytes = bytes.saturating_sub(before);
        }
    }

    fn last_traced(&mut self) -> Option<&mut HostCall> {
        self.trace.as_mut()?.last_mut()
    }
}

/// Bounds the linear memory and remembers its peak and whether it was refused more.
struct MemoryLimiter {
    max_bytes: usize,
    peak_bytes: usize,
    refused: bool,
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.max_bytes {
            self.refused = true;
            return Ok(false);
        }
        self.peak_bytes = self.peak_bytes.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Tables are made at their size; no guest of ours grows one.
        Ok(current == 0)
    }
}

/// A store for one invocation under these limits, with or without a trace of
/// its calls.
pub(crate) fn store(
    engine: &Engine,
    services: Services,
    limits: &Limits,
    traces: bool,
) -> wasmtime::Result<Store<State>> {
    // What the pool would refuse must be refused here, where it is noticed.
    let max_bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
    let max_bytes = max_bytes.min(MAX_MEMORY_BYTES);
    let state = State {
        services,
        meter: Meter::new(limits, traces),
        limiter: MemoryLimiter { max_bytes, peak_bytes: 0, refused: false },
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(limits.fuel)?;
    store.fuel_async_yield_interval(Some(YIELD_INTERVAL))?;
    let largest = limits.response_body_bytes.max(files::MAX_BYTES as u64);
    let hostcall_bytes = largest.saturating_add(HOSTCALL_SLACK_BYTES);
    store.set_hostcall_fuel(usize::try_from(hostcall_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(64);
    Ok(store)
}

/// What the invocation has used so far.
pub(crate) fn usage(store: &Store<State>, limits: &Limits) -> Usage {
    let State { meter, limiter, .. } = store.data();
    Usage {
        fuel: limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
        memory_bytes: limiter.peak_bytes as u64,
        host_calls: meter.calls,
        host_bytes: meter.bytes,
        received_bytes: meter.received_bytes,
        calls: meter.by_service,
        compile_us: 0,
    }
}

/// The trace of the invocation's calls.
pub(crate) fn calls(store: Store<State>) -> Vec<HostCall> {
    store.into_data().meter.trace.unwrap_or_default()
}

/// Whether the guest was refused memory that it asked for.
pub(crate) fn memory_was_refused(store: &Store<State>) -> bool {
    store.data().limiter.refused
}
