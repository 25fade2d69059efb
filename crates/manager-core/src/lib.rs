//! The control plane's rules: which apps there are, and which releases may run.
//!
//! [`Manager`] decides; the stores and the sandbox behind the ports of
//! `picloud-shared` act. Scripts are never parsed here: even to find a syntax
//! error in one, it is compiled inside the sandbox.

mod access;
mod accounts;
pub mod archive;
pub mod diff;
pub mod domains;
mod error;
mod manager;
pub mod path;
mod secrets;

pub use access::{Caller, Credential, Need, Subject, Verdict};
pub use accounts::{
    AccountStores, Accounts, Login, MAX_TOKEN_NAME_BYTES, MAX_TOKENS, MIN_PASSWORD_BYTES, Origin,
    TokenWish,
};
pub use diff::{Diff, Snapshot};
pub use domains::DomainKeeper;
pub use error::{Error, Issue};
pub use manager::{
    Checked, Conditions, Deployed, Expected, Manager, ManagerPorts, ReleaseCaps, RouteSummary,
    Upload,
};
pub use secrets::SecretKeeper;
