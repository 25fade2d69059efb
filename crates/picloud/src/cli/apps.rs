//! `picloud apps`: list, make, show and delete apps.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use picloud_shared::AppSlug;
use serde_json::json;

use super::Global;
use super::output::Usage;
use super::text::{self, BOLD, GOOD, LINK};
use crate::client::App;

/// List, make, show and delete apps
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud apps
  picloud apps create guestbook
  picloud apps show guestbook
  picloud apps delete guestbook")]
pub struct AppsArgs {
    #[command(subcommand)]
    command: Option<AppsCommand>,
}

#[derive(Subcommand)]
enum AppsCommand {
    /// List all apps
    #[command(after_help = "Example:\n  picloud apps list --json")]
    List,
    /// Make an app; deploying to one that does not exist makes it too
    #[command(after_help = "Example:\n  picloud apps create guestbook")]
    Create {
        /// Lower-case letters, digits and hyphens
        name: AppSlug,
    },
    /// Show one app
    #[command(after_help = "Example:\n  picloud apps show guestbook")]
    Show {
        /// The app's name
        name: AppSlug,
    },
    /// Delete an app with its releases, data, executions and logs
    #[command(after_help = "Example:\n  picloud apps delete guestbook --yes")]
    Delete {
        /// The app's name
        name: AppSlug,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub async fn run(args: AppsArgs, global: &Global) -> anyhow::Result<()> {
    let (client, output) = (global.client()?, global.output());
    match args.command.unwrap_or(AppsCommand::List) {
        AppsCommand::List => {
            let apps = client.apps().await?;
            if apps.items.is_empty() {
                output.note("there is no app yet; `picloud deploy` makes one");
            }
            output.result(&apps, |apps| {
                if apps.items.is_empty() { String::new() } else { list(&apps.items) }
            })?;
        }
        AppsCommand::Create { name } => {
            let app = client.create_app(&name).await?;
            output.result(&app, show)?;
        }
        AppsCommand::Show { name } => {
            let app = client.app(&name).await?;
            output.result(&app, show)?;
        }
        AppsCommand::Delete { name, yes } => {
            if !yes {
                confirm(&name)?;
            }
            client.delete_app(&name).await?;
            output
                .result(&json!({ "deleted": name }), |_| format!("{GOOD}deleted{GOOD:#} {name}"))?;
        }
    }
    Ok(())
}

/// Asks for the app's name to be typed again.
fn confirm(name: &AppSlug) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Usage("deleting an app deletes all its data: add --yes".to_owned()).into());
    }
    let mut stderr = anstream::stderr();
    write!(stderr, "This deletes {name} with all its data. Type its name to go on: ")?;
    stderr.flush()?;
    let mut typed = String::new();
    stdin.read_line(&mut typed)?;
    if typed.trim() == name.as_str() { Ok(()) } else { anyhow::bail!("nothing was deleted") }
}

fn list(apps: &[App]) -> String {
    let rows: Vec<Vec<String>> = apps
        .iter()
        .map(|app| {
            let release = app.active_release.map_or_else(|| "-".to_owned(), |n| n.to_string());
            vec![app.slug.to_string(), release, text::time(app.created_at_ms), app.url.clone()]
        })
        .collect();
    text::table(&["APP", "RELEASE", "MADE", "URL"], &rows)
}

fn show(app: &App) -> String {
    let release = match app.active_release {
        Some(number) => format!("release {number}"),
        None => "nothing deployed yet".to_owned(),
    };
    let mut lines = vec![
        format!("{BOLD}{}{BOLD:#}  {LINK}{}{LINK:#}", app.slug, text::line(&app.url)),
        format!("  {release}, made {}", text::time(app.created_at_ms)),
    ];
    for (limit, value) in app.limits.as_object().into_iter().flatten() {
        lines.push(format!("  limit {} = {}", text::line(limit), text::line(&value.to_string())));
    }
    lines.join("\n")
}
