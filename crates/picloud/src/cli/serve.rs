//! `picloud serve`: the server.

use std::path::PathBuf;

use clap::Args;

use super::Global;
use super::output::Usage;
use crate::config::{ServerConfig, Settings};
use crate::server;

/// Run a server, all in one process
///
/// What a flag does not say, its variable does; then picloud-server.toml, whose
/// keys are the flags' names with underscores; then the default.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud serve
  picloud serve --listen 0.0.0.0:80 --apps-domain apps.example.org
  picloud serve --database-url postgres://picloud@localhost/picloud
  PICLOUD_LISTEN=127.0.0.1:0 picloud serve --data-dir /srv/picloud")]
pub struct ServeArgs {
    #[command(flatten)]
    settings: Settings,

    /// The configuration file [default: picloud-server.toml, if there is one]
    #[arg(long, env = "PICLOUD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub async fn run(args: ServeArgs, global: &Global) -> anyhow::Result<()> {
    if global.output().json {
        let message = "a server has no result to write; its log is JSON with --log-format json";
        return Err(Usage(message.to_owned()).into());
    }
    server::run(ServerConfig::load(args.settings, args.config.as_deref())?).await
}
