//! Moments as they are written on the command line.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use picloud_shared::{Clock as _, SystemClock};

/// `2h` for two hours ago, or a time; in Unix milliseconds.
pub fn parse(text: &str) -> Result<u64, String> {
    at(text, SystemClock.now_ms(), TimeZone::system()).ok_or_else(|| {
        "write 30m, 2h or 1d for so long ago, or a time: 2026-03-01T08:15".to_owned()
    })
}

fn at(text: &str, now_ms: u64, zone: TimeZone) -> Option<u64> {
    let moment = if let Ok(span) = text.parse::<Span>() {
        if span.is_negative() {
            return None;
        }
        let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
        now.to_zoned_datetime(zone).checked_sub(span).ok()?.timestamp()
    } else if let Ok(timestamp) = text.parse::<Timestamp>() {
        timestamp
    } else {
        text.parse::<DateTime>().ok()?.to_zoned_datetime(zone).ok()?.timestamp()
    };
    u64::try_from(moment.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_or_a_time() {
        const DAY_MS: u64 = 24 * 3_600 * 1_000;
        let now_ms = 20_000 * DAY_MS;
        let at = |text| at(text, now_ms, TimeZone::fixed(jiff::tz::offset(2)));
        for (text, expected) in [
            ("90s", now_ms - 90_000),
            ("1h", now_ms - 3_600_000),
            ("1h30m", now_ms - 5_400_000),
            ("2d", now_ms - 2 * DAY_MS),
            ("1970-01-02T00:00:00Z", DAY_MS),
            ("1970-01-02T02:00:00+02:00", DAY_MS),
            ("1970-01-02 02:00", DAY_MS),
            ("1970-01-02T02:00:01.5", DAY_MS + 1_500),
            ("1970-01-02", DAY_MS - 2 * 3_600_000),
        ] {
            assert_eq!(at(text), Some(expected), "{text}");
        }
        for bad in ["", "h", "1", "yesterday", "-1h", "99999y", "1969-01-01", "2026-13-01"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
