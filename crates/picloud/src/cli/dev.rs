//! `picloud dev`: an app that runs while it is being written.

mod show;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use picloud_manager_core::{Deployed, Error, RouteSummary, Upload};
use picloud_shared::App;
use tokio::sync::broadcast::error::RecvError;

use self::show::Show;
use super::output::Usage;
use super::{Global, app_name, folder};
use crate::config::{Network, ServerConfig, Settings};
use crate::server::{Server, start_logging, stop_signal};
use crate::watch::Watch;

/// Run an app on this machine while you edit it
///
/// Every save is deployed at once; while something is wrong, the last release
/// that was right goes on answering. Logs and requests are shown as they come.
/// Data is kept in .picloud beside the app. No token is asked for, so only this
/// machine is listened to.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud dev                          the current folder
  picloud dev examples/guestbook
  picloud dev hello.rhai --listen 127.0.0.1:0")]
pub struct DevArgs {
    /// The app's folder or its only script
    #[arg(default_value = ".")]
    path: PathBuf,

    /// Address to listen on, of this machine; with port 0 a free one is chosen
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// A network that the app may reach though it is not public, for a service of your own; may be repeated
    #[arg(long, env = "PICLOUD_EGRESS_PRIVATE", value_delimiter = ',', value_name = "IP[/BITS]")]
    egress_private: Vec<Network>,

    #[arg(long, env = "PICLOUD_CODE_CACHE_DIR", hide = true)]
    code_cache_dir: Option<PathBuf>,
}

pub async fn run(args: DevArgs, global: &Global) -> anyhow::Result<()> {
    if !args.listen.ip().is_loopback() {
        let message = "`picloud dev` asks for no token, so it listens on this machine's own \
                       addresses only, such as 127.0.0.1:8080; `picloud serve` listens on others";
        return Err(Usage(message.to_owned()).into());
    }
    let slug = match &global.app {
        Some(slug) => slug.clone(),
        None => app_name::of_path(&args.path)?,
    };
    let show = Show::new(global.output());
    let path = args.path.canonicalize()?;
    // Watching begins before reading, so that no save goes unnoticed.
    let watch = Watch::start(&path, folder::is_ignored)
        .with_context(|| format!("cannot watch {}", path.display()))?;
    let config = ServerConfig {
        listen: args.listen,
        data_dir: state_dir(&path)?,
        code_cache_dir: args.code_cache_dir,
        egress_private: args.egress_private.into_iter().map(|network| network.0).collect(),
        dev: true,
        ..ServerConfig::new(Settings::default())
    };
    start_logging(config.log_format, "warn");
    let server = Server::start(config).await?;
    let app = match server.manager().find_app(&slug).await? {
        Some(app) => app,
        None => server.manager().create_app(&slug, None).await?,
    };
    let mut dev = Dev { app, path, server, show, files: BTreeMap::new(), routes: Vec::new() };
    let result = dev.run(watch).await;
    dev.server.shutdown().await;
    result
}

/// Where the server's state is: in the app's folder, or beside its file. What
/// is there is nobody's source.
pub(super) fn state_dir(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("/")) };
    let state = folder.join(".picloud");
    let about = || format!("cannot write to {}", state.display());
    std::fs::create_dir_all(&state).with_context(about)?;
    std::fs::write(state.join(".gitignore"), "*\n").with_context(about)?;
    Ok(state)
}

struct Dev {
    app: App,
    path: PathBuf,
    server: Server,
    show: Show,
    /// What was last deployed, or tried to be.
    files: BTreeMap<String, Bytes>,
    /// The routes that were last shown.
    routes: Vec<RouteSummary>,
}

impl Dev {
    async fn run(&mut self, mut watch: Watch) -> anyhow::Result<()> {
        let mut records = self.server.follow();
        let mut stop = std::pin::pin!(stop_signal()?);
        let first = self.deploy().await;
        self.show.ready(
            &self.server.base_url(),
            &self.app.slug,
            &self.server.app_url(&self.app.slug),
        )?;
        self.show_deploy(first)?;

        loop {
            tokio::select! {
                () = watch.changed() => {
                    let result = self.deploy().await;
                    self.show_deploy(result)?;
                }
                record = records.recv() => match record {
                    Ok(record) => self.show.record(&record, &self.files)?,
                    Err(RecvError::Lagged(missed)) => self.show.missed(missed),
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = &mut stop => return Ok(()),
            }
        }
    }

    /// Deploys what is on disk, unless that is what was deployed last.
    async fn deploy(&mut self) -> anyhow::Result<Option<Deployed>> {
        let files = folder::read(&self.path)?;
        if files == self.files {
            return Ok(None);
        }
        self.files.clone_from(&files);
        let deployed = self.server.manager().deploy(&self.app, Upload::Files(files), "dev").await?;
        self.server.invalidate(&self.app.slug);
        Ok(Some(deployed))
    }

    fn show_deploy(&mut self, result: anyhow::Result<Option<Deployed>>) -> anyhow::Result<()> {
        match result {
            Ok(None) => {}
            Ok(Some(deployed)) => {
                let has_new_routes = deployed.routes != self.routes;
                self.show.deployed(&self.app.slug, &deployed, has_new_routes)?;
                self.routes = deployed.routes;
            }
            Err(error) => match error.downcast::<Error>() {
                Ok(Error::Rejected(issues)) => self.show.rejected(issues)?,
                Ok(error) => self.show.failed(&error.into())?,
                Err(error) => self.show.failed(&error)?,
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_beside_the_app_and_out_of_its_repository() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.rhai");
        std::fs::write(&file, "1").unwrap();
        for path in [folder.path(), file.as_path()] {
            let state = state_dir(path).unwrap();
            assert_eq!(state, folder.path().join(".picloud"));
            assert_eq!(std::fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
        }
    }
}
