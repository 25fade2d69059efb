//! `picloud login`, `join`, `logout`, `whoami` and `password`: one's own account.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Args;
use picloud_shared::access::{Invite, Purpose, Scope};
use picloud_shared::{InstanceRole, UserName};
use reqwest::Url;
use serde_json::json;

use super::output::Usage;
use super::text::{self, BOLD, GOOD};
use super::{Global, credentials, parse_server};
use crate::client::{Client, MadeToken, NewToken};

const DAY_S: u64 = 24 * 60 * 60;

/// Log in to a server; commands then present what this got
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud login --server https://picloud.example.org --name anna
  pass show picloud | picloud login --name anna")]
pub struct LoginArgs {
    /// The name to log in with [default: it is asked for]
    #[arg(long, value_name = "NAME")]
    name: Option<UserName>,
    /// Days until one has to log in again
    #[arg(long, value_name = "N", default_value_t = 90)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
}

/// Make an account, or set a new password, with a link that an admin has given you
#[derive(Args)]
#[command(after_help = "\
Example:
  picloud join 'https://picloud.example.org/join#4f1c…' --name anna")]
pub struct JoinArgs {
    /// The link; it works once
    #[arg(value_name = "LINK", value_parser = parse_link)]
    link: Link,
    /// The name to log in with [default: it is asked for]
    #[arg(long, value_name = "NAME")]
    name: Option<UserName>,
}

/// Log out; the server forgets the token, too
#[derive(Args)]
#[command(after_help = "Example:\n  picloud logout --server https://picloud.example.org")]
pub struct LogoutArgs {}

/// Show as whom the server knows you
#[derive(Args)]
#[command(after_help = "Example:\n  picloud whoami")]
pub struct WhoamiArgs {}

/// Change your password; your other logins end
#[derive(Args)]
#[command(after_help = "Example:\n  picloud password")]
pub struct PasswordArgs {}

/// A link that works once.
#[derive(Clone, Debug)]
struct Link {
    server: Url,
    secret: String,
}

fn parse_link(text: &str) -> Result<Link, String> {
    let not_a_link = || "a link looks like https://picloud.example.org/join#4f1c…".to_owned();
    let (server, secret) = text.split_once("/join#").ok_or_else(not_a_link)?;
    if secret.is_empty() {
        return Err(not_a_link());
    }
    Ok(Link { server: parse_server(server)?, secret: secret.to_owned() })
}

pub async fn login(args: LoginArgs, global: &Global) -> anyhow::Result<()> {
    let client = Client::new(global.server.clone(), None)?;
    let name = match args.name {
        Some(name) => name,
        None => ask_name()?,
    };
    let password = ask_password(&format!("password of {name}: "))?;
    let token = client.log_in(&name, &password, &token(args.days)).await?;
    keep(global, &global.server, &token)?;
    global
        .output()
        .result(&json!({ "user": name, "expires_at_ms": token.token.expires_at_ms }), |_| {
            format!("{GOOD}logged in{GOOD:#} to {} as {name}", global.server)
        })?;
    Ok(())
}

pub async fn join(args: JoinArgs, global: &Global) -> anyhow::Result<()> {
    let Link { server, secret } = args.link;
    let client = Client::new(server.clone(), None)?;
    let Invite { purpose, .. } = client.find_invite(&secret).await?;
    let (name, is_new) = match purpose {
        Purpose::Reset { user } => (user, false),
        Purpose::Setup | Purpose::Join { .. } => match args.name {
            Some(name) => (name, true),
            None => (ask_name()?, true),
        },
    };
    let password = ask_new_password(&name)?;
    let given = is_new.then_some(&name);
    let token = client.accept_invite(&secret, given, &password, &token(90)).await?;
    keep(global, &server, &token)?;
    global.output().result(&json!({ "user": name, "server": server.as_str() }), |_| {
        let done = if is_new { "made the account" } else { "set the password of" };
        let hint = if server == global.server {
            String::new()
        } else {
            format!("\n  add --server {server} to commands, or set PICLOUD_SERVER")
        };
        format!("{GOOD}{done}{GOOD:#} {name} and logged in to {server}{hint}")
    })?;
    Ok(())
}

