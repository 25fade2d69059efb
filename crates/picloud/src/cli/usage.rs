//! `picloud usage`: what an app has used, and how much of its limits.

use clap::Args;
use picloud_shared::usage::{Bounded, Counters, MAX_DAYS, WARN_PERCENT};

use super::Global;
use super::output::warning_text;
use super::text::{self, BOLD, DIM, GOOD, WARNING};
use crate::client::{DayUsage, Usage};

/// Characters of a bar.
const BAR: u64 = 20;

/// Show what an app has used by day, and how much of its limits
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud usage --app guestbook
  picloud usage --app guestbook --days 365 --json
  picloud usage --all")]
pub struct UsageArgs {
    /// How many days to show, today included, in UTC
    #[arg(long, default_value_t = 30, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
    days: u32,

    /// Show what all your apps have used together, and how much of your limits
    #[arg(long, conflicts_with = "app")]
    all: bool,
}

pub async fn run(args: UsageArgs, global: &Global) -> anyhow::Result<()> {
    let (client, output) = (global.client()?, global.output());
    if args.all {
        let usage = client.own_usage(args.days).await?;
        output.result(&usage, |usage| show("all your apps", usage))?;
    } else {
        let app = global.app()?;
        let usage = client.usage(&app, args.days).await?;
        output.result(&usage, |usage| show(app.as_str(), usage))?;
    }
    Ok(())
}

fn show(name: &str, usage: &Usage) -> String {
    let since = format!("{DIM}since {}{DIM:#}", usage.from);
    let mut shown = format!("{BOLD}{}{BOLD:#}  {since}\n", text::line(name));
    if usage.days.is_empty() {
        shown.push_str("  nothing was used");
    } else {
        shown.push_str(&days(usage));
    }
    shown.push_str("\n\n");
    shown.push_str(&limits(&usage.limits));
    for warning in &usage.warnings {
        shown.push('\n');
        shown.push_str(&warning_text(warning));
    }
    shown
}

/// Each day with a bar of its requests.
fn days(usage: &Usage) -> String {
    let most = usage.days.iter().map(|day| day.counters.requests).max().unwrap_or_default();
    let row = |name: String, counters: &Counters, bar: String| {
        vec![
            name,
            text::number(counters.requests),
            text::number(counters.invocations),
            text::number(counters.failures),
            text::number(counters.fuel),
            text::bytes(counters.bytes_in),
            text::bytes(counters.bytes_out),
            text::number(counters.events),
            text::number(counters.deliveries),
            bar,
        ]
    };
    let day = |DayUsage { day, counters }: &DayUsage| {
        row(day.to_string(), counters, bar(counters.requests, most))
    };
    let mut rows: Vec<_> = usage.days.iter().map(day).collect();
    rows.push(row("total".to_owned(), &usage.total, String::new()));
    let heading =
        ["DAY", "REQUESTS", "RUNS", "FAILED", "FUEL", "IN", "OUT", "EVENTS", "DELIVERIES", ""];
    text::table(&heading, &rows)
}

/// Each limit with a bar of what is used of it.
fn limits(limits: &[Bounded]) -> String {
    let amount = |limit: &str, amount| {
        if limit.ends_with("_bytes") { text::bytes(amount) } else { text::number(amount) }
    };
    let row = |bounded: &Bounded| {
        let Bounded { limit, used, max, percent } = bounded;
        let style = if *percent >= WARN_PERCENT { WARNING } else { GOOD };
        let full = bar(*used, *max);
        let rest =
            "·".repeat(usize::try_from(BAR).unwrap_or(0).saturating_sub(full.chars().count()));
        let (used, max) = (amount(limit, *used), amount(limit, *max));
        format!(
            "  {:<14} {style}{full}{style:#}{DIM}{rest}{DIM:#} {percent:>3} %  {used} of {max}",
            text::line(limit)
        )
    };
    limits.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// As long as `part` is of `whole`; something is never shown as nothing.
fn bar(part: u64, whole: u64) -> String {
    let length = (u128::from(part) * u128::from(BAR)).checked_div(u128::from(whole));
    let length =
        length.map_or(0, |length| usize::try_from(length.min(u128::from(BAR))).unwrap_or(0));
    "█".repeat(if part > 0 { length.max(1) } else { 0 })
}

#[cfg(test)]
mod tests {
    use picloud_shared::usage::Day;

    use super::*;

    #[test]
    fn days_and_limits_are_shown_with_bars() {
        let day = |day, requests| DayUsage {
            day: Day(day),
            counters: Counters { requests, bytes_out: 2_048, ..Counters::default() },
        };
        let limits = vec![Bounded::new("kv_bytes", 1, 1 << 20), Bounded::new("outbox_rows", 9, 10)];
        let usage = Usage::new(Day(0), vec![day(0, 1_000), day(2, 500)], limits);
        let shown = anstream::adapter::strip_str(&show("blog", &usage)).to_string();
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "blog  since 1970-01-01");
        assert!(lines[2].starts_with("1970-01-01  1,000") && lines[2].ends_with(&"█".repeat(20)));
        assert!(lines[3].starts_with("1970-01-03  500  ") && lines[3].ends_with(&"█".repeat(10)));
        assert!(lines[4].starts_with("total       1,500"), "{}", lines[4]);
        assert_eq!(lines[6], format!("  kv_bytes       █{}   0 %  1 B of 1.0 MiB", "·".repeat(19)));
        assert_eq!(lines[7], format!("  outbox_rows    {}··  90 %  9 of 10", "█".repeat(18)));
        assert_eq!(lines[8], "warning: 90 % of `outbox_rows` are used: 9 of 10");
    }
}
