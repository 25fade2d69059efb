//! `picloud check`: what a deploy would say, without one.

use std::path::PathBuf;

use clap::Args;
use picloud_manager_core::archive;

use super::output::{Failed, issue_text, warning_text};
use super::text::GOOD;
use super::{Global, app_name, folder};
use crate::client::{Checked, Diagnostic};

/// Say what is wrong with a folder or a file, and deploy nothing
///
/// The server compiles it as `picloud deploy` has it do. Fails if a deploy would.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud check                            the current folder
  picloud check hello.rhai --app hello     a single script")]
pub struct CheckArgs {
    /// The app's folder or its only script
    #[arg(default_value = ".")]
    path: PathBuf,
}

pub async fn run(args: CheckArgs, global: &Global) -> anyhow::Result<()> {
    let app = match &global.app {
        Some(app) => app.clone(),
        None => app_name::of_path(&args.path)?,
    };
    let archive = archive::pack(&folder::read(&args.path)?)?;
    let checked = global.client()?.check(&app, archive.into()).await?;
    global.output().result(&checked, summary)?;
    let is_wrong = checked.diagnostics.iter().any(Diagnostic::is_error);
    if is_wrong { Err(Failed.into()) } else { Ok(()) }
}

fn summary(checked: &Checked) -> String {
    let shown = |diagnostic: &Diagnostic| match &diagnostic.issue {
        issue if diagnostic.is_error() => issue_text(issue),
        issue => match &issue.file {
            Some(file) => warning_text(&format!("{file}: {}", issue.message)),
            None => warning_text(&issue.message),
        },
    };
    if checked.diagnostics.is_empty() {
        return format!("{GOOD}nothing is wrong{GOOD:#}");
    }
    checked.diagnostics.iter().map(shown).collect::<Vec<_>>().join("\n\n")
}
