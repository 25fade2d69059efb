//! What scripts can do, run natively against a fake host.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests too")]

mod arguments;
mod contract;
mod errors;
mod fake;
mod hostile;
mod imports;
mod invoke;
mod language;
mod reference;
mod services;
mod values;
