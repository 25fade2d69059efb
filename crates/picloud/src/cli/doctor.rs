//! `picloud doctor`: looks at an install and says what is amiss.
//!
//! To add a check: a function that takes what was found and returns a
//! [`Check`], with its cases as a test; a line in `checks` of the module that it
//! belongs to; a row in docs/operations/install.md.

mod data_dir;
mod process;
mod server;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anstyle::Style;
use clap::Args;
use serde::Serialize;

use super::output::Failed;
use super::text::{self, DIM, ERROR, GOOD, WARNING};
use super::{Global, is_loopback};
use crate::config::DEFAULT_DATA_DIR;

/// Places for executions that a server has when it is not told.
const DEFAULT_PLACES: usize = 64;

/// Look at an install, and say what is amiss and what to do
///
/// Asks the server, and looks at the data directory and at the process that has
/// it where they are on this machine. Exits with 1 if there is a problem;
/// warnings are none.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud doctor
  picloud doctor --server https://picloud.example.org
  sudo picloud doctor --data-dir /var/lib/private/picloud
  picloud doctor --json
  picloud doctor --ready")]
pub struct DoctorArgs {
    /// The server's data directory, if it is on this machine [default: ./picloud-data, if there is one and the server is on this machine]
    #[arg(long, env = "PICLOUD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Executions at one time that the server was told [default: 64]
    #[arg(long, env = "PICLOUD_MAX_CONCURRENT_EXECUTIONS", value_name = "N")]
    max_concurrent_executions: Option<NonZeroUsize>,

    /// Only ask whether the server answers and is ready, as watchdogs do
    #[arg(long)]
    ready: bool,
}

/// What a check found, and what to do about it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Problem,
}

#[derive(Serialize)]
struct Report {
    checks: Vec<Check>,
    warnings: usize,
    problems: usize,
}

pub async fn run(args: DoctorArgs, global: &Global) -> anyhow::Result<()> {
    let client = global.client()?;
    let mut checks = server::health(&client, &global.server).await;
    let answers = checks.iter().all(|check| check.name != "server" || check.state == State::Ok);
    if !args.ready {
        if answers {
            checks.extend(server::checks(&client, &global.server).await);
        }
        let is_here = is_loopback(&global.server);
        let default = Path::new(DEFAULT_DATA_DIR);
        let default = (is_here && default.exists()).then(|| default.to_owned());
        if let Some(dir) = args.data_dir.or(default) {
            let places = args.max_concurrent_executions.map_or(DEFAULT_PLACES, NonZeroUsize::get);
            checks.extend(data_dir::checks(&dir, places, is_here && answers));
        }
    }
    let report = Report::new(checks);
    global.output().result(&report, Report::text)?;
    if report.problems > 0 { Err(Failed.into()) } else { Ok(()) }
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { name, state, found: found.into(), advice: None }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Ok, found)
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, State::Warning, found).advise(advice)
    }

    fn problem(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, State::Problem, found).advise(advice)
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    fn text(&self) -> String {
        let (state, style) = self.state.shown();
        let advice = self.advice.as_deref().map_or_else(String::new, |advice| {
            format!("\n{:23}{DIM}{}{DIM:#}", "", text::line(advice))
        });
        format!("{style}{state:<8}{style:#} {:<14}{}{advice}", self.name, text::line(&self.found))
    }
}

impl State {
    fn shown(self) -> (&'static str, Style) {
        match self {
            Self::Ok => ("ok", GOOD),
            Self::Warning => ("warning", WARNING),
            Self::Problem => ("problem", ERROR),
        }
    }
}

impl Report {
    fn new(checks: Vec<Check>) -> Self {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        Self { warnings: count(State::Warning), problems: count(State::Problem), checks }
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.checks.iter().map(Check::text).collect();
        format!("{}\nproblems: {}, warnings: {}", lines.join("\n"), self.problems, self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_line_for_each_check_and_advice_where_there_is_any() {
        let checks = vec![
            Check::ok("server", "it answers\u{1b}[2J"),
            Check::warning("space", "1.0 GiB is free", "make room"),
            Check::problem("data-dir", "others may read it", "chmod 700 it"),
        ];
        let text = anstream::adapter::strip_str(&Report::new(checks).text()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "ok       server        it answers\\u{1b}[2J",
                "warning  space         1.0 GiB is free",
                "                       make room",
                "problem  data-dir      others may read it",
                "                       chmod 700 it",
                "problems: 1, warnings: 1",
            ]
        );
    }
}
