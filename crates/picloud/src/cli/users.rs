//! `picloud users`: who may use the server.

use clap::{Args, Subcommand};
use picloud_shared::access::{Invite, Purpose};
use picloud_shared::{InstanceRole, User, UserName};
use serde_json::json;

use super::Global;
use super::text::{self, BOLD, GOOD, LINK};
use crate::client::InviteLink;

/// List, invite, change and delete users
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud users
  picloud users invite
  picloud users reset anna
  picloud users role anna admin")]
pub struct UsersArgs {
    #[command(subcommand)]
    command: Option<UsersCommand>,
}

#[derive(Subcommand)]
enum UsersCommand {
    /// List all users
    #[command(after_help = "Example:\n  picloud users list --json")]
    List,
    /// Make a link with which somebody new makes themselves an account, within a week
    #[command(after_help = "Example:\n  picloud users invite --role member")]
    Invite {
        /// What they are to be
        #[arg(long, value_enum, default_value = "member")]
        role: Role,
    },
    /// List the links that have neither expired nor been used
    #[command(after_help = "Example:\n  picloud users invites")]
    Invites,
    /// Take a link back
    #[command(after_help = "Example:\n  picloud users withdraw 3")]
    Withdraw {
        /// Its number in `picloud users invites`
        id: i64,
    },
    /// Make a link with which a user sets a new password, within a day
    #[command(after_help = "Example:\n  picloud users reset anna")]
    Reset {
        /// The user's name
        name: UserName,
    },
    /// Make a user an admin, or a member again
    #[command(after_help = "Example:\n  picloud users role anna admin")]
    Role {
        /// The user's name
        name: UserName,
        /// What they are to be
        #[arg(value_enum)]
        role: Role,
    },
    /// Delete a user with their logins and tokens; their apps need another owner first
    #[command(after_help = "Example:\n  picloud users delete anna")]
    Delete {
        /// The user's name
        name: UserName,
    },
}

/// A role on the instance, as it is written on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    Member,
    Admin,
}

impl From<Role> for InstanceRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Admin => Self::Admin,
        }
    }
}

pub async fn run(args: UsersArgs, global: &Global) -> anyhow::Result<()> {
    let (client, output) = (global.client()?, global.output());
    match args.command.unwrap_or(UsersCommand::List) {
        UsersCommand::List => {
            let users = client.users().await?;
            if users.items.is_empty() {
                output.note("there is no user yet; `picloud users invite` makes a link for one");
            }
            output.result(&users, |users| {
                if users.items.is_empty() { String::new() } else { list(&users.items) }
            })?;
        }
        UsersCommand::Invite { role } => output.result(&client.invite(role.into()).await?, link)?,
        UsersCommand::Invites => {
            let invites = client.invites().await?;
            if invites.items.is_empty() {
                output.note("no link is waiting to be used");
            }
            output.result(&invites, |invites| {
                if invites.items.is_empty() { String::new() } else { links(&invites.items) }
            })?;
        }
        UsersCommand::Withdraw { id } => {
            client.withdraw_invite(id).await?;
            output
                .result(&json!({ "withdrawn": id }), |_| format!("{GOOD}withdrawn{GOOD:#} {id}"))?;
        }
        UsersCommand::Reset { name } => {
            output.result(&client.reset_password(&name).await?, link)?;
        }
        UsersCommand::Role { name, role } => {
            let user = client.set_role(&name, role.into()).await?;
            output.result(&user, |user| format!("{} is {}", user.name, role_name(user.role)))?;
        }
        UsersCommand::Delete { name } => {
            client.delete_user(&name).await?;
            output
                .result(&json!({ "deleted": name }), |_| format!("{GOOD}deleted{GOOD:#} {name}"))?;
        }
    }
    Ok(())
}

fn role_name(role: InstanceRole) -> &'static str {
    match role {
        InstanceRole::Member => "member",
        InstanceRole::Admin => "admin",
    }
}

fn list(users: &[User]) -> String {
    let row = |user: &User| {
        vec![user.name.to_string(), role_name(user.role).to_owned(), text::time(user.created_at_ms)]
    };
    text::table(&["USER", "ROLE", "MADE"], &users.iter().map(row).collect::<Vec<_>>())
}

fn purpose(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Setup => "the first account".to_owned(),
        Purpose::Join { role } => format!("a new {}", role_name(*role)),
        Purpose::Reset { user } => format!("a new password of {user}"),
    }
}

fn link(made: &InviteLink) -> String {
    format!(
        "{LINK}{}{LINK:#}\n  for {BOLD}{}{BOLD:#}; it works once, until {}",
        text::line(&made.link),
        purpose(&made.invite.purpose),
        text::time(made.invite.expires_at_ms),
    )
}

fn links(invites: &[Invite]) -> String {
    let row = |invite: &Invite| {
        vec![
            invite.id.to_string(),
            purpose(&invite.purpose),
            text::time(invite.created_at_ms),
            text::time(invite.expires_at_ms),
        ]
    };
    text::table(&["ID", "FOR", "MADE", "UNTIL"], &invites.iter().map(row).collect::<Vec<_>>())
}
