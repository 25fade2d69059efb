//! `picloud audit`: who changed what, when, from where.

use clap::Args;
use picloud_shared::audit::Entry;

use super::Global;
use super::text;
use crate::client::Page;

/// Show who changed what, the newest first
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud audit
  picloud audit --app guestbook --limit 20
  picloud audit --before 1200")]
pub struct AuditArgs {
    /// Changes to show
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only changes before this one, by its number
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
}

pub async fn run(args: AuditArgs, global: &Global) -> anyhow::Result<()> {
    let page = Page {
        after: args.before.map(|id| id.to_string()),
        limit: Some(args.limit),
        ..Page::default()
    };
    let entries = global.client()?.audit(global.app.as_ref(), &page).await?;
    let output = global.output();
    if entries.items.is_empty() {
        output.note("nothing has been changed");
    }
    output.result(&entries, |entries| {
        if entries.items.is_empty() { String::new() } else { list(&entries.items) }
    })?;
    if let Some(next) = entries.next {
        output.note(&format!("there are more: add --before {next}"));
    }
    Ok(())
}

fn list(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let change = &entry.change;
        let who = match &change.token {
            Some(token) => format!("{} ({})", change.actor, token),
            None => change.actor.clone(),
        };
        vec![
            entry.id.to_string(),
            text::time(change.at_ms),
            text::line(&who),
            change.ip.to_string(),
            text::line(&change.action),
            text::line(&change.target),
            entry.status.map_or_else(|| "?".to_owned(), |status| status.to_string()),
        ]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    text::table(&["ID", "WHEN", "WHO", "FROM", "WHAT", "OF", "ANSWER"], &rows)
}
