//! 1,700,000,000,123 ms is 14 November 2023, 22:13:20.123 UTC, a Tuesday.

use super::{Case, Failure};
use crate::fake::{get, thrown};

pub const CASES: &[Case] = &[
    ("now() -> int", "[time::now(), time::now() - time::now()]", "[1700000000123,0]"),
    (
        "parse(text) -> int",
        r#"[time::parse("2023-11-14T23:13:20.123+01:00"), time::parse("1970-01-02")]"#,
        "[1700000000123,86400000]",
    ),
    (
        "parse(text, pattern) -> int",
        r#"[time::parse("2.1.1970 1:00", "%d.%m.%Y %H:%M"), time::parse("02/01/70", "%d/%m/%y"), time::parse("1970-01-01 01:00 +0100", "%F %H:%M %z")]"#,
        "[90000000,86400000,0]",
    ),
    (
        "parse(text, pattern, tz) -> int",
        r#"time::parse("1970-01-01 01:00", "%F %H:%M", "Europe/Berlin")"#,
        "0",
    ),
    (
        "format(ms, pattern) -> string",
        r#"time::format(time::now(), "%A %d.%m.%Y %H:%M:%S%.3f %%")"#,
        "Tuesday 14.11.2023 22:13:20.123 %",
    ),
    (
        "format(ms, pattern, tz) -> string",
        r#"time::format(time::now(), "%H:%M %Z", "Europe/Berlin")"#,
        "23:13 CET",
    ),
    (
        "parts(ms) -> map",
        "time::parts(-1)",
        r#"{"day":31,"hour":23,"millisecond":999,"minute":59,"month":12,"offset_minutes":0,"second":59,"weekday":3,"year":1969,"yearday":365}"#,
    ),
    (
        "parts(ms, tz) -> map",
        r#"let p = time::parts(time::now(), "Asia/Kolkata"); [p.day, p.hour, p.offset_minutes]"#,
        "[15,3,330]",
    ),
    (
        "add(ms, #{years, months, weeks, days, hours, minutes, seconds, milliseconds, tz}) -> int",
        "[time::add(0, #{days: 1, hours: -1}), time::add(time::parse(\"2024-01-31\"), #{months: 1}) == time::parse(\"2024-02-29\")]",
        "[82800000,true]",
    ),
    (
        "add(ms, #{years, months, weeks, days, hours, minutes, seconds, milliseconds, tz}) -> int",
        // 31 March 2024 has 23 hours in Berlin.
        r#"let noon = time::parse("2024-03-30T12:00:00+01:00"); time::add(noon, #{days: 1, tz: "Europe/Berlin"}) - noon"#,
        "82800000",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"time::parse("tomorrow")"#, "invalid_time"),
    (r#"time::parse("2024-02-30")"#, "invalid_time"),
    (r#"time::parse("")"#, "invalid_time"),
    (r#"time::parse("x", "%Y")"#, "invalid_time"),
    (r#"time::parse("2024-03-31 02:30", "%F %H:%M", "Mars/Olympus")"#, "unknown_timezone"),
    (r#"time::format(0, "%")"#, "invalid_pattern"),
    (r#"time::format(9223372036854775807, "%Y")"#, "invalid_time"),
    ("time::parts(9223372036854775807)", "invalid_time"),
    ("time::add(0, #{years: 100000})", "invalid_time"),
    ("time::add(0, #{day: 1})", "unknown_option"),
    (r#"time::add(0, #{days: "1"})"#, "invalid_option"),
];

#[test]
fn an_unknown_zone_is_told_the_nearest() {
    assert_eq!(
        thrown(r#"time::parts(0, "Europe/Belin")"#).message,
        "there is no time zone \"Europe/Belin\"; did you mean \"Europe/Berlin\"?"
    );
}

#[test]
fn an_hour_that_there_is_not_is_the_one_after_it() {
    let script = r#"time::format(time::parse("2024-03-31 02:30", "%F %H:%M", "Europe/Berlin"), "%F %R %z", "Europe/Berlin")"#;
    assert_eq!(get(script), "2024-03-31 03:30 +0200");
}
