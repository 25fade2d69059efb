//! Where commands write: results to stdout, everything else to stderr; and
//! with `--json` everything as JSON to stdout.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::text::{self, BOLD, DIM, ERROR, WARNING};
use crate::client::{self, Issue, Problem};

/// A command was written in a way that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The command failed and has already said all about it.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub struct Failed;

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// Writes a command's result: the value as JSON, or the text for people,
    /// which may be styled. An empty text writes nothing.
    pub fn result<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        if self.json {
            let mut stdout = io::stdout().lock();
            serde_json::to_writer_pretty(&mut stdout, value)?;
            return writeln!(stdout);
        }
        let text = text(value);
        if text.is_empty() { Ok(()) } else { writeln!(anstream::stdout(), "{text}") }
    }

    /// Writes one of a result's many parts at once, in JSON as one line.
    pub fn part<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
        if self.json {
            let mut stdout = io::stdout().lock();
            serde_json::to_writer(&mut stdout, value)?;
            writeln!(stdout)?;
            return stdout.flush();
        }
        let mut stdout = anstream::stdout();
        writeln!(stdout, "{}", text(value))?;
        stdout.flush()
    }

    /// Tells people something beside the result; nothing with `--json`.
    pub fn note(self, text: &str) {
        if !self.json {
            // There is nobody to tell that stderr is gone.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Tells why a command failed, and with which code to exit.
    pub fn failure(self, error: &anyhow::Error) -> ExitCode {
        let is_pipe = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().map(io::Error::kind)
                == Some(io::ErrorKind::BrokenPipe)
        };
        if error.chain().any(is_pipe) {
            // Whoever read has read enough, as in `picloud logs | head`.
            return ExitCode::SUCCESS;
        }
        if error.is::<Failed>() {
            return ExitCode::FAILURE;
        }
        let usage = error.is::<Usage>();
        if self.json {
            let code = if usage { "usage" } else { "failed" };
            let problem = match error.downcast_ref() {
                Some(client::Error::Problem(problem)) => json!(problem),
                Some(client::Error::Unreachable { .. }) => {
                    json!({ "code": "unreachable", "detail": error.to_string() })
                }
                _ => json!({ "code": code, "detail": format!("{error:#}") }),
            };
            let _ = writeln!(io::stdout(), "{}", json!({ "error": problem }));
        } else {
            let text = if let Some(client::Error::Problem(problem)) = error.downcast_ref() {
                problem_text(problem)
            } else {
                let message = text::block(&format!("{error:#}"), 2);
                let hint = if usage { "\n\nFor more information, try '--help'." } else { "" };
                format!("{ERROR}error{ERROR:#}: {message}{hint}")
            };
            let _ = writeln!(anstream::stderr(), "{text}");
        }
        if usage { ExitCode::from(2) } else { ExitCode::FAILURE }
    }
}

/// A refusal of the control plane, with every place in the files that it is about.
#[must_use]
pub fn problem_text(problem: &Problem) -> String {
    let mut text = if problem.errors.is_empty() {
        let detail = problem.detail.as_deref().unwrap_or(&problem.title);
        format!("{ERROR}error[{}]{ERROR:#}: {}", text::line(&problem.code), text::block(detail, 2))
    } else {
        let issues: Vec<String> = problem.errors.iter().map(issue_text).collect();
        issues.join("\n\n")
    };
    if problem.code == "unauthorized" {
        text.push_str(
            "\n  `picloud login`, or pass a token with --token or PICLOUD_TOKEN; whoever runs the \
             server has one in admin-token in its data directory",
        );
    }
    text
}

/// One mistake as compilers show them: what, where, and the line.
#[must_use]
pub fn issue_text(issue: &Issue) -> String {
    let code = issue.code.as_ref().map(|code| format!("[{}]", text::line(code)));
    let (code, message) = (code.unwrap_or_default(), text::block(&issue.message, 2));
    let mut lines = vec![format!("{ERROR}error{code}{ERROR:#}{BOLD}: {message}{BOLD:#}")];
    // The excerpt's first line is as many spaces as the gutter has, and a bar.
    let excerpt = issue.excerpt.as_deref();
    let gutter = excerpt.and_then(|text| text.find('|')).map_or(2, |width| width.saturating_sub(1));
    if let Some(file) = &issue.file {
        let place = match (issue.line, issue.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            (Some(line), None) => format!("{file}:{line}"),
            (None, _) => file.clone(),
        };
        lines.push(format!("{:gutter$}{DIM}-->{DIM:#} {}", "", text::line(&place)));
    }
    lines.extend(excerpt.map(|excerpt| text::harmless(excerpt).into_owned()));
    for frame in &issue.stack {
        let place = frame.position.as_ref().map(|at| format!(", called at {at}"));
        let frame = text::line(&format!("in {}{}", frame.function, place.unwrap_or_default()));
        lines.push(format!("{:gutter$} {DIM}={DIM:#} {frame}", ""));
    }
    lines.join("\n")
}

/// Something that is not wrong and yet perhaps not meant.
#[must_use]
pub fn warning_text(message: &str) -> String {
    format!("{WARNING}warning{WARNING:#}: {}", text::block(message, 2))
}

#[cfg(test)]
mod tests {
    use picloud_shared::{Frame, Position, ScriptError};

    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_mistake_is_shown_with_its_line() {
        let position = Position { file: "posts/[id].rhai".to_owned(), line: 12, column: 9 };
        let error = ScriptError {
            message: "Expecting ';'\u{1b}[2J".to_owned(),
            code: Some("syntax_error".to_owned()),
            position: Some(position.clone()),
            stack: vec![Frame { function: "get".to_owned(), position: Some(position) }],
        };
        let issue = Issue::new(error, Some(&format!("{}let x = ;", "\n".repeat(11))));
        assert_eq!(
            plain(&issue_text(&issue)),
            "error[syntax_error]: Expecting ';'\\u{1b}[2J\n  --> posts/[id].rhai:12:9\n   |\n12 | \
             let x = ;\n   |         ^\n   = in get, called at posts/[id].rhai:12:9"
        );
    }

    #[test]
    fn a_refusal_without_places_is_one_sentence() {
        let mut problem = Problem {
            status: 404,
            code: "not_found".to_owned(),
            title: "Not found".to_owned(),
            detail: Some("there is no app x".to_owned()),
            ..Problem::default()
        };
        assert_eq!(plain(&problem_text(&problem)), "error[not_found]: there is no app x");
        problem.detail = None;
        problem.code = "unauthorized".to_owned();
        assert!(plain(&problem_text(&problem)).contains("--token"));
    }
}
