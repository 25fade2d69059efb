//! `picloud tokens`: what programs present in place of a password.

use clap::{Args, Subcommand};
use picloud_shared::AppSlug;
use picloud_shared::access::{Scope, Token};
use serde_json::json;

use super::Global;
use super::text::{self, BOLD, GOOD};
use crate::client::{MadeToken, NewToken};

/// List, make and revoke your API tokens
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud tokens
  picloud tokens create ci --scope deploy --only guestbook --days 90
  picloud tokens revoke 7")]
pub struct TokensArgs {
    #[command(subcommand)]
    command: Option<TokensCommand>,
}

#[derive(Subcommand)]
enum TokensCommand {
    /// List your tokens, without their secrets
    #[command(after_help = "Example:\n  picloud tokens list --json")]
    List,
    /// Make a token; its secret is shown this once
    #[command(after_help = "Example:\n  picloud tokens create ci --scope deploy --only guestbook")]
    Create {
        /// What to call it, such as where it is used
        name: String,
        /// What it may do of what you may
        #[arg(long, value_enum, default_value = "deploy")]
        scope: TokenScope,
        /// The only app that it is for [default: all of yours]
        #[arg(long, value_name = "APP")]
        only: Option<AppSlug>,
        /// Days until it expires [default: never]
        #[arg(long, value_name = "N")]
        days: Option<u64>,
    },
    /// Revoke a token; whoever presents it is refused from then on
    #[command(after_help = "Example:\n  picloud tokens revoke 7")]
    Revoke {
        /// Its number in `picloud tokens`
        id: i64,
    },
}

/// A scope, as it is written on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum TokenScope {
    Read,
    Deploy,
    Admin,
}

impl From<TokenScope> for Scope {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Read => Self::Read,
            TokenScope::Deploy => Self::Deploy,
            TokenScope::Admin => Self::Admin,
        }
    }
}

pub async fn run(args: TokensArgs, global: &Global) -> anyhow::Result<()> {
    let (client, output) = (global.client()?, global.output());
    match args.command.unwrap_or(TokensCommand::List) {
        TokensCommand::List => {
            let tokens = client.tokens().await?;
            if tokens.items.is_empty() {
                output.note("you have no tokens; `picloud tokens create` makes one");
            }
            output.result(&tokens, |tokens| {
                if tokens.items.is_empty() { String::new() } else { list(&tokens.items) }
            })?;
        }
        TokensCommand::Create { name, scope, only, days } => {
            let lifetime_s = days.map(|days| days.saturating_mul(24 * 60 * 60));
            let wish = NewToken { name, scope: scope.into(), app: only, lifetime_s };
            output.result(&client.create_token(&wish).await?, show)?;
        }
        TokensCommand::Revoke { id } => {
            client.revoke_token(id).await?;
            output.result(&json!({ "revoked": id }), |_| format!("{GOOD}revoked{GOOD:#} {id}"))?;
        }
    }
    Ok(())
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Deploy => "deploy",
        Scope::Admin => "admin",
    }
}

fn show(made: &MadeToken) -> String {
    let secret = text::line(&made.secret);
    format!("{BOLD}{secret}{BOLD:#}\n  keep it now: it is not shown again")
}

fn list(tokens: &[Token]) -> String {
    let row = |token: &Token| {
        let app = token.app.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
        let time = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), text::time);
        vec![
            token.id.to_string(),
            text::line(&token.name),
            scope_name(token.scope).to_owned(),
            app,
            time(token.last_used_at_ms),
            time(token.expires_at_ms),
        ]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    text::table(&["ID", "NAME", "SCOPE", "APPS", "USED", "EXPIRES"], &rows)
}
