//! `picloud kv`: an app's entries.

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::Usage;
use super::text::{self, DIM, GOOD};
use super::{Global, json_value};
use crate::client::{Entry, Page};

/// Read and change an app's KV entries
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud kv list --app guestbook
  picloud kv get posts 42 --app guestbook
  picloud kv set settings title '\"My guestbook\"' --app guestbook
  picloud kv set sessions abc '{\"user\": 7}' --ttl 3600 --app guestbook
  picloud kv delete posts 42 --app guestbook")]
pub struct KvArgs {
    #[command(subcommand)]
    command: KvCommand,
}

#[derive(Subcommand)]
enum KvCommand {
    /// Print an entry's value as JSON; fails if there is none
    #[command(after_help = "Example:\n  picloud kv get posts 42 --app guestbook")]
    Get {
        /// The collection's name
        collection: String,
        /// The entry's key
        key: String,
    },
    /// Write an entry
    #[command(after_help = "\
Examples:
  picloud kv set settings title '\"My guestbook\"'
  picloud kv set settings limits - < limits.json")]
    Set {
        /// The collection's name
        collection: String,
        /// The entry's key
        key: String,
        /// The value as JSON; a text needs quotes of its own; - reads it from stdin
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// Seconds after which the entry ceases to exist
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
        ttl: Option<u64>,
    },
    /// List a collection's entries in the order of their keys, or the collections
    #[command(after_help = "\
Examples:
  picloud kv list
  picloud kv list posts --prefix 2026- --limit 1000")]
    List {
        /// The collection's name [default: list the collections]
        collection: Option<String>,
        /// Only keys that start with this
        #[arg(long, requires = "collection", value_name = "TEXT")]
        prefix: Option<String>,
        /// Only keys after this one
        #[arg(long, requires = "collection", value_name = "KEY")]
        after: Option<String>,
        /// How many entries
        #[arg(short = 'n', long, requires = "collection", default_value = "100", value_name = "N")]
        limit: u32,
    },
    /// Delete an entry; fails if there is none
    #[command(after_help = "Example:\n  picloud kv delete posts 42 --app guestbook")]
    Delete {
        /// The collection's name
        collection: String,
        /// The entry's key
        key: String,
    },
}

pub async fn run(args: KvArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    match args.command {
        KvCommand::Get { collection, key } => {
            check(&collection, &key)?;
            let entry = client.entry(&app, &collection, &key).await?;
            output.result(&entry, |entry| json_value::pretty(&entry.value))?;
        }
        KvCommand::Set { collection, key, value, ttl } => {
            check(&collection, &key)?;
            let value = json_value::parse("value", &value)?;
            client.set_entry(&app, &collection, &key, &value, ttl).await?;
            output.result(&json!({ "set": key }), |_| {
                format!("{GOOD}set{GOOD:#} {}", text::line(&key))
            })?;
        }
        KvCommand::List { collection: None, .. } => {
            let collections = client.collections(&app).await?;
            if collections.items.is_empty() {
                output.note(&format!("{app} has no entries"));
                output.result(&collections, |_| String::new())?;
            } else {
                output.result(&collections, |collections| {
                    let row = |c: &crate::client::Collection| {
                        vec![c.collection.clone(), c.entries.to_string()]
                    };
                    let rows: Vec<_> = collections.items.iter().map(row).collect();
                    text::table(&["COLLECTION", "ENTRIES"], &rows)
                })?;
            }
        }
        KvCommand::List { collection: Some(collection), prefix, after, limit } => {
            check(&collection, "key")?;
            let page = Page { prefix, after, limit: Some(limit) };
            let entries = client.entries(&app, &collection, &page).await?;
            output.result(&entries, |entries| list(&entries.items))?;
            if let Some(next) = &entries.next {
                output.note(&format!("{DIM}there are more: --after '{}'{DIM:#}", text::line(next)));
            }
        }
        KvCommand::Delete { collection, key } => {
            check(&collection, &key)?;
            client.delete_entry(&app, &collection, &key).await?;
            output.result(&json!({ "deleted": key }), |_| {
                format!("{GOOD}deleted{GOOD:#} {}", text::line(&key))
            })?;
        }
    }
    Ok(())
}

/// Names that the server would refuse, and the two that no URL can hold.
fn check(collection: &str, key: &str) -> Result<(), Usage> {
    let usage = |error: picloud_shared::kv::Error| Usage(error.to_string());
    collection.parse::<picloud_shared::kv::Collection>().map_err(usage)?;
    key.parse::<picloud_shared::kv::Key>().map_err(usage)?;
    if [collection, key].iter().any(|name| matches!(*name, "." | "..")) {
        return Err(Usage("the names . and .. cannot be reached over HTTP".to_owned()));
    }
    Ok(())
}

fn list(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let key = text::line(&entry.key);
        let expires =
            entry.expires_at_ms.map(|ms| format!("  {DIM}until {}{DIM:#}", text::time(ms)));
        let value = text::line(&entry.value.to_string());
        format!("{key}  {value}{}", expires.unwrap_or_default())
    };
    entries.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_they_travel() {
        assert!(check("posts", "a/../b?ä").is_ok());
        for (collection, key) in [("a b", "k"), ("c", ""), ("c", "a\nb"), ("c", ".."), (".", "k")] {
            assert!(check(collection, key).is_err(), "{collection:?} {key:?}");
        }
    }
}