pub async fn logout(_: LogoutArgs, global: &Global) -> anyhow::Result<()> {
    let path = credentials::path(global.credentials.as_deref())?;
    let Some(token) = credentials::token(&path, &global.server)? else {
        global.output().note(&format!("you are not logged in to {}", global.server));
        return Ok(());
    };
    let ended = Client::new(global.server.clone(), Some(token))?.log_out().await;
    // A token that the server does not know any more is forgotten here, too.
    if !matches!(&ended, Err(error) if error.status() == Some(401)) {
        ended?;
    }
    credentials::keep(&path, &global.server, None)?;
    global.output().result(&json!({ "logged_out": global.server.as_str() }), |_| {
        format!("{GOOD}logged out{GOOD:#} of {}", global.server)
    })?;
    Ok(())
}

pub async fn whoami(_: WhoamiArgs, global: &Global) -> anyhow::Result<()> {
    let whoami = global.client()?.whoami().await?;
    global.output().result(&whoami, |whoami| {
        let who = match &whoami.user {
            Some(user) => {
                let role = if user.role == InstanceRole::Admin { ", an admin" } else { "" };
                format!("{BOLD}{}{BOLD:#}{role}", user.name)
            }
            None => format!("{BOLD}the operator{BOLD:#}, by the admin's token"),
        };
        let token = whoami.token.as_ref().map_or_else(String::new, |token| {
            let until = token
                .expires_at_ms
                .map_or_else(String::new, |ms| format!(", until {}", text::time(ms)));
            format!(", by the token {:?}{until}", text::line(&token.name))
        });
        format!("{who}{token}")
    })?;
    Ok(())
}

pub async fn password(_: PasswordArgs, global: &Global) -> anyhow::Result<()> {
    let client = global.client()?;
    let Some(user) = client.whoami().await?.user else {
        anyhow::bail!("the admin's token has no password; log in with an account first");
    };
    let old = ask_password("the password you have: ")?;
    let new = ask_new_password(&user.name)?;
    client.change_password(&old, &new).await?;
    global.output().result(&json!({ "changed": user.name }), |_| {
        format!("{GOOD}changed{GOOD:#} the password of {}", user.name)
    })?;
    Ok(())
}

fn token(days: u64) -> NewToken {
    NewToken {
        name: "picloud login".to_owned(),
        scope: Scope::Admin,
        app: None,
        lifetime_s: Some(days * DAY_S),
    }
}

fn keep(global: &Global, server: &Url, token: &MadeToken) -> anyhow::Result<()> {
    let path = credentials::path(global.credentials.as_deref())?;
    credentials::keep(&path, server, Some(&token.secret))
}

fn ask_name() -> anyhow::Result<UserName> {
    if !std::io::stdin().is_terminal() {
        return Err(Usage("say who logs in with --name".to_owned()).into());
    }
    let mut stderr = anstream::stderr();
    write!(stderr, "name: ")?;
    stderr.flush()?;
    Ok(read_line()?.trim().parse()?)
}

/// A password that is to be typed twice, or comes from a pipe once.
fn ask_new_password(name: &UserName) -> anyhow::Result<String> {
    let password = ask_password(&format!("new password of {name}, 10 characters at least: "))?;
    if std::io::stdin().is_terminal() && password != ask_password("once more: ")? {
        anyhow::bail!("these were two different passwords; nothing has changed");
    }
    Ok(password)
}

fn ask_password(prompt: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).context("cannot read the password");
    }
    let line = read_line()?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A line of stdin and no more of it, for there may be another password below.
fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("stdin is not text")?;
    anyhow::ensure!(!line.is_empty(), "stdin has ended");
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_its_server_and_its_secret() {
        let link = parse_link("https://a.b:1/join#4f1c").unwrap();
        assert_eq!((link.server.as_str(), &*link.secret), ("https://a.b:1/", "4f1c"));
        for bad in ["https://a.b/join#", "https://a.b/join", "/join#4f1c", "ftp://a/join#4f1c"] {
            assert!(parse_link(bad).is_err(), "{bad}");
        }
    }
}
