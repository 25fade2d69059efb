//! What `picloud dev` tells while it runs: for people to stdout line by line,
//! or as one JSON object per line.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use picloud_executor_core::Record;
use picloud_manager_core::Deployed;
use picloud_shared::{AppSlug, Execution};
use serde_json::json;

use crate::cli::deploy::routes_text;
use crate::cli::logs::line_text;
use crate::cli::output::{Output, issue_text, warning_text};
use crate::cli::text::{self, BOLD, DIM, ERROR, GOOD, LINK, WARNING};
use crate::client::{Issue, LogLine, Route};

pub(super) struct Show {
    output: Output,
}

impl Show {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }

    /// The server answers. The lines' form is what programs look for.
    pub(super) fn ready(&self, server: &str, app: &AppSlug, url: &str) -> io::Result<()> {
        self.output.part(&json!({ "ready": server, "app": app, "url": url }), |_| {
            format!("PiCloud is ready at {server}\n{BOLD}{app}{BOLD:#}: {LINK}{url}{LINK:#}")
        })
    }

    pub(super) fn deployed(
        &self,
        app: &AppSlug,
        deployed: &Deployed,
        with_routes: bool,
    ) -> io::Result<()> {
        let Deployed { release, routes, warnings } = deployed;
        self.output.part(&json!({ "deployed": deployed }), |_| {
            let time = text::time_of_day(release.created_at_ms);
            let number = release.number;
            let mut lines =
                vec![format!("{DIM}{time}{DIM:#} {GOOD}deployed{GOOD:#} {app} release {number}")];
            if with_routes && !routes.is_empty() {
                let routes: Vec<Route> = routes.iter().cloned().map(Route::from).collect();
                lines.push(routes_text(&routes));
            }
            lines.extend(warnings.iter().map(|warning| warning_text(warning)));
            lines.join("\n")
        })
    }

    /// The files are not right; the release before goes on.
    pub(super) fn rejected(&self, issues: Vec<picloud_manager_core::Issue>) -> io::Result<()> {
        let issues: Vec<Issue> = issues.into_iter().map(Issue::from).collect();
        self.output.part(&json!({ "rejected": issues }), |_| {
            let issues: Vec<String> = issues.iter().map(issue_text).collect();
            format!(
                "{}\n{WARNING}not deployed{WARNING:#}, waiting for a change",
                issues.join("\n\n")
            )
        })
    }

    /// The files could not be read or stored; the release before goes on.
    pub(super) fn failed(&self, error: &anyhow::Error) -> io::Result<()> {
        let message = format!("{error:#}");
        self.output.part(&json!({ "error": { "detail": message } }), |_| {
            let message = text::block(&message, 2);
            format!("{ERROR}error{ERROR:#}: {message}\n{WARNING}not deployed{WARNING:#}, waiting for a change")
        })
    }

    /// One execution: what it logged, and how it ended. `files` are the sources
    /// that excerpts come from.
    pub(super) fn record(
        &self,
        record: &Record,
        files: &BTreeMap<String, Bytes>,
    ) -> io::Result<()> {
        for line in &record.lines {
            let line = LogLine::from(line.clone());
            self.output.part(&json!({ "log": line }), |_| line_text(&line))?;
        }
        let execution = &record.execution;
        self.output.part(&json!({ "execution": execution }), |_| execution_text(execution, files))
    }

    /// More came than could be shown.
    pub(super) fn missed(&self, executions: u64) {
        self.output.note(&format!("{DIM}… and {executions} executions that are not shown{DIM:#}"));
    }
}

fn execution_text(execution: &Execution, files: &BTreeMap<String, Bytes>) -> String {
    let ended_at_ms = execution.started_at_ms + execution.duration_us / 1_000;
    let is_ok = execution.outcome == "ok";
    let style = match execution.status {
        _ if !is_ok => ERROR,
        Some(500..) => ERROR,
        Some(400..) => WARNING,
        _ => GOOD,
    };
    let (time, cause) = (text::time_of_day(ended_at_ms), text::line(&execution.cause));
    let status = execution.status.map_or_else(|| execution.outcome.clone(), |s| s.to_string());
    let (status, duration) = (text::line(&status), text::duration(execution.duration_us));
    let attempts = match execution.attempts {
        1 => String::new(),
        attempts => format!(", {attempts} attempts"),
    };
    let line = format!(
        "{DIM}{time}{DIM:#} {style}{status:<5}{style:#} {cause} {DIM}{duration}{attempts}{DIM:#}"
    );
    let failure = match &execution.error {
        Some(error) => {
            let position = error.position.as_ref();
            let source = position.and_then(|at| std::str::from_utf8(files.get(&at.file)?).ok());
            issue_text(&Issue::new(error.clone(), source))
        }
        None if !is_ok => {
            let (outcome, handler) =
                (text::line(&execution.outcome), text::line(&execution.handler));
            format!("{ERROR}error{ERROR:#}{BOLD}: {outcome}{BOLD:#} in {handler}")
        }
        None => return line,
    };
    format!("{line}\n{failure}")
}

#[cfg(test)]
mod tests {
    use picloud_shared::{AppId, ExecutionId, Position, ReleaseNumber, ScriptError, Usage};

    use super::*;

    fn shown(outcome: &str, status: u16, error: Option<ScriptError>) -> String {
        let execution = Execution {
            id: ExecutionId::new(0, [0; 10]),
            app: AppId(1),
            release: ReleaseNumber(1),
            handler: "index.rhai".to_owned(),
            cause: "GET /\u{1b}[2J".to_owned(),
            event: None,
            started_at_ms: 0,
            duration_us: 1_500,
            outcome: outcome.to_owned(),
            status: Some(status),
            error,
            usage: Usage::default(),
            commit: None,
            attempts: 1,
        };
        let files = BTreeMap::from([("index.rhai".to_owned(), Bytes::from_static(b"throw 1"))]);
        let shown = execution_text(&execution, &files);
        // Without the time, which depends on where this runs.
        anstream::adapter::strip_str(&shown).to_string().split_off(13)
    }

    #[test]
    fn a_request_is_one_line() {
        assert_eq!(shown("ok", 204, None), "204   GET /\\u{1b}[2J 1.5 ms");
    }

    #[test]
    fn a_failure_shows_its_line() {
        let position = Position { file: "index.rhai".to_owned(), line: 1, column: 1 };
        let error = ScriptError { position: Some(position), ..ScriptError::new("1") };
        assert_eq!(
            shown("script_error", 500, Some(error)),
            "500   GET /\\u{1b}[2J 1.5 ms\nerror: 1\n --> index.rhai:1:1\n  |\n1 | throw 1\n  | ^"
        );
        let exhausted = shown("out_of_fuel", 500, None);
        assert!(exhausted.ends_with("\nerror: out_of_fuel in index.rhai"), "{exhausted}");
    }
}
