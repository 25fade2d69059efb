//! `picloud executions`: what ran, and how it went.

use clap::{Args, Subcommand};
use picloud_shared::{Execution, ExecutionId};

use super::output::issue_text;
use super::text::{self, BOLD, ERROR, GOOD};
use super::{Global, logs};
use crate::client::{ExecutionDetail, Issue, Page};

/// List an app's executions, newest first
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  picloud executions --app guestbook
  picloud executions show 0198c1f0-5a3e-7c11-8f7e-3d2b1a09c8d7 --app guestbook")]
pub struct ExecutionsArgs {
    #[command(subcommand)]
    command: Option<ExecutionsCommand>,

    /// How many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    limit: u32,
}

#[derive(Subcommand)]
enum ExecutionsCommand {
    /// Show an execution with its error and its log
    #[command(after_help = "\
Example:
  picloud executions show 0198c1f0-5a3e-7c11-8f7e-3d2b1a09c8d7 --app guestbook")]
    Show {
        /// The execution's id
        id: ExecutionId,
    },
}

pub async fn run(args: ExecutionsArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    if let Some(ExecutionsCommand::Show { id }) = args.command {
        let execution = client.execution(&app, id).await?;
        output.result(&execution, detail)?;
        return Ok(());
    }
    let page = Page { limit: Some(args.limit), ..Page::default() };
    let executions = client.executions(&app, &page).await?;
    if executions.items.is_empty() {
        output.note(&format!("nothing ran in {app} yet"));
        output.result(&executions, |_| String::new())?;
    } else {
        output.result(&executions, |executions| list(&executions.items))?;
    }
    Ok(())
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

/// What an execution used.
#[must_use]
pub fn usage_text(execution: &Execution) -> String {
    let usage = &execution.usage;
    let attempts = match execution.attempts {
        1 => String::new(),
        attempts => format!(", {attempts} attempts"),
    };
    format!(
        "fuel {}, memory {}, host calls {}, bytes moved {}{attempts}",
        text::number(usage.fuel),
        text::bytes(usage.memory_bytes),
        text::number(usage.host_calls),
        text::number(usage.host_bytes)
    )
}
