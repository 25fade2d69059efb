//! From a request to the handler that answers it, in three steps, none of
//! which performs input or output beyond the ports of `picloud-shared`:
//!
//! 1. [`Hosts`]: the request's host → control plane, app, preview, a domain that
//!    may be an app's own, which [`DomainDirectory`] knows, or neither.
//! 2. [`AppDirectory`]: the app's name → its active release, ready to run.
//! 3. [`RouteTable`]: method and path → a script's handler or a static file.
//!
//! Between the last two stands what is asked of the request, [`Demands`], and
//! how many of them there may be, [`Rates`].

mod demands;
mod directory;
pub mod dispatcher;
mod domains;
mod host;
mod rates;
mod route_table;

pub use demands::Demands;
pub use directory::{AppDirectory, DirectoryError, LoadedRelease, RunnableApp};
pub use dispatcher::Dispatcher;
pub use domains::DomainDirectory;
pub use host::{Hosts, InvalidHost, Target};
pub use rates::Rates;
pub use route_table::{Match, Precompressed, RouteTable, StaticFile};
