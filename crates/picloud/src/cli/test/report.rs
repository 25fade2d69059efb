//! What `picloud test` tells: for people test by test, or as one JSON object
//! per line.

use std::io;
use std::time::Duration;

use picloud_executor_core::Record;
use serde::Serialize;
use serde_json::json;

use crate::cli::logs::line_text;
use crate::cli::output::{Output, issue_text};
use crate::cli::text::{self, BOLD, DIM, ERROR, GOOD};
use crate::client::LogLine;
use crate::tester::Ran;

/// How it went, all in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) passed: usize,
    pub(super) failed: usize,
    duration_us: u64,
}

/// Tells of each test when it has been run.
pub(super) struct Report {
    output: Output,
    show_output: bool,
    tests: Vec<Ran>,
}

impl Report {
    pub(super) fn new(output: Output, show_output: bool) -> Self {
        Self { output, show_output, tests: Vec::new() }
    }

    pub(super) fn tests(&self) -> &[Ran] {
        &self.tests
    }

    pub(super) fn add(&mut self, ran: Ran) -> io::Result<()> {
        let Ran { test, duration, failure, .. } = &ran;
        let is_first = self.tests.last().is_none_or(|last| last.test.file != test.file);
        let value = json!({ "test": {
            "file": test.file,
            "name": test.name,
            "passed": failure.is_none(),
            "duration_us": micros(*duration),
            "failure": failure,
            "output": output_of(&ran),
        }});
        let show_output = self.show_output || failure.is_some();
        self.output.part(&value, |_| {
            let mut lines = Vec::new();
            if is_first {
                lines.push(format!("{BOLD}{}{BOLD:#}", text::line(&test.file)));
            }
            let (name, duration) = (text::line(&test.name), text::duration(micros(*duration)));
            lines.push(match failure {
                None => format!("  {GOOD}ok{GOOD:#}    {name} {DIM}{duration}{DIM:#}"),
                Some(_) => format!("  {ERROR}FAILED{ERROR:#} {name} {DIM}{duration}{DIM:#}"),
            });
            lines.extend(failure.as_ref().map(issue_text));
            if show_output {
                lines.extend(ran.records.iter().flat_map(|record| record_text(record)));
            }
            lines.join("\n")
        })?;
        self.tests.push(ran);
        Ok(())
    }

    pub(super) fn finish(self, duration: Duration) -> io::Result<Summary> {
        let failed = self.tests.iter().filter(|ran| ran.failure.is_some()).count();
        let passed = self.tests.len() - failed;
        let summary = Summary { passed, failed, duration_us: micros(duration) };
        self.output.part(&json!({ "summary": summary }), |_| {
            let style = if failed == 0 { GOOD } else { ERROR };
            let duration = text::duration(summary.duration_us);
            format!("\n{style}{passed} passed, {failed} failed{style:#} in {duration}")
        })?;
        Ok(summary)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What the test and its requests logged, and how the requests ended, line by
/// line.
pub(super) fn output_of(ran: &Ran) -> Vec<String> {
    let lines = ran.records.iter().flat_map(|record| record_text(record));
    lines.map(|line| anstream::adapter::strip_str(&line).to_string()).collect()
}

fn record_text(record: &Record) -> Vec<String> {
    let Record { execution, lines, .. } = record;
    let mut shown: Vec<String> =
        lines.iter().map(|line| line_text(&LogLine::from(line.clone()))).collect();
    // The test's own execution has no status: how it ended has been said.
    if let Some(status) = execution.status {
        let cause = text::line(&execution.cause);
        let error = execution.error.as_ref().map(|error| text::block(&error.to_string(), 2));
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        shown.push(format!("{DIM}request{DIM:#} {cause} {status}{error}"));
    }
    shown
}
