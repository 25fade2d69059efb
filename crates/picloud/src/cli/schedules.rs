//! `picloud schedules`: what a clock calls, and when.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use super::text::{self, BOLD, DIM, GOOD, WARNING};
use crate::client::ScheduleInfo;

/// Show an app's schedules with their next runs; run, pause or resume one
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud schedules --app digest
  picloud schedules run digest.rhai --app digest
  picloud schedules pause digest.rhai --app digest")]
pub struct SchedulesArgs {
    #[command(subcommand)]
    command: Option<SchedulesCommand>,
}

#[derive(Subcommand)]
enum SchedulesCommand {
    /// List the schedules with their next five runs
    #[command(after_help = "Example:\n  picloud schedules list --app digest")]
    List,
    /// Run one now, whenever it is due
    #[command(after_help = "Example:\n  picloud schedules run digest.rhai --app digest")]
    Run {
        /// The schedule's name: its handler, unless the manifest names it
        name: String,
    },
    /// Stop one until it is resumed, also across deploys
    #[command(after_help = "Example:\n  picloud schedules pause digest.rhai --app digest")]
    Pause {
        /// The schedule's name
        name: String,
    },
    /// Let one that is paused go on; what it missed is not made up for
    #[command(after_help = "Example:\n  picloud schedules resume digest.rhai --app digest")]
    Resume {
        /// The schedule's name
        name: String,
    },
}

pub async fn run(args: SchedulesArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let (name, verb, done) = match args.command.unwrap_or(SchedulesCommand::List) {
        SchedulesCommand::List => {
            let schedules = client.schedules(&app).await?;
            if schedules.items.is_empty() {
                output.note(&format!("{app} has no schedules"));
            }
            output.result(&schedules, |schedules| {
                schedules.items.iter().map(schedule_text).collect::<Vec<_>>().join("\n")
            })?;
            return Ok(());
        }
        SchedulesCommand::Run { name } => (name, "run", "running"),
        SchedulesCommand::Pause { name } => (name, "pause", "paused"),
        SchedulesCommand::Resume { name } => (name, "resume", "resumed"),
    };
    client.schedule(&app, &name, verb).await?;
    output.result(&json!({ done: name }), |_| {
        format!("{GOOD}{done}{GOOD:#} {}", text::line(&name))
    })?;
    Ok(())
}

fn schedule_text(schedule: &ScheduleInfo) -> String {
    let ScheduleInfo { name, cron, timezone, handler, paused, last_fire_ms, upcoming_ms } =
        schedule;
    let mut lines = vec![format!(
        "{BOLD}{}{BOLD:#}  {} {}{}",
        text::line(name),
        text::line(cron),
        text::line(timezone),
        if *paused { format!("  {WARNING}paused{WARNING:#}") } else { String::new() },
    )];
    if name != handler {
        lines.push(format!("  handler  {}", text::line(handler)));
    }
    if let Some(last) = last_fire_ms {
        lines.push(format!("  last     {}", text::time_in(*last, timezone)));
    }
    for (index, at) in upcoming_ms.iter().enumerate() {
        let label = if index == 0 { "next" } else { "" };
        lines.push(format!("  {DIM}{label:<8}{DIM:#} {}", text::time_in(*at, timezone)));
    }
    lines.join("\n")
}
