//! `picloud releases` and `picloud rollback`.

mod diff;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use picloud_shared::{AppSlug, ReleaseNumber};
use serde_json::json;

use super::Global;
use super::text::{self, BOLD, GOOD, LINK};
use crate::client::{Client, Page, Release, ReleaseDetail};

/// List an app's releases, newest first
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  picloud releases --app guestbook
  picloud releases show 3 --app guestbook
  picloud releases diff 3 4 --app guestbook
  picloud releases delete 3 --app guestbook")]
pub struct ReleasesArgs {
    #[command(subcommand)]
    command: Option<ReleasesCommand>,

    /// How many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    limit: u32,
}

#[derive(Subcommand)]
enum ReleasesCommand {
    /// Show a release with its files
    #[command(after_help = "Example:\n  picloud releases show 3 --app guestbook")]
    Show {
        /// The release's number
        #[arg(value_parser = parse_number)]
        number: ReleaseNumber,
    },
    Diff(diff::DiffArgs),
    /// Delete an earlier release; its files no longer count as used
    #[command(after_help = "Example:\n  picloud releases delete 3 --app guestbook")]
    Delete {
        /// The release's number; not the active or the newest one
        #[arg(value_parser = parse_number)]
        number: ReleaseNumber,
    },
}

/// Make an earlier release the active one again
///
/// Data stays as it is; only the files that answer requests change.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud rollback --app guestbook      to the release before the active one
  picloud rollback 3 --app guestbook")]
pub struct RollbackArgs {
    /// The release's number [default: the one before the active release]
    #[arg(value_parser = parse_number)]
    number: Option<ReleaseNumber>,
}

fn parse_number(text: &str) -> Result<ReleaseNumber, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.map(ReleaseNumber).ok_or_else(|| "a release's number counts from 1".to_owned())
}

pub async fn run(args: ReleasesArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    match args.command {
        Some(ReleasesCommand::Show { number }) => {
            let release = client.release(&app, number).await?;
            output.result(&release, detail)?;
            return Ok(());
        }
        Some(ReleasesCommand::Delete { number }) => {
            client.delete_release(&app, number).await?;
            let deleted = json!({ "deleted": number });
            output.result(&deleted, |_| format!("{GOOD}deleted{GOOD:#} {app} release {number}"))?;
            return Ok(());
        }
        Some(ReleasesCommand::Diff(args)) => return diff::run(args, global).await,
        None => {}
    }
    let page = Page { limit: Some(args.limit), ..Page::default() };
    let releases = client.releases(&app, &page).await?;
    if releases.items.is_empty() {
        output.note(&format!("nothing was deployed to {app} yet"));
        output.result(&releases, |_| String::new())?;
    } else {
        output.result(&releases, |releases| list(&releases.items))?;
    }
    Ok(())
}

pub async fn rollback(args: RollbackArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let number = match args.number {
        Some(number) => number,
        None => before_active(&client, &app).await?,
    };
    let deployed = client.activate(&app, number).await?;
    output.result(&deployed, |deployed| {
        format!(
            "{GOOD}active{GOOD:#} {BOLD}{}{BOLD:#} release {}\n{LINK}{}{LINK:#}",
            deployed.app,
            deployed.release,
            text::line(&deployed.url)
        )
    })?;
    Ok(())
}

/// The newest release that is older than the active one.
async fn before_active(client: &Client, app: &AppSlug) -> anyhow::Result<ReleaseNumber> {
    let active = client.app(app).await?.active_release;
    let active = active.with_context(|| format!("nothing was deployed to {app} yet"))?;
    let page = Page { after: Some(active.to_string()), limit: Some(1), ..Page::default() };
    match client.releases(app, &page).await?.items.first() {
        Some(release) => Ok(release.number),
        None => bail!("there is no release of {app} before {active}, the active one"),
    }
}

fn list(releases: &[Release]) -> String {
    let rows: Vec<Vec<String>> = releases.iter().map(row).collect();
    text::table(&["RELEASE", "", "DEPLOYED", "FILES", "SIZE", "NOTE"], &rows)
}

fn row(release: &Release) -> Vec<String> {
    vec![
        release.number.to_string(),
        if release.active { "active".to_owned() } else { String::new() },
        text::time(release.created_at_ms),
        release.files.to_string(),
        text::bytes(release.bytes),
        release.note.clone(),
    ]
}

fn detail(detail: &ReleaseDetail) -> String {
    let files: Vec<Vec<String>> = detail
        .paths
        .iter()
        .map(|file| {
            let hash = file.hash.get(..12).unwrap_or(&file.hash);
            vec![file.path.clone(), text::bytes(file.bytes), hash.to_owned()]
        })
        .collect();
    let release = list(std::slice::from_ref(&detail.release));
    format!("{release}\n\n{}", text::table(&["FILE", "SIZE", "HASH"], &files))
}
