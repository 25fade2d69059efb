//! PiCloud's model and ports: the words every other crate shares.
//!
//! This crate performs no input or output. It holds
//!
//! - the **model**: [`AppSlug`], [`Release`], [`Program`], [`Event`],
//!   [`Outcome`], [`Limits`], [`Manifest`], [`Routes`]: plain data with its
//!   rules of validity, and
//! - the **ports**: the traits through which the cores reach the outside,
//!   ending in `Store` for what outlives a process ([`UnitStore`],
//!   [`kv::KvStore`], [`files::FileStore`], [`AppStore`], [`ReleaseStore`],
//!   [`ExecutionStore`]), and [`Sandbox`] for
//!   running a program.
//!
//! The arrow of dependency points here: `host`, `store` and the cores depend on
//! this crate and never on each other.

pub mod access;
pub mod allowance;
pub mod app;
pub mod audit;
pub mod blob;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod egress;
pub mod event;
pub mod events;
pub mod excerpt;
pub mod execution;
pub mod fault;
pub mod files;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod ingress;
pub mod kv;
pub mod layout;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod outbox;
pub mod outcome;
pub mod owner;
pub mod program;
pub mod queue;
pub mod receipt;
pub mod release;
pub mod routes;
pub mod sandbox;
pub mod schedule;
pub mod secrets;
pub mod store;
pub mod test;
pub mod trigger;
pub mod unit;
pub mod usage;
pub mod user;
pub mod vault;

pub use access::{AppRole, Scope};
pub use app::{App, AppStore};
pub use blob::BlobHash;
pub use clock::{Clock, SystemClock};
pub use domain::{Domain, DomainStore};
pub use egress::HostPattern;
pub use event::{Event, Invocation, NamedEvent, Request, Response};
pub use excerpt::excerpt;
pub use execution::{Execution, ExecutionStore, LogLine};
pub use id::{AppId, AppSlug, ExecutionId, ReleaseNumber};
pub use ingress::Ingress;
pub use layout::Layout;
pub use limits::{LimitOverrides, Limits, Quota};
pub use log::{Level, Log};
pub use manifest::Manifest;
pub use outbox::OutboxStore;
pub use outcome::{Budget, Frame, Outcome, Position, ScriptError, Usage};
pub use program::{Handler, Program, ScriptInfo, ScriptPath};
pub use release::{NewRelease, Release, ReleaseFile, ReleaseStore};
pub use routes::{Route, Routes};
pub use sandbox::{CompileError, Finished, Sandbox, Services};
pub use schedule::ScheduleStore;
pub use store::StoreError;
pub use trigger::{EventType, Trigger};
pub use unit::UnitStore;
pub use usage::UsageStore;
pub use user::{InstanceRole, User, UserId, UserName};
pub use vault::Vault;
