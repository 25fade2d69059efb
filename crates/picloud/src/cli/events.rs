//! `picloud events` and `picloud publish`: what happened, and what it led to.

use std::collections::BTreeMap;
use std::pin::pin;

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use picloud_shared::outbox::{EventId, Status};

use super::text::{self, BOLD, DIM, ERROR, GOOD, WARNING};
use super::{Global, json_value};
use crate::client::{Delivery, Event, EventDetail, Page, Sent};

/// Show what happened in an app, where a trigger asks for it
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud events --app orders
  picloud events --app orders -f
  picloud events show 01a212c7-0e16-7000-a1ea-0e0d06d3d5ff --app orders")]
pub struct EventsArgs {
    #[command(subcommand)]
    command: Option<EventsCommand>,

    /// Go on with every new event as it comes
    #[arg(short, long)]
    follow: bool,

    /// How many of the newest events
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
    limit: u32,
}

#[derive(Subcommand)]
enum EventsCommand {
    /// Show one event: its fields, its deliveries, and all that began with the same cause
    #[command(after_help = "\
Example:
  picloud events show 01a212c7-0e16-7000-a1ea-0e0d06d3d5ff --app orders")]
    Show {
        /// The event's id
        id: String,
    },
}

/// Publish an event, as scripts do
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud publish order.placed '{\"id\": 7}' --app orders
  picloud publish reindex --app search")]
pub struct PublishArgs {
    /// The topic that triggers ask for
    topic: String,

    /// The payload as JSON; - reads it from stdin
    #[arg(default_value = "null", allow_hyphen_values = true, value_name = "JSON")]
    payload: String,
}

