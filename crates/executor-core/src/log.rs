//! The lines of one invocation, kept until it ends.

use std::sync::{Arc, Mutex, PoisonError};

use picloud_shared::{AppId, Clock, ExecutionId, Level, Log, LogLine};

use crate::secrets::AppSecrets;

pub(crate) struct InvocationLog {
    clock: Arc<dyn Clock>,
    lines: Mutex<Vec<Line>>,
}

struct Line {
    at_ms: u64,
    level: Level,
    message: String,
    fields: Option<String>,
}

impl InvocationLog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default() }
    }

    /// A repeated attempt starts its log afresh.
    pub(crate) fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The lines, without the secrets that the script has seen.
    pub(crate) fn take(
        &self,
        app: AppId,
        execution: ExecutionId,
        secrets: &AppSecrets,
    ) -> Vec<LogLine> {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        let line = |Line { at_ms, level, mut message, mut fields }| {
            secrets.redact(&mut message, false);
            if let Some(fields) = &mut fields {
                secrets.redact(fields, true);
            }
            LogLine { seq: 0, app, execution, at_ms, level, message, fields }
        };
        lines.into_iter().map(line).collect()
    }
}

impl Log for InvocationLog {
    fn write(&self, level: Level, message: String, fields: Option<String>) {
        let line = Line { at_ms: self.clock.now_ms(), level, message, fields };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
