//! The control plane's rules: which apps there are, and which releases may run.
//!
//! [`Manager`] decides; the stores and the sandbox behind the ports of
//! `picloud-shared` act. Scripts are never parsed here: even to find a syntax
//! error in one, it is compiled inside the sandbox.

pub mod archive;
pub mod diff;
mod error;
mod manager;
pub mod path;
mod secrets;

pub use diff::{Diff, Snapshot};
pub use error::{Error, Issue};
pub use manager::{Deployed, Manager, ReleaseCaps, RouteSummary, Upload};
pub use secrets::SecretKeeper;
