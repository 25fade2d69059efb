//! The command line.
//!
//! To add a command: a file in `cli/` with its `clap` arguments and a
//! `run(args, &Global)`, a variant of [`Command`], a line in [`run`].

mod app_name;
mod apps;
mod audit;
mod backup;
mod check;
mod credentials;
mod dead_letters;
mod deploy;
mod dev;
mod doctor;
mod domains;
mod events;
mod executions;
mod files;
mod folder;
mod init;
mod invoke;
mod json_value;
mod kv;
mod login;
mod logs;
mod members;
mod moment;
mod output;
mod progress;
mod queues;
mod releases;
mod restore;
mod schedules;
mod sealed;
mod secrets;
mod serve;
mod test;
mod text;
mod tokens;
mod usage;
mod users;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use picloud_shared::AppSlug;
use reqwest::Url;

use self::output::Output;
use crate::client::Client;
use crate::config::DEFAULT_DATA_DIR;

const EXAMPLES: &str = "\
Examples:
  picloud init hello && picloud dev hello    make an app and run it while you edit
  picloud test hello                         run its tests
  picloud serve                              run a server
  picloud deploy hello                       put a folder or a file on the server
  picloud invoke --app hello /               call it
  picloud logs --app hello -f                watch what it logs

Exit codes: 0 done, 1 failed, 2 the command line is wrong.";

/// Upload a Rhai script, get an HTTP endpoint.
#[derive(Parser)]
#[command(name = "picloud", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The server to talk to
    #[arg(long, global = true, env = "PICLOUD_SERVER", value_name = "URL")]
    #[arg(default_value = "http://localhost:8080", value_parser = parse_server)]
    server: Url,

    /// The token to present [default: the one of `picloud login`, or ./picloud-data/admin-token for a server on this machine]
    #[arg(long, global = true, env = "PICLOUD_TOKEN", hide_env_values = true)]
    #[arg(value_name = "TOKEN", value_parser = parse_token)]
    token: Option<String>,

    /// The app that the command is about [default: the name in picloud.toml]
    #[arg(long, global = true, env = "PICLOUD_APP", value_name = "NAME")]
    app: Option<AppSlug>,

    /// Where the tokens of `picloud login` are kept [default: picloud/credentials.json in the user's configuration]
    #[arg(
        long,
        global = true,
        env = "PICLOUD_CREDENTIALS",
        value_name = "FILE",
        hide_short_help = true
    )]
    credentials: Option<PathBuf>,

    /// Write results, and errors too, as JSON to stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Dev(dev::DevArgs),
    Test(test::TestArgs),
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Deploy(deploy::DeployArgs),
    Invoke(invoke::InvokeArgs),
    Logs(logs::LogsArgs),
    Kv(kv::KvArgs),
    Files(files::FilesArgs),
    Secrets(secrets::SecretsArgs),
    Domains(domains::DomainsArgs),
    Events(events::EventsArgs),
    Publish(events::PublishArgs),
    Queues(queues::QueuesArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
    Schedules(schedules::SchedulesArgs),
    #[command(alias = "app")]
    Apps(apps::AppsArgs),
    Releases(releases::ReleasesArgs),
    Rollback(releases::RollbackArgs),
    Executions(executions::ExecutionsArgs),
    Login(login::LoginArgs),
    Join(login::JoinArgs),
    Logout(login::LogoutArgs),
    Whoami(login::WhoamiArgs),
    Password(login::PasswordArgs),
    Users(users::UsersArgs),
    Tokens(tokens::TokensArgs),
    Members(members::MembersArgs),
    Audit(audit::AuditArgs),
    Usage(usage::UsageArgs),
    Doctor(doctor::DoctorArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let _faults = picloud_shared::fault::setup();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return malformed(&error),
    };
    let output = cli.global.output();
    let result = runtime().context("cannot start").and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.failure(&error),
    }
}

/// Looks at its sockets and timers after fewer slices than is usual: a script's
/// slice is longer than most, and whoever waits for an answer should not wait
/// behind sixty of them.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    const SLICES: u32 = 11;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(SLICES)
        .global_queue_interval(SLICES)
        .build()
}

