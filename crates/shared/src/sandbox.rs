//! The port through which the executor runs programs. The crate `picloud-host`
//! implements it on wasmtime.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::Config;
use crate::crypto::Crypto;
use crate::events::Events;
use crate::files::Files;
use crate::http::Http;
use crate::kv::Kv;
use crate::queue::Queue;
use crate::receipt::HostCall;
use crate::secrets::Secrets;
use crate::test::Test;
use crate::{Event, Invocation, Limits, Log, Outcome, Program, ScriptError, ScriptInfo, Usage};

/// What one invocation can reach, each part bound to one app by whoever puts
/// this together. There is nothing else to reach, and no part can be asked for
/// another app's: none takes an app.
#[derive(Clone)]
pub struct Services {
    pub config: Arc<dyn Config>,
    pub crypto: Arc<dyn Crypto>,
    pub events: Arc<dyn Events>,
    pub files: Arc<dyn Files>,
    pub http: Arc<dyn Http>,
    pub kv: Arc<dyn Kv>,
    pub log: Arc<dyn Log>,
    /// Where clients reach the app: `https://guestbook.example.org`.
    pub origin: Arc<str>,
    pub queue: Arc<dyn Queue>,
    pub secrets: Arc<dyn Secrets>,
    /// What tests have beyond handlers; `None` for a handler.
    pub test: Option<Arc<dyn Test>>,
}

/// An invocation that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    pub outcome: Outcome,
    pub usage: Usage,
    /// Its first calls to the host; empty unless the sandbox was told to trace.
    pub calls: Vec<HostCall>,
}

/// Why a program cannot be run at all.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// The script's mistakes, at least one.
    #[error("{}", .0.first().map_or_else(String::new, ToString::to_string))]
    Script(Vec<ScriptError>),
    /// Parsing it took more fuel, memory or time than a program may.
    #[error("the script is too large or too deeply nested to compile ({0})")]
    TooLarge(&'static str),
    /// The host failed.
    #[error("{0}")]
    HostFault(String),
}

/// Runs programs, each invocation in a sandbox of its own that has never run
/// anything else and never will again.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Makes the program ready to run, or says what is wrong with it. Cheap
    /// when it is ready already.
    async fn compile(&self, program: &Program) -> Result<ScriptInfo, CompileError>;

    /// Runs one invocation to its end, in `deadline` at most.
    ///
    /// Dropping the future ends the invocation and frees all that it held.
    async fn invoke(
        &self,
        program: &Program,
        invocation: Invocation,
        event: Event,
        services: Services,
        limits: &Limits,
        deadline: Duration,
    ) -> Finished;
}
