//! `picloud secrets`: an app's keys to other services.

use std::io::{IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use picloud_shared::secrets::{MAX_VALUE_BYTES, Name};
use serde_json::json;

use super::Global;
use super::output::Usage;
use super::text::{self, GOOD};
use crate::client::Secret;

/// Write, list and delete an app's secrets
///
/// A secret is sealed when it is written. The app's scripts can read it;
/// nobody can here.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud secrets set STRIPE_KEY --app shop             asks for the value
  picloud secrets set STRIPE_KEY --app shop < key.txt
  picloud secrets list --app shop
  picloud secrets delete STRIPE_KEY --app shop")]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Write a secret, whose value is asked for or read from stdin
    ///
    /// The value is no argument, for arguments are seen by other users of the
    /// machine and kept by shells. A line break at its end is not part of it.
    #[command(after_help = "\
Examples:
  picloud secrets set API_KEY --app shop
  printenv API_KEY | picloud secrets set API_KEY --app shop")]
    Set {
        /// The secret's name
        #[arg(value_parser = parse_name)]
        name: Name,
    },
    /// List the secrets' names
    #[command(after_help = "Example:\n  picloud secrets list --app shop")]
    List,
    /// Delete a secret; fails if there is none
    #[command(after_help = "Example:\n  picloud secrets delete API_KEY --app shop")]
    Delete {
        /// The secret's name
        #[arg(value_parser = parse_name)]
        name: Name,
    },
}

pub async fn run(args: SecretsArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    match args.command {
        SecretsCommand::Set { name } => {
            let value = read_value(&name)?;
            client.set_secret(&app, name.as_str(), value).await?;
            output.result(&json!({ "set": name.as_str() }), |_| {
                format!("{GOOD}set{GOOD:#} {name}")
            })?;
        }
        SecretsCommand::List => {
            let secrets = client.secrets(&app).await?;
            if secrets.items.is_empty() {
                output.note(&format!("{app} has no secrets"));
            }
            output.result(&secrets, |secrets| {
                let row = |secret: &Secret| {
                    vec![text::line(&secret.name), text::time(secret.updated_at_ms)]
                };
                let rows: Vec<_> = secrets.items.iter().map(row).collect();
                if rows.is_empty() { String::new() } else { text::table(&["NAME", "SET"], &rows) }
            })?;
        }
        SecretsCommand::Delete { name } => {
            client.delete_secret(&app, name.as_str()).await?;
            output.result(&json!({ "deleted": name.as_str() }), |_| {
                format!("{GOOD}deleted{GOOD:#} {name}")
            })?;
        }
    }
    Ok(())
}

fn parse_name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|error: picloud_shared::secrets::InvalidName| error.to_string())
}

fn read_value(name: &Name) -> anyhow::Result<String> {
    let mut value = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(format!("value of {name} (it is not shown): "))
            .context("cannot read the value")?
    } else {
        let mut input = String::new();
        // One byte more than there may be, to know that there are too many.
        let stdin = std::io::stdin().lock().take(MAX_VALUE_BYTES as u64 + 3);
        std::io::BufReader::new(stdin).read_to_string(&mut input).context("stdin is not text")?;
        input
    };
    let length = value.trim_end_matches(['\r', '\n']).len();
    value.truncate(length);
    if value.is_empty() || value.len() > MAX_VALUE_BYTES {
        let message = format!("a secret has 1 to {MAX_VALUE_BYTES} bytes of text");
        return Err(Usage(message).into());
    }
    Ok(value)
}
