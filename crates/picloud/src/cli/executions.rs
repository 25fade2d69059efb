//! `picloud executions`: what ran, and how it went.

use anyhow::bail;
use clap::{Args, Subcommand};
use picloud_shared::execution::{IdPrefix, InvalidIdPrefix, OutcomeFilter, UnknownOutcome};
use picloud_shared::receipt::Commit;
use picloud_shared::{AppSlug, Execution, ExecutionId, ReleaseNumber};

use super::output::issue_text;
use super::text::{self, BOLD, ERROR, GOOD};
use super::{Global, logs, moment};
use crate::client::{Client, ExecutionDetail, ExecutionFilter, Issue};

/// Find an app's executions, newest first
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  picloud executions --app guestbook
  picloud executions --app guestbook --outcome failed --since 1h
  picloud executions --app guestbook --handler index.rhai --text 'order 17'
  picloud executions show 0198c1f0-5a3e --app guestbook")]
pub struct ExecutionsArgs {
    #[command(subcommand)]
    command: Option<ExecutionsCommand>,

    /// How many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    limit: u32,

    /// Only those that ended so: ok, conflict, …, or failed for any but ok
    #[arg(long, value_name = "OUTCOME", value_parser = parse_outcome)]
    outcome: Option<String>,

    /// Only those of this handler: a file, or file#function
    #[arg(long, value_name = "HANDLER")]
    handler: Option<String>,

    /// Only those of this release
    #[arg(long, value_name = "N")]
    release: Option<i64>,

    /// Only those that were answered with this HTTP status
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,

    /// Only those that began then or later: 30m, 2h, 1d, or a time like 2026-03-01T08:15
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    since: Option<u64>,

    /// Only those that began before then, written like --since
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    until: Option<u64>,

    /// Only those with this text in their log or in their error
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Subcommand)]
enum ExecutionsCommand {
    /// Show an execution's receipt, its error and its log
    #[command(after_help = "\
Examples:
  picloud executions show 0198c1f0-5a3e-7c11-8f7e-3d2b1a09c8d7 --app guestbook
  picloud executions show 0198c1f0-5a3e-7 --app guestbook")]
    Show {
        /// The execution's id, or as much of its beginning as no other has
        #[arg(value_parser = parse_id)]
        id: String,
    },
}

fn parse_outcome(text: &str) -> Result<String, UnknownOutcome> {
    text.parse().map(|_: OutcomeFilter| text.to_owned())
}

fn parse_id(text: &str) -> Result<String, InvalidIdPrefix> {
    text.parse().map(|_: IdPrefix| text.to_owned())
}

pub async fn run(args: ExecutionsArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    if let Some(ExecutionsCommand::Show { id }) = args.command {
        let id = whole_id(&client, &app, &id).await?;
        let execution = client.execution(&app, id).await?;
        output.result(&execution, detail)?;
        return Ok(());
    }
    let filter = ExecutionFilter {
        outcome: args.outcome,
        handler: args.handler,
        release: args.release.map(ReleaseNumber),
        status: args.status,
        from_ms: args.since,
        until_ms: args.until,
        text: args.text,
        limit: args.limit,
        ..ExecutionFilter::default()
    };
    let executions = client.executions(&app, &filter).await?;
    if executions.items.is_empty() {
        output.note(&format!("nothing like that ran in {app}"));
        output.result(&executions, |_| String::new())?;
    } else {
        output.result(&executions, |executions| list(&executions.items))?;
    }
    Ok(())
}

/// The id that begins like this.
async fn whole_id(client: &Client, app: &AppSlug, id: &str) -> anyhow::Result<ExecutionId> {
    if let Ok(id) = id.parse() {
        return Ok(id);
    }
    let filter =
        ExecutionFilter { id: Some(id.to_owned()), limit: 2, ..ExecutionFilter::default() };
    match client.executions(app, &filter).await?.items.as_slice() {
        [one] => Ok(one.id),
        [] => bail!("{app} has no execution whose id begins with {id}"),
        _ => bail!("several executions of {app} have ids that begin with {id}; give more of it"),
    }
}

fn list(executions: &[Execution]) -> String {
    let rows: Vec<Vec<String>> = executions
        .iter()
        .map(|execution| {
            vec![
                text::time(execution.started_at_ms),
                execution.cause.clone(),
                execution.status.map_or_else(String::new, |status| status.to_string()),
                execution.outcome.clone(),
                text::duration(execution.duration_us),
                text::number(execution.usage.fuel),
                execution.id.to_string(),
            ]
        })
        .collect();
    text::table(&["STARTED", "CAUSE", "STATUS", "OUTCOME", "TIME", "FUEL", "ID"], &rows)
}

fn detail(ExecutionDetail { execution, logs }: &ExecutionDetail) -> String {
    let style = if execution.outcome == "ok" { GOOD } else { ERROR };
    let (cause, outcome) = (text::line(&execution.cause), text::line(&execution.outcome));
    let status = execution.status.map_or_else(String::new, |status| format!(", status {status}"));
    let mut lines = vec![
        format!("{BOLD}{cause}{BOLD:#}  {style}{outcome}{style:#}{status}"),
        format!("  {} of release {}", text::line(&execution.handler), execution.release),
        format!(
            "  started {}, took {}",
            text::time(execution.started_at_ms),
            text::duration(execution.duration_us)
        ),
        format!("  {}", usage_text(execution)),
        format!("  {}", execution.id),
    ];
    lines.extend(logs.iter().map(logs::line_text));
    lines.extend(execution.error.clone().map(|error| issue_text(&Issue::new(error, None))));
    lines.join("\n")
}

/// What an execution used, and what it has written.
#[must_use]
pub fn usage_text(execution: &Execution) -> String {
    let usage = &execution.usage;
    let calls = usage.calls.iter().map(|(service, calls)| (calls, service.as_str()));
    let mut parts = vec![
        format!("fuel {}", text::number(usage.fuel)),
        format!("memory {}", text::bytes(usage.memory_bytes)),
        format!("host calls {}{}", text::number(usage.host_calls), in_brackets(calls)),
        format!("bytes moved {}", text::number(usage.host_bytes)),
    ];
    if usage.compile_us > 0 {
        parts.push(format!("compiled in {}", text::duration(usage.compile_us)));
    }
    if let Some(Commit { entries, files, events, bytes }) = execution.commit {
        let kinds = [(entries, "entries"), (files, "files"), (events, "events")];
        parts.push(format!("wrote {}{}", text::bytes(bytes), in_brackets(kinds)));
    }
    if execution.attempts > 1 {
        parts.push(format!("{} attempts", execution.attempts));
    }
    parts.join(", ")
}

/// ` (kv 3, log 1)`; nothing if there is none of anything.
fn in_brackets(counts: impl IntoIterator<Item = (u64, &'static str)>) -> String {
    let counted = counts.into_iter().filter(|(count, _)| *count > 0);
    let counted: Vec<_> =
        counted.map(|(count, of)| format!("{of} {}", text::number(count))).collect();
    if counted.is_empty() { String::new() } else { format!(" ({})", counted.join(", ")) }
}
