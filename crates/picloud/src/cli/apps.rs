//! `picloud apps`: list, make, show and delete apps, and take them elsewhere.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::stream;
use picloud_shared::AppSlug;
use picloud_store::backup::Error;
use serde_json::json;

use super::Global;
use super::backup::{Saved, SavingArgs, summary, verify};
use super::output::{Usage, warning_text};
use super::progress::Progress;
use super::restore::spooled;
use super::sealed::PassphraseArgs;
use super::text::{self, BOLD, GOOD, LINK};
use crate::client::{App, Client, ImportedApp};

/// Bytes that are sent together.
const CHUNK_BYTES: usize = 64 << 10;

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
    /// Write an app with its data into a file, which another server imports
    ///
    /// Its releases, entries, files and schedules, of one moment; of its secrets
    /// the names. Members, tokens, domains, history and what waits in its queues
    /// stay where they are.
    #[command(after_help = "Example:\n  picloud apps export guestbook guestbook.picloud")]
    Export {
        /// The app's name
        name: AppSlug,
        /// The file to write, or - for stdout
        file: PathBuf,
        #[command(flatten)]
        saving: SavingArgs,
    },
    /// Make an app, which is yours, of a file that was exported
    #[command(after_help = "Example:\n  picloud apps import guestbook.picloud --as guests")]
    Import {
        /// The file, or - for stdin
        file: PathBuf,
        /// What the app is to be called [default: as it was]
        #[arg(long = "as", value_name = "NAME")]
        name: Option<AppSlug>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
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
        AppsCommand::Export { name, file, saving } => {
            let saved = saving.save("exporting", &file, global, client.export_app(&name)).await?;
            let Some(Saved { head, end, bytes }) = saved else { return Ok(()) };
            output.result(&summary(&head, &end, bytes), |_| {
                let (shown, bytes) = (file.display(), text::bytes(bytes));
                format!("{GOOD}exported{GOOD:#} {name} to {shown}: {bytes}")
            })?;
        }
        AppsCommand::Import { file, name, passphrase } => {
            let imported = import(&file, name, &passphrase, &client).await?;
            output.result(&imported, |imported| {
                let (app, url) = (&imported.app, text::line(&imported.url));
                format!("{GOOD}imported{GOOD:#} {app}: {LINK}{url}{LINK:#}")
            })?;
            if !imported.secrets.is_empty() {
                output.note(&warning_text(&format!(
                    "its secrets have no values here; set them: {}",
                    imported.secrets.join(", ")
                )));
            }
        }
    }
    Ok(())
}

/// Sends a bundle that was read to its end.
async fn import(
    file: &Path,
    name: Option<AppSlug>,
    passphrase: &PassphraseArgs,
    client: &Client,
) -> anyhow::Result<ImportedApp> {
    let shown = file.display();
    let context = || format!("cannot read {shown}");
    let opened = if file == Path::new("-") { spooled() } else { File::open(file) };
    let bundle = passphrase.opened(opened.with_context(context)?).with_context(context)?;
    let bytes = bundle.metadata()?.len();
    let (head, _) = verify(bundle.try_clone()?, bytes)
        .await
        .with_context(|| format!("cannot import {shown}"))?;
    let Some(app) = head.app else {
        return Err(Error::NoBundle).with_context(|| format!("cannot import {shown}"));
    };
    let name = name.map_or_else(|| app.parse(), Ok)?;
    let mut bundle = bundle;
    bundle.rewind()?;
    let progress = Progress::of("importing", bytes);
    let chunks = stream::unfold((bundle, 0), move |(mut bundle, sent)| {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut bundle).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        let sent = sent + chunk.len() as u64;
        progress.at(sent);
        let next = match read {
            Ok(0) => None,
            read => Some((read.map(|_| chunk.into()), (bundle, sent))),
        };
        std::future::ready(next)
    });
    Ok(client.import_app(&name, chunks).await?)
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
