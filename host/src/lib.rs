//! Runs each invocation of a script in a fresh, fuel-metered wasmtime instance.
//!
//! This crate is the only one that knows wasmtime. It knows nothing of HTTP
//! servers, databases or tenants: it takes a guest, limits and implementations
//! of the service traits, and can be embedded in any program.
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use picloud_host::Host;
//! # use picloud_shared::{Event, Limits, Outcome, Program, Request, Sandbox};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Host::builder().slots(4).build()?;
//! let program = Program::single("hello.rhai", r#""hello " + req.query.name"#);
//! let request = Request { method: "GET".into(), query: "name=you".into(), ..Request::default() };
//!
//! let finished = host
//!     .invoke(
//!         &program,
//!         picloud_host::testing::invocation(),
//!         Event::Http(request),
//!         picloud_host::testing::services(),
//!         &Limits::default(),
//!         Duration::from_secs(10),
//!     )
//!     .await;
//!
//! let Outcome::Ok(response) = finished.outcome else { panic!("{finished:?}") };
//! assert_eq!(&response.body[..], b"hello you");
//! # Ok(())
//! # }
//! ```
//!
//! How an invocation comes to cost some tens of microseconds:
//!
//! 1. [`component`] splits the guest in two: its code, which is compiled once,
//!    and its memory, which becomes an import.
//! 2. [`image`] compiles a program *inside* the sandbox, reads the memory that
//!    results and makes it a module of nothing but data: the script's image.
//! 3. An invocation instantiates the code on the script's image. The interpreter
//!    is built, the script is parsed, the pages are shared copy-on-write.
//!
//! To add a service: write `wit/<name>.wit` and import it in the world, add its
//! trait to `picloud-shared` and a field to `Services`, then copy
//! `src/wit/kv.rs`: a narrow view, its `Host` impl, one exhaustive match for
//! the errors, and a line in `wit::link` and `component::IMPORTS`.

#[doc(hidden)]
pub mod bench;
mod component;
mod engine;
mod host;
mod image;
mod invocation;
mod outcome;
mod pace;
pub mod testing;
mod wit;

pub use component::SplitError;
pub use engine::EngineError;
pub use host::{Builder, Host, Stats};

/// The guest that PiCloud ships: Rhai and the `::` SDK, as a component.
pub static GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.wasm"));
