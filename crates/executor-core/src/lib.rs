//! The policy of running a handler: who may run now, what its writes become,
//! how often it is tried, and what is remembered of it.
//!
//! An invocation passes through these, in this order:
//!
//! 1. [`gate`]: its app's turn, after a bounded wait in a bounded queue.
//! 2. [`unit_of_work`]: reads from the store, writes into a write-set. Beside
//!    it stand `outbound`, `secrets` and `passwords`, bound to the app, too.
//! 3. [`executor`]: runs it in the sandbox, commits the write-set, runs it again
//!    after a conflict.
//! 4. [`recorder`]: its execution and its log lines, stored in batches after
//!    the client has its answer.
//! 5. [`usage`]: what its app has used, added up by day.

mod app_metrics;
mod at_once;
mod commit;
pub mod emitter;
pub mod executor;
pub mod gate;
mod log;
mod outbound;
pub mod owners;
mod passwords;
pub mod recorder;
mod secrets;
mod services;
pub mod unit_of_work;
pub mod usage;

pub use emitter::{ServiceEvent, ServiceEventEmitter};
pub use executor::{Executed, Executor, OutsideChange, Task, TaskDelivery};
pub use gate::{ExecutionGate, Refused};
pub use owners::Owners;
pub use passwords::passwords;
pub use recorder::{Record, Recorder, Trace};
pub use services::Backends;
pub use usage::UsageKeeper;
