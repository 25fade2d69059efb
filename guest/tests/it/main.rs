//! What scripts can do, run natively against a fake host.

mod contract;
mod errors;
mod fake;
mod hostile;
mod imports;
mod language;
mod services;
mod values;