async fn run(Cli { global, command }: Cli) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(*args, &global).await,
        Command::Dev(args) => dev::run(args, &global).await,
        Command::Test(args) => test::run(args, &global).await,
        Command::Init(args) => init::run(&args, &global),
        Command::Check(args) => check::run(args, &global).await,
        Command::Deploy(args) => deploy::run(args, &global).await,
        Command::Invoke(args) => invoke::run(args, &global).await,
        Command::Logs(args) => logs::run(args, &global).await,
        Command::Kv(args) => kv::run(args, &global).await,
        Command::Files(args) => files::run(args, &global).await,
        Command::Secrets(args) => secrets::run(args, &global).await,
        Command::Domains(args) => domains::run(args, &global).await,
        Command::Events(args) => events::run(args, &global).await,
        Command::Publish(args) => events::publish(args, &global).await,
        Command::Queues(args) => queues::run(args, &global).await,
        Command::DeadLetters(args) => dead_letters::run(args, &global).await,
        Command::Schedules(args) => schedules::run(args, &global).await,
        Command::Apps(args) => apps::run(args, &global).await,
        Command::Releases(args) => releases::run(args, &global).await,
        Command::Rollback(args) => releases::rollback(args, &global).await,
        Command::Executions(args) => executions::run(args, &global).await,
        Command::Login(args) => login::login(args, &global).await,
        Command::Join(args) => login::join(args, &global).await,
        Command::Logout(args) => login::logout(args, &global).await,
        Command::Whoami(args) => login::whoami(args, &global).await,
        Command::Password(args) => login::password(args, &global).await,
        Command::Users(args) => users::run(args, &global).await,
        Command::Tokens(args) => tokens::run(args, &global).await,
        Command::Members(args) => members::run(args, &global).await,
        Command::Audit(args) => audit::run(args, &global).await,
        Command::Usage(args) => usage::run(args, &global).await,
        Command::Doctor(args) => doctor::run(args, &global).await,
        Command::Backup(args) => backup::run(args, &global).await,
        Command::Restore(args) => restore::run(args, &global).await,
    }
}

/// Answers `--help`, `--version`, and a command line that is none.
fn malformed(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
        let error = output::Usage(error.render().to_string().trim_end().to_owned());
        return Output { json: true }.failure(&error.into());
    }
    // There is nobody to tell that the terminal is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

impl Global {
    fn output(&self) -> Output {
        Output { json: self.json }
    }

    fn client(&self) -> anyhow::Result<Client> {
        let token = match &self.token {
            Some(token) => Some(token.clone()),
            None => match self.login()? {
                None if is_loopback(&self.server) => token_on_disk(Path::new(DEFAULT_DATA_DIR)),
                login => login,
            },
        };
        Client::new(self.server.clone(), token)
    }

    /// The token of a login to this server. Without a home directory there has
    /// been none.
    fn login(&self) -> anyhow::Result<Option<String>> {
        match credentials::path(self.credentials.as_deref()) {
            Ok(path) => credentials::token(&path, &self.server),
            Err(_) => Ok(None),
        }
    }

    /// The app that was named, or that of the current folder.
    fn app(&self) -> anyhow::Result<AppSlug> {
        self.app.clone().map_or_else(app_name::here, Ok)
    }
}

/// The admin token that a server on this machine left in its data directory.
/// Where it cannot be read, the server asks for one.
fn token_on_disk(data_dir: &Path) -> Option<String> {
    let token = std::fs::read_to_string(data_dir.join("admin-token")).ok()?;
    parse_token(token.trim()).ok()
}

fn is_loopback(server: &Url) -> bool {
    let Some(host) = server.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn parse_server(text: &str) -> Result<Url, String> {
    let url: Option<Url> = text.parse().ok();
    url.filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
    .ok_or_else(|| "a server is written http://host:port or https://host".to_owned())
}

fn parse_token(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("a token has visible ASCII characters only".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_what_it_is_for_and_an_example() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says nothing");
            if command.get_subcommands().next().is_none() {
                assert!(command.get_after_help().is_some(), "{name} has no example");
            }
            command.get_subcommands().for_each(check);
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let is_built_in = ["help", "version"].contains(&arg.get_id().as_str());
                assert!(is_built_in || arg.get_help().is_some(), "{name} {}", arg.get_id());
            }
        }
        check(&Cli::command());
    }

    #[test]
    fn a_server_is_a_url_without_secrets() {
        for good in ["http://localhost:8080", "https://picloud.example.org", "http://[::1]:1/x/"] {
            assert!(parse_server(good).is_ok(), "{good}");
        }
        for bad in [
            "localhost:8080",
            "example.org",
            "ftp://h",
            "http://",
            "http://me:pw@h",
            "http://h/?a",
            "http://h/#a",
            "",
        ] {
            assert!(parse_server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_offered_the_token_on_disk() {
        let check = |server: &str| is_loopback(&server.parse().unwrap());
        assert!(
            check("http://localhost:1") && check("http://127.0.0.2") && check("http://[::1]:1")
        );
        assert!(!check("http://localhost.example.org") && !check("http://10.0.0.1"));

        let folder = tempfile::tempdir().unwrap();
        assert_eq!(token_on_disk(folder.path()), None);
        std::fs::write(folder.path().join("admin-token"), "secret\n").unwrap();
        assert_eq!(token_on_disk(folder.path()).as_deref(), Some("secret"));
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["picloud --app ab kv get c k --json", "picloud kv --json get c k --app ab"] {
            let cli = Cli::try_parse_from(line.split(' ')).ok().unwrap();
            assert!(cli.global.json);
            assert_eq!(cli.global.app.unwrap().as_str(), "ab");
        }
    }
}
