//! From a request to the handler that answers it, in three steps, none of
//! which performs input or output beyond the ports of `picloud-shared`:
//!
//! 1. [`Hosts`]: the request's host → control plane, app, preview, or neither.
//! 2. [`AppDirectory`]: the app's name → its active release, ready to run.
//! 3. [`RouteTable`]: method and path → a script's handler or a static file.

mod directory;
pub mod dispatcher;
mod host;
mod route_table;

pub use directory::{AppDirectory, DirectoryError, LoadedRelease, RunnableApp};
pub use dispatcher::Dispatcher;
pub use host::{Hosts, InvalidHost, Target};
pub use route_table::{Match, Precompressed, RouteTable, StaticFile};
