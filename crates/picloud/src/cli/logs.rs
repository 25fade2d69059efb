//! `picloud logs`: what an app's scripts log.

use std::pin::pin;

use anstyle::Style;
use clap::Args;
use futures_util::TryStreamExt as _;
use picloud_shared::{ExecutionId, Level};

use super::Global;
use super::text::{self, DIM, ERROR, GOOD, WARNING};
use crate::client::{LogFilter, LogLine};

/// Show what an app's scripts log, oldest first
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud logs --app guestbook -n 200
  picloud logs --app guestbook -f --level warn
  picloud logs --app guestbook -f --json | jq .message")]
pub struct LogsArgs {
    /// Go on with every new line as it comes
    #[arg(short, long)]
    follow: bool,

    /// Only lines that matter at least this much: debug, info, warn or error
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,

    /// Only lines of this execution
    #[arg(long, value_name = "ID")]
    execution: Option<ExecutionId>,

    /// How many of the newest stored lines
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    limit: u32,
}

pub async fn run(args: LogsArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let filter = LogFilter { level: args.level, execution: args.execution, limit: args.limit };
    if !args.follow {
        for line in client.logs(&app, &filter).await?.items {
            output.part(&line, line_text)?;
        }
        return Ok(());
    }
    let mut lines = pin!(client.follow_logs(&app, &filter).await?);
    loop {
        let line = tokio::select! {
            line = lines.try_next() => line?,
            // The way to stop following is no failure.
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(line) = line else { anyhow::bail!("the server ended the stream") };
        output.part(&line, line_text)?;
    }
}

/// One log line for people, on several lines if the script wrote several.
#[must_use]
pub fn line_text(line: &LogLine) -> String {
    let time = line.at_ms.map_or_else(|| " ".repeat(12), text::time_of_day);
    let (level, style) = (line.level.as_str().to_uppercase(), style_of(line.level));
    let indent = time.len() + 1 + 5 + 1;
    let message = text::block(&line.message, indent);
    let fields = line.fields.as_deref().filter(|fields| *fields != "{}").map(text::line);
    let fields = fields.map_or_else(String::new, |fields| format!(" {DIM}{fields}{DIM:#}"));
    format!("{DIM}{time}{DIM:#} {style}{level:<5}{style:#} {message}{fields}")
}

fn style_of(level: Level) -> Style {
    match level {
        Level::Debug => DIM,
        Level::Info => GOOD,
        Level::Warn => WARNING,
        Level::Error => ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_pass_for_another() {
        let line = LogLine {
            execution: None,
            at_ms: Some(0),
            level: Level::Warn,
            message: "first\n12:00:00.000 ERROR forged\u{1b}[31m".to_owned(),
            fields: Some("{\"a\":\"b\u{9b}\"}".to_owned()),
        };
        let shown = anstream::adapter::strip_str(&line_text(&line)).to_string();
        let (_, rest) = shown.split_once(' ').unwrap();
        assert_eq!(
            rest,
            "WARN  first\n                   12:00:00.000 ERROR forged\\u{1b}[31m {\"a\":\"b\\u{9b}\"}"
        );
    }
}
