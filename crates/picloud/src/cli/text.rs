//! Text for people: scripts' texts made harmless, sizes, times, tables.

use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const ADDED: Style = AnsiColor::Green.on_default();
pub const REMOVED: Style = AnsiColor::Red.on_default();
pub const LINK: Style = AnsiColor::Cyan.on_default();
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Text that cannot steer a terminal nor pass for something else: control
/// characters, and those that reorder what is around them, are written as
/// escapes. Line breaks and tabs stay.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_invisible(c);
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// [`harmless`] text on a single line.
#[must_use]
pub fn line(text: &str) -> String {
    harmless(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// [`harmless`] text whose further lines are indented, so that none of them
/// looks like a line of somebody else.
#[must_use]
pub fn block(text: &str, indent: usize) -> String {
    harmless(text.trim_end()).replace('\n', &format!("\n{}", " ".repeat(indent)))
}

/// Characters that change the order of others, or that nobody sees.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// `512 B`, `1.5 KiB`, `10.0 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// `870 µs`, `1.4 ms`, `2.10 s`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "two digits after the point are shown")]
pub fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// `1,234,567`.
#[must_use]
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2026-03-01 08:15:30` in the system's time zone.
#[must_use]
pub fn time(ms: u64) -> String {
    format_time(ms, "%Y-%m-%d %H:%M:%S", TimeZone::system())
}

/// `2026-03-01 08:15:30` in the time zone of that name, or in the system's if
/// that is not known here.
#[must_use]
pub fn time_in(ms: u64, timezone: &str) -> String {
    let zone = TimeZone::get(timezone).unwrap_or_else(|_| TimeZone::system());
    format_time(ms, "%Y-%m-%d %H:%M:%S", zone)
}

/// `08:15:30.123` in the system's time zone.
#[must_use]
pub fn time_of_day(ms: u64) -> String {
    format_time(ms, "%H:%M:%S%.3f", TimeZone::system())
}

fn format_time(ms: u64, format: &str, zone: TimeZone) -> String {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).map_or_else(
        || ms.to_string(),
        |at| at.to_zoned_datetime(zone).strftime(format).to_string(),
    )
}

/// Rows under a heading, in columns. Cells are made harmless.
#[must_use]
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| line(cell)).collect()).collect();
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let columns = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, &width) in cells.zip(&widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        line.trim_end().to_owned()
    };
    let heading = columns(&mut heading.iter().copied());
    let mut text = format!("{DIM}{heading}{DIM:#}");
    for row in &rows {
        text.push('\n');
        text.push_str(&columns(&mut row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_steers_the_terminal() {
        assert_eq!(harmless("\u{1b}[2J\u{1b}]0;title\u{7}"), "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        assert_eq!(harmless("a\rb\u{9b}31mc\u{7f}\0"), "a\\rb\\u{9b}31mc\\u{7f}\\u{0}");
        assert_eq!(harmless("a\u{202e}b\u{200b}c\u{2028}"), "a\\u{202e}b\\u{200b}c\\u{2028}");
        assert_eq!(harmless("ä\tö\n€ 日本 👍"), "ä\tö\n€ 日本 👍");
    }

    #[test]
    fn a_text_of_many_lines_cannot_pass_for_many_texts() {
        assert_eq!(line("one\nERROR two\t3"), "one\\nERROR two\\t3");
        assert_eq!(block("one\nERROR two\n\n", 2), "one\n  ERROR two");
    }

    #[test]
    fn quantities_are_read_at_a_glance() {
        assert_eq!(
            [0, 1_023, 1_536, 10 << 20].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "10.0 MiB"]
        );
        assert_eq!([7, 1_400, 2_100_000].map(duration), ["7 µs", "1.4 ms", "2.10 s"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(format_time(951_827_696_123, "%H:%M:%S%.3f", TimeZone::UTC), "12:34:56.123");
        assert_eq!(time_in(951_827_696_123, "UTC"), "2000-02-29 12:34:56");
        assert_eq!(time_in(951_827_696_123, "Mars/Olympus"), time(951_827_696_123));
        assert_eq!(format_time(u64::MAX, "%H", TimeZone::UTC), u64::MAX.to_string());
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["a\u{1b}".to_owned(), "1".to_owned()], vec!["ä".to_owned(), String::new()]];
        let text = anstream::adapter::strip_str(&table(&["name", "n"], &rows)).to_string();
        assert_eq!(text, "name     n\na\\u{1b}  1\nä");
    }
}
