//! `picloud members`: who may use an app.

use clap::{Args, Subcommand};
use picloud_shared::UserName;
use picloud_shared::access::{AppRole, Member};
use serde_json::json;

use super::Global;
use super::text::{self, GOOD};

/// List, add and remove an app's users
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud members --app guestbook
  picloud members set anna developer --app guestbook
  picloud members remove anna --app guestbook")]
pub struct MembersArgs {
    #[command(subcommand)]
    command: Option<MembersCommand>,
}

#[derive(Subcommand)]
enum MembersCommand {
    /// List the app's users
    #[command(after_help = "Example:\n  picloud members list --app guestbook")]
    List,
    /// Give a user a role in the app
    #[command(after_help = "Example:\n  picloud members set anna developer --app guestbook")]
    Set {
        /// The user's name
        name: UserName,
        /// What they are to be
        #[arg(value_enum)]
        role: Role,
    },
    /// Take a user's role in the app
    #[command(after_help = "Example:\n  picloud members remove anna --app guestbook")]
    Remove {
        /// The user's name
        name: UserName,
    },
}

/// A role in an app, as it is written on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    /// Sees everything but secrets
    Viewer,
    /// Deploys, runs and changes data, too
    Developer,
    /// Deletes the app and says who may use it, too
    Owner,
}

impl From<Role> for AppRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Developer => Self::Developer,
            Role::Owner => Self::Owner,
        }
    }
}

pub async fn run(args: MembersArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    match args.command.unwrap_or(MembersCommand::List) {
        MembersCommand::List => {
            let members = client.members(&app).await?;
            if members.items.is_empty() {
                output.note(&format!("{app} has no members; the instance's admins have it"));
            }
            output.result(&members, |members| {
                if members.items.is_empty() { String::new() } else { list(&members.items) }
            })?;
        }
        MembersCommand::Set { name, role } => {
            let role = AppRole::from(role);
            client.set_member(&app, &name, role).await?;
            output.result(&json!({ "name": name, "role": role }), |_| {
                format!("{GOOD}{name}{GOOD:#} is {} of {app}", role_name(role))
            })?;
        }
        MembersCommand::Remove { name } => {
            client.remove_member(&app, &name).await?;
            output
                .result(&json!({ "removed": name }), |_| format!("{GOOD}removed{GOOD:#} {name}"))?;
        }
    }
    Ok(())
}

fn role_name(role: AppRole) -> &'static str {
    match role {
        AppRole::Viewer => "viewer",
        AppRole::Developer => "developer",
        AppRole::Owner => "owner",
    }
}

fn list(members: &[Member]) -> String {
    let row = |member: &Member| vec![member.name.to_string(), role_name(member.role).to_owned()];
    text::table(&["USER", "ROLE"], &members.iter().map(row).collect::<Vec<_>>())
}