pub async fn run(args: EventsArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    if let Some(EventsCommand::Show { id }) = args.command {
        return Ok(output.result(&client.event(&app, &id).await?, detail)?);
    }
    if !args.follow {
        let page = Page { limit: Some(args.limit), ..Page::default() };
        let mut events = client.events(&app, &page).await?.items;
        if events.is_empty() {
            output.note(&format!("nothing has happened in {app} that a trigger asks for"));
        }
        events.reverse();
        for event in events {
            output.part(&event, event_text)?;
        }
        return Ok(());
    }
    let mut events = pin!(client.follow_events(&app, args.limit).await?);
    loop {
        let event = tokio::select! {
            event = events.try_next() => event?,
            // The way to stop following is no failure.
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(event) = event else { anyhow::bail!("the server ended the stream") };
        output.part(&event, event_text)?;
    }
}

pub async fn publish(args: PublishArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let payload = json_value::parse("payload", &args.payload)?;
    let sent = client.publish(&app, &args.topic, &payload).await?;
    Ok(output.result(&sent, sent_text)?)
}

/// What became of something that was sent.
pub(super) fn sent_text(sent: &Sent) -> String {
    match (sent.event, sent.deliveries) {
        (None, _) => format!("{WARNING}nobody listens{WARNING:#}: no trigger asks for this"),
        (Some(event), 1) => format!("{GOOD}sent{GOOD:#} to 1 handler, event {event}"),
        (Some(event), n) => format!("{GOOD}sent{GOOD:#} to {n} handlers, event {event}"),
    }
}

/// One event on one line.
fn event_text(event: &Event) -> String {
    let time = text::time_of_day(event.at_ms);
    let fields = text::line(&shortened(&event.fields.to_string()));
    let id = event.id;
    format!("{DIM}{time} {id}{DIM:#} {BOLD}{}{BOLD:#} {fields}", event.on)
}

fn shortened(text: &str) -> String {
    const MAX: usize = 160;
    let end = text.floor_char_boundary(MAX);
    if end == text.len() { text.to_owned() } else { format!("{}…", &text[..end]) }
}

fn detail(detail: &EventDetail) -> String {
    let EventDetail { event, tree } = detail;
    let mut lines = vec![
        format!("{BOLD}{}{BOLD:#} {DIM}{}{DIM:#}", event.on, text::time(event.at_ms)),
        json_value::pretty(&event.fields),
    ];
    if let Some(execution) = event.execution {
        lines.push(format!("{DIM}by execution {execution}{DIM:#}"));
    }
    lines.extend(event.deliveries.iter().map(|delivery| delivery_text(delivery, 0)));
    if tree.len() > 1 {
        lines.push(String::new());
        lines.push("What began with the same cause:".to_owned());
        lines.extend(tree_lines(tree, event.id));
    }
    lines.join("\n")
}

/// Causes with their effects under them, the event in question marked.
fn tree_lines(tree: &[Event], marked: EventId) -> Vec<String> {
    let known: BTreeMap<EventId, &Event> = tree.iter().map(|event| (event.id, event)).collect();
    let mut effects: BTreeMap<Option<EventId>, Vec<&Event>> = BTreeMap::new();
    for event in tree {
        // What has been pruned cannot be shown, but its effects can.
        let parent = event.parent.filter(|parent| known.contains_key(parent));
        effects.entry(parent).or_default().push(event);
    }
    let mut lines = Vec::new();
    let mut stack: Vec<(usize, &Event)> =
        effects.get(&None).into_iter().flatten().rev().map(|event| (0, *event)).collect();
    while let Some((depth, event)) = stack.pop() {
        let mark = if event.id == marked { "▸" } else { " " };
        let indent = "  ".repeat(depth);
        lines.push(format!("{mark} {indent}{}", event_text(event)));
        let deliveries = event.deliveries.iter();
        lines.extend(deliveries.map(|delivery| delivery_text(delivery, 2 * depth + 4)));
        let of = effects.get(&Some(event.id)).into_iter().flatten();
        stack.extend(of.rev().map(|effect| (depth + 1, *effect)));
    }
    lines
}

pub(super) fn delivery_text(delivery: &Delivery, indent: usize) -> String {
    let Delivery { handler, status, attempts, max_attempts, due_at_ms, error, .. } = delivery;
    let handler = text::line(handler);
    let status = match status {
        Status::Waiting => {
            let due = due_at_ms.map_or_else(String::new, text::time);
            format!("{WARNING}waiting{WARNING:#} until {due}")
        }
        Status::Running => format!("{WARNING}running{WARNING:#}"),
        Status::Done => format!("{GOOD}done{GOOD:#}"),
        Status::Dead => format!("{ERROR}dead letter{ERROR:#} {}", delivery.id),
    };
    let mut line = format!(
        "{:indent$}→ {handler}: {status} {DIM}attempt {attempts} of {max_attempts}{DIM:#}",
        ""
    );
    if let Some(error) = error {
        let error = text::block(&error.to_string(), indent + 4);
        line = format!("{line}\n{:1$}{error}", "", indent + 4);
    }
    line
}

#[cfg(test)]
mod tests {
    use picloud_shared::EventType;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn event(id: u128, parent: Option<u128>) -> Event {
        Event {
            id: EventId(Uuid::from_u128(id)),
            on: EventType::EventsPublish,
            fields: json!({ "topic": format!("t{id}\u{1b}[2J") }),
            at_ms: 0,
            root: Uuid::nil(),
            parent: parent.map(|parent| EventId(Uuid::from_u128(parent))),
            depth: 0,
            execution: None,
            deliveries: vec![],
        }
    }

    #[test]
    fn effects_stand_under_their_causes() {
        let tree = [
            event(1, None),
            event(2, Some(1)),
            event(3, None),
            event(4, Some(2)),
            event(5, Some(9)),
        ];
        let lines = tree_lines(&tree, EventId(Uuid::from_u128(2)));
        let shown: Vec<_> = lines
            .iter()
            .map(|line| {
                let plain = anstream::adapter::strip_str(line).to_string();
                let depth = plain.chars().skip(2).take_while(|c| *c == ' ').count() / 2;
                let topic = plain.split(":\"t").nth(1).unwrap().chars().next().unwrap();
                (plain.starts_with('▸'), depth, topic)
            })
            .collect();
        assert_eq!(
            shown,
            [(false, 0, '1'), (true, 1, '2'), (false, 2, '4'), (false, 0, '3'), (false, 0, '5'),]
        );
        assert!(lines.iter().all(|line| !line.contains("\u{1b}[2J")), "{lines:?}");
    }
}
