//! `picloud deploy`: a folder or a file as an app's new release.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use picloud_manager_core::archive;
use picloud_shared::AppSlug;

use super::text::{self, BOLD, DIM, GOOD, LINK};
use super::{Global, app_name, folder};
use crate::cli::output::warning_text;
use crate::client::{Client, Deployed, Route};

/// Uploads of this many bytes and more show how far they are.
const BIG: usize = 1 << 20;

/// Put a folder or a file on the server as an app's new release
///
/// The release answers requests as soon as the command returns. If anything in
/// it is wrong, nothing changes and the mistakes are shown. The app is made if
/// there is none. Left out are hidden files, `picloud-data`, `target` and
/// `node_modules`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud deploy                           the current folder
  picloud deploy examples/guestbook
  picloud deploy hello.rhai --app hello    a single script
  picloud deploy --server https://picloud.example.org --note 'fix the footer'")]
pub struct DeployArgs {
    /// The app's folder or its only script
    #[arg(default_value = ".")]
    path: PathBuf,

    /// What the release's list is to say of it
    #[arg(long, default_value = "deploy", value_name = "TEXT")]
    note: String,
}

pub async fn run(args: DeployArgs, global: &Global) -> anyhow::Result<()> {
    let output = global.output();
    let app = match &global.app {
        Some(app) => app.clone(),
        None => app_name::of_path(&args.path)?,
    };
    let client = global.client()?;
    let deployed = upload(&client, &app, &args.path, &args.note, !output.json).await?;
    output.result(&deployed, summary)?;
    Ok(())
}

/// Packs what is at `path` and uploads it.
pub async fn upload(
    client: &Client,
    app: &AppSlug,
    path: &Path,
    note: &str,
    show_progress: bool,
) -> anyhow::Result<Deployed> {
    let archive = archive::pack(&folder::read(path)?)?;
    let total = archive.len();
    let shown = show_progress && total >= BIG && std::io::stderr().is_terminal();
    let deployed = client
        .deploy(app, archive.into(), note, move |sent| {
            if shown {
                let (sent, total) = (text::bytes(sent as u64), text::bytes(total as u64));
                let _ = write!(anstream::stderr(), "\r\u{1b}[Kuploading {sent} of {total}");
            }
        })
        .await;
    if shown {
        let _ = write!(anstream::stderr(), "\r\u{1b}[K");
    }
    Ok(deployed?)
}

fn summary(deployed: &Deployed) -> String {
    let mut shown = format!(
        "{GOOD}deployed{GOOD:#} {BOLD}{}{BOLD:#} release {}\n{LINK}{}{LINK:#}",
        deployed.app,
        deployed.release,
        text::line(&deployed.url)
    );
    if !deployed.routes.is_empty() {
        shown.push('\n');
        shown.push_str(&routes_text(&deployed.routes));
    }
    for warning in &deployed.warnings {
        shown.push('\n');
        shown.push_str(&warning_text(warning));
    }
    shown
}

/// The routes as a table of their own.
#[must_use]
pub fn routes_text(routes: &[Route]) -> String {
    let methods = |route: &Route| match route.methods.as_slice() {
        [] => "any".to_owned(),
        methods => text::line(&methods.join(",")),
    };
    let width = |cells: &dyn Fn(&Route) -> String| {
        routes.iter().map(|route| cells(route).chars().count()).max().unwrap_or_default()
    };
    let path = |route: &Route| text::line(&route.path);
    let (first, second) = (width(&methods), width(&path));
    let row = |route: &Route| {
        let (methods, path) = (methods(route), path(route));
        let handler = text::line(&route.handler);
        format!("  {methods:first$}  {path:second$}  {DIM}{handler}{DIM:#}")
    };
    routes.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use picloud_shared::ReleaseNumber;

    use super::*;

    #[test]
    fn what_was_deployed_is_shown_with_its_routes() {
        let route = |methods: &[&str], path: &str, handler: &str| Route {
            methods: methods.iter().map(ToString::to_string).collect(),
            path: path.to_owned(),
            handler: handler.to_owned(),
        };
        let deployed = Deployed {
            app: "blog".parse().unwrap(),
            release: ReleaseNumber(3),
            url: "http://blog.localhost:8080/".to_owned(),
            routes: vec![
                route(&[], "/", "index.rhai"),
                route(&["GET", "DELETE"], "/posts/{id}", "api.rhai#post"),
            ],
            warnings: vec!["picloud.toml: [limits] can only lower".to_owned()],
        };
        assert_eq!(
            anstream::adapter::strip_str(&summary(&deployed)).to_string(),
            "deployed blog release 3\nhttp://blog.localhost:8080/\n  any         /            \
             index.rhai\n  GET,DELETE  /posts/{id}  api.rhai#post\nwarning: picloud.toml: \
             [limits] can only lower"
        );
    }
}
