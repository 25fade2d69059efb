//! `picloud dead-letters`: deliveries that have failed for good.

use std::io::Write as _;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::events::delivery_text;
use super::output::Usage;
use super::text::{self, BOLD, DIM, ERROR, GOOD};
use super::{Global, json_value};
use crate::client::{DeadLetter, Page};

/// Look at deliveries that have failed for good; replay or drop them
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud dead-letters --app orders
  picloud dead-letters show 01a212c7-1023-7000-86ac-bacd4a031afb --app orders
  picloud dead-letters replay-all --app orders")]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: Option<DeadLettersCommand>,
}

#[derive(Subcommand)]
enum DeadLettersCommand {
    /// List them, newest first
    #[command(after_help = "Example:\n  picloud dead-letters list -n 200 --app orders")]
    List {
        /// How many
        #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
        limit: u32,
        /// Only those after this one
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Show one: its event's fields, its error, its attempts
    #[command(after_help = "\
Example:
  picloud dead-letters show 01a212c7-1023-7000-86ac-bacd4a031afb --app orders")]
    Show {
        /// The dead letter's id
        id: String,
    },
    /// Have one delivered again, with all its attempts before it
    #[command(after_help = "\
Examples:
  picloud dead-letters replay 01a212c7-1023-7000-86ac-bacd4a031afb --app orders
  picloud dead-letters replay 01a212c7-1023-7000-86ac-bacd4a031afb --fields - < fields.json")]
    Replay {
        /// The dead letter's id
        id: String,
        /// A JSON object in place of the event's fields; - reads it from stdin
        #[arg(long, value_name = "JSON")]
        fields: Option<String>,
    },
    /// Change one's fields in an editor, then replay it
    #[command(after_help = "\
Example:
  picloud dead-letters edit 01a212c7-1023-7000-86ac-bacd4a031afb --app orders")]
    Edit {
        /// The dead letter's id
        id: String,
        /// The editor's command
        #[arg(long, env = "EDITOR", default_value = "vi", value_name = "COMMAND")]
        editor: String,
    },
    /// Remove one for good
    #[command(after_help = "\
Example:
  picloud dead-letters drop 01a212c7-1023-7000-86ac-bacd4a031afb --app orders")]
    Drop {
        /// The dead letter's id
        id: String,
    },
    /// Have all of them delivered again
    #[command(after_help = "Example:\n  picloud dead-letters replay-all --app orders")]
    ReplayAll,
}

pub async fn run(args: DeadLettersArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let list = DeadLettersCommand::List { limit: 50, after: None };
    match args.command.unwrap_or(list) {
        DeadLettersCommand::List { limit, after } => {
            let page = Page { limit: Some(limit), after, ..Page::default() };
            let letters = client.dead_letters(&app, &page).await?;
            if letters.items.is_empty() {
                output.note(&format!("{app} has no dead letters"));
            }
            output.result(&letters, |letters| {
                letters.items.iter().map(summary).collect::<Vec<_>>().join("\n")
            })?;
            if let Some(next) = &letters.next {
                output.note(&format!("{DIM}there are more: --after {next}{DIM:#}"));
            }
        }
        DeadLettersCommand::Show { id } => {
            output.result(&client.dead_letter(&app, &id).await?, detail)?;
        }
        DeadLettersCommand::Replay { id, fields } => {
            let fields = fields.map(|text| json_value::parse("fields", &text)).transpose()?;
            if fields.as_ref().is_some_and(|fields| !fields.is_object()) {
                return Err(Usage("the fields must be a JSON object".to_owned()).into());
            }
            client.replay(&app, &id, fields.as_ref()).await?;
            output.result(&json!({ "replayed": 1 }), |_| replayed(1))?;
        }
        DeadLettersCommand::Edit { id, editor } => {
            let letter = client.dead_letter(&app, &id).await?;
            let before = letter.delivery.fields.unwrap_or(letter.event.fields);
            let fields = edit(&editor, &before)?;
            client.replay(&app, &id, Some(&fields)).await?;
            output.result(&json!({ "replayed": 1 }), |_| replayed(1))?;
        }
        DeadLettersCommand::Drop { id } => {
            client.drop_dead_letter(&app, &id).await?;
            output.result(&json!({ "dropped": id }), |_| format!("{GOOD}dropped{GOOD:#} {id}"))?;
        }
        DeadLettersCommand::ReplayAll => {
            let all = client.replay_all(&app).await?;
            output.result(&all, |all| replayed(all.replayed))?;
        }
    }
    Ok(())
}

fn replayed(count: u64) -> String {
    let letters = if count == 1 { "dead letter is" } else { "dead letters are" };
    format!("{GOOD}replayed{GOOD:#}: {} {letters} delivered again", text::number(count))
}

fn summary(letter: &DeadLetter) -> String {
    let DeadLetter { delivery, event } = letter;
    let time = text::time(event.at_ms);
    let message = delivery.error.as_ref().map_or_else(String::new, ToString::to_string);
    format!(
        "{DIM}{time} {}{DIM:#} {BOLD}{}{BOLD:#} {} {ERROR}{}{ERROR:#}",
        delivery.id,
        event.on,
        text::line(&delivery.handler),
        text::line(&message)
    )
}

fn detail(letter: &DeadLetter) -> String {
    let DeadLetter { delivery, event } = letter;
    let fields = delivery.fields.as_ref().unwrap_or(&event.fields);
    let edited = if delivery.fields.is_some() { " (edited)" } else { "" };
    format!(
        "{BOLD}{}{BOLD:#} {DIM}{}, event {}{DIM:#}{edited}\n{}\n{}",
        event.on,
        text::time(event.at_ms),
        event.id,
        json_value::pretty(fields),
        delivery_text(delivery, 0),
    )
}

/// Has JSON changed in the user's editor.
fn edit(editor: &str, before: &Value) -> anyhow::Result<Value> {
    let mut file = tempfile::Builder::new().prefix("picloud-").suffix(".json").tempfile()?;
    file.write_all(serde_json::to_string_pretty(before)?.as_bytes())?;
    file.flush()?;
    // A command with its options, such as `code --wait`.
    let mut words = editor.split_whitespace();
    let program = words.next().context("--editor is empty")?;
    let status = Command::new(program).args(words).arg(file.path()).status();
    let status = status.with_context(|| format!("cannot run the editor {program}"))?;
    if !status.success() {
        bail!("the editor failed; nothing is replayed");
    }
    // Editors may write another file in its place.
    let text = std::fs::read_to_string(file.path()).context("cannot read what was edited")?;
    let after: Value =
        serde_json::from_str(&text).context("this is not JSON; nothing is replayed")?;
    if !after.is_object() {
        bail!("the fields must be a JSON object; nothing is replayed");
    }
    Ok(after)
}
