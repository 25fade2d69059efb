//! `picloud queues`: messages that wait, and sending one.

use clap::{Args, Subcommand};

use super::events::sent_text;
use super::text::{self, WARNING};
use super::{Global, json_value};
use crate::client::{Message, Queue};

/// Show how full an app's queues are, or send a message
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud queues --app orders
  picloud queues send mail '{\"to\": \"ann@example.org\"}' --app orders")]
pub struct QueuesArgs {
    #[command(subcommand)]
    command: Option<QueuesCommand>,
}

#[derive(Subcommand)]
enum QueuesCommand {
    /// List the queues in which something waits, runs, or has failed
    #[command(after_help = "Example:\n  picloud queues list --app orders")]
    List,
    /// Send a message, as scripts do
    #[command(after_help = "\
Examples:
  picloud queues send mail '{\"to\": \"ann@example.org\"}' --app orders
  picloud queues send mail - --delay 3600 --key reminder-ann < message.json")]
    Send {
        /// The queue's name
        queue: String,
        /// The payload as JSON; - reads it from stdin
        #[arg(allow_hyphen_values = true, value_name = "JSON")]
        payload: String,
        /// Seconds until it may be handled
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        delay: u64,
        /// Send nothing while a message with this key waits or is handled
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
}

pub async fn run(args: QueuesArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    match args.command {
        Some(QueuesCommand::Send { queue, payload, delay, key }) => {
            let payload = json_value::parse("payload", &payload)?;
            let message = Message { payload, delay, key };
            let sent = client.send_message(&app, &queue, &message).await?;
            output.result(&sent, |sent| match sent.event {
                Some(_) => sent_text(sent),
                None => format!("{WARNING}not sent{WARNING:#}: a message with this key waits"),
            })?;
        }
        None | Some(QueuesCommand::List) => {
            let queues = client.queues(&app).await?;
            if queues.items.is_empty() {
                output.note(&format!("nothing waits in a queue of {app}"));
            }
            output.result(&queues, |queues| {
                let rows: Vec<_> = queues.items.iter().map(row).collect();
                let heading = ["QUEUE", "WAITING", "RUNNING", "DEAD", "FIRST DUE"];
                if rows.is_empty() { String::new() } else { text::table(&heading, &rows) }
            })?;
        }
    }
    Ok(())
}

fn row(queue: &Queue) -> Vec<String> {
    let number = |n: u64| text::number(n);
    vec![
        queue.queue.clone(),
        number(queue.waiting),
        number(queue.running),
        number(queue.dead),
        queue.oldest_due_ms.map_or_else(String::new, text::time),
    ]
}
