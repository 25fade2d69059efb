//! How an invocation ended, and what it used.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Response;
use crate::receipt::Calls;

/// How an invocation ended. Running out of something is a result like any other.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The handler answered.
    Ok(Response),
    /// The script threw, or asked for what does not exist.
    ScriptError(ScriptError),
    OutOfFuel,
    OutOfMemory,
    /// The wall clock ran out, host calls included.
    TimedOut,
    /// It used up what it may ask of the host. A script cannot catch this.
    BudgetExceeded(Budget),
    /// Others kept changing the entries that it had read; nothing was written.
    Conflict,
    /// Its delivery's lease had run out, and somebody else runs it; nothing was
    /// written.
    Superseded,
    /// A store could not be reached; trying again later may help. The text is
    /// for the operator's log.
    Unavailable(String),
    /// The host failed it: never the script's fault. The text is for the
    /// operator's log, not for a client.
    HostFault(String),
}

impl Outcome {
    /// The stable code under which it is recorded and reported.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::ScriptError(_) => "script_error",
            Self::OutOfFuel => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::TimedOut => "timed_out",
            Self::BudgetExceeded(_) => "budget_exceeded",
            Self::Conflict => "conflict",
            Self::Superseded => "superseded",
            Self::Unavailable(_) => "unavailable",
            Self::HostFault(_) => "host_fault",
        }
    }
}

/// For the script's author; what is the operator's alone is left out.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(response) => write!(f, "answered {}", response.status),
            Self::ScriptError(error) => error.fmt(f),
            Self::OutOfFuel => {
                f.write_str("the script ran out of fuel; is there a loop without an end?")
            }
            Self::OutOfMemory => f.write_str("the script ran out of memory"),
            Self::TimedOut => f.write_str("the script took too long"),
            Self::BudgetExceeded(budget) => {
                write!(f, "the script used up its budget of {budget}")
            }
            Self::Conflict => {
                f.write_str("others kept changing the entries that the script had read")
            }
            Self::Superseded => {
                f.write_str("the run took longer than its lease, and another one has begun")
            }
            Self::Unavailable(_) => f.write_str("the database is unavailable; try again shortly"),
            Self::HostFault(_) => f.write_str("PiCloud failed; the server's log says why"),
        }
    }
}

/// What the host rations per invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Budget {
    HostCalls,
    HostBytes,
    KvWrites,
    KvWriteBytes,
    FileWrites,
    ResponseBytes,
    Events,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostCalls => "host calls",
            Self::HostBytes => "bytes moved by host calls",
            Self::KvWrites => "KV writes",
            Self::KvWriteBytes => "bytes of KV writes",
            Self::FileWrites => "written files",
            Self::ResponseBytes => "response bytes",
            Self::Events => "events and messages",
        })
    }
}

/// A place in a script. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Position {
    /// Path within the app.
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One call on the way to an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Frame {
    pub function: String,
    /// Where it was called from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// An error of the script's own: thrown by it, or by what it called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScriptError {
    pub message: String,
    /// The `code` of a thrown `#{ code, message, service }`, or the sandbox's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Innermost call first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
}

impl ScriptError {
    /// An error without a place in the script.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, position: None, stack: Vec::new() }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// What an invocation used, over all its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Fuel burnt. After a trap it can be a little under what was truly burnt.
    pub fuel: u64,
    /// Peak bytes of linear memory.
    pub memory_bytes: u64,
    pub host_calls: u64,
    /// Bytes moved by host calls, both ways together.
    pub host_bytes: u64,
    /// Those of them that the host gave to the script.
    #[serde(default)]
    pub received_bytes: u64,
    /// The host calls by service, without those that were not called.
    #[serde(default)]
    pub calls: Calls,
    /// Microseconds that it waited until its script was compiled; 0 if it was.
    #[serde(default)]
    pub compile_us: u64,
}

impl Usage {
    /// Adds a further attempt's usage; memory is a peak, not a sum.
    pub fn add(&mut self, other: &Self) {
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.host_calls = self.host_calls.saturating_add(other.host_calls);
        self.host_bytes = self.host_bytes.saturating_add(other.host_bytes);
        self.received_bytes = self.received_bytes.saturating_add(other.received_bytes);
        self.calls.add(&other.calls);
        self.compile_us = self.compile_us.saturating_add(other.compile_us);
    }
}
