//! The unit of work: what one attempt of one invocation sees of its app's data,
//! and what it makes of it.
//!
//! Reads go to the store and remember the version they saw. Writes go into a
//! write-set, which later reads see. Nothing reaches the store until the
//! executor commits the write-sets of all services, in one transaction that
//! checks every version.

mod files;
mod kv;
mod merge;
mod outbox;
mod value;

pub use files::FileUnit;
pub use kv::KvUnit;
pub use outbox::OutboxUnit;

/// How full one kind of the app's storage is, as far as is known without asking.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    pub max_bytes: u64,
    /// The usage after the app's last commit; `None` before the first.
    pub used_bytes: Option<u64>,
}
