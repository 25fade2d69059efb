//! The guest: the Rhai interpreter that runs an app's scripts inside the sandbox.
//!
//! The host calls [`Script::compile`] once, keeps the memory that results, and
//! starts every invocation from a copy of it with [`Script::handle`]. Whatever is
//! expensive is therefore done in `compile`: the engine is built, the SDK
//! registered, every file parsed, every module evaluated. A copy of memory is
//! made page by page as pages are written to, so `handle` writes to few.
//!
//! | module | holds |
//! |---|---|
//! | `script` | the program, and the contract between it and what calls it |
//! | `entry` | a file with handlers |
//! | `invoke` | `app::invoke`: handlers that call others |
//! | `modules` | the program's files, `import` |
//! | `reach` | what a program imports and invokes, parsed with it |
//! | `calls` | what is called where, found before it runs |
//! | `dialect` | where scripts differ from plain Rhai |
//! | `engine` | the Rhai engine and its limits |
//! | `error` | what a script's author reads when it fails |
//! | [`sdk`] | what scripts can call, one file per `::` namespace |
//! | [`model`] | the words of `wit/types.wit` |
//! | `bindings` | what wit-bindgen generates; wasm only |
//!
//! # To add a namespace
//!
//! 1. Write `src/sdk/<name>.rs` with a `NAMESPACE` and its `register` function.
//!    Each function, method and property is registered with the signature and
//!    the sentence that the reference shows.
//! 2. Add its row to [`sdk::NAMESPACES`].
//! 3. If it reaches the outside: add the interface to `wit/`, import it in the
//!    world, add its functions to [`sdk::Host`], and implement them in
//!    `bindings.rs`, with one exhaustive match for the interface's errors.
//! 4. Add cases to `tests/it/`: a test fails as long as something registered is
//!    called by none.
//! 5. Write `docs/sdk/examples/tests/<name>.rhai`, with an example of each
//!    registration, and let `just regen` write the reference.
//! 6. Write a page for each error code that is new, as `docs/errors/` has them:
//!    a test fails as long as a code has none.

#![expect(clippy::unnecessary_box_returns, reason = "Rhai boxes its errors")]

#[cfg(target_arch = "wasm32")]
mod bindings;
mod calls;
mod dialect;
mod engine;
mod entry;
mod error;
mod invoke;
pub mod model;
mod modules;
mod reach;
mod script;
pub mod sdk;

pub use script::{Script, reference};
