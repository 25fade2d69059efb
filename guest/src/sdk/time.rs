//! `time::`: the one clock there is, which stands still during an invocation,
//! and the calendar. Time zones are part of the guest: it has no files to read
//! them from, and every machine has the same.

use std::rc::Rc;

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp, ZonedDateTime};
use rhai::{ImmutableString, Map};

use super::options::{Options, nearest};
use super::{Namespace, Registrar, Result, Shared, throw};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "time", doc: "The time, as Unix milliseconds, and the calendar.", register };

/// Bytes of a pattern, and of a text to be read by one.
const MAX_TEXT_BYTES: usize = 256;

/// A longer text is compared with no zone's name.
const MAX_NAME_BYTES: usize = 64;

const UNITS: &[&str] =
    &["years", "months", "weeks", "days", "hours", "minutes", "seconds", "milliseconds", "tz"];

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "now() -> int",
        "Unix time in milliseconds at which the invocation began; it does not move during it.",
        move || -> Result<i64> { Ok(ctx.invocation("time")?.now_ms.cast_signed()) },
    );
    register_texts(to);
    register_calendar(to);
}

fn register_texts(to: &mut Registrar<'_>) {
    to.function(
        "parse(text) -> int",
        "The time that the text says, as RFC 3339 has it: `2026-11-24T08:30:00+01:00`; a date \
         alone is its midnight in UTC. Throws `invalid_time` for anything else.",
        |text: ImmutableString| parse(&text),
    );
    to.function(
        "parse(text, pattern) -> int",
        "The time that the text says by a pattern such as \"%d.%m.%Y %H:%M\", in UTC unless the \
         text has an offset.",
        |text: ImmutableString, pattern: ImmutableString| parse_by(&text, &pattern, TimeZone::UTC),
    );
    to.function(
        "parse(text, pattern, tz) -> int",
        "The same in a time zone, such as \"Europe/Berlin\".",
        |text: ImmutableString, pattern: ImmutableString, tz: ImmutableString| {
            parse_by(&text, &pattern, zone(&tz)?)
        },
    );
    to.function(
        "format(ms, pattern) -> string",
        "The time in UTC, written by a pattern such as \"%Y-%m-%d %H:%M:%S\".",
        |ms: i64, pattern: ImmutableString| format(ms, &pattern, TimeZone::UTC),
    );
    to.function(
        "format(ms, pattern, tz) -> string",
        "The same in a time zone.",
        |ms: i64, pattern: ImmutableString, tz: ImmutableString| format(ms, &pattern, zone(&tz)?),
    );
}

fn register_calendar(to: &mut Registrar<'_>) {
    to.function(
        "parts(ms) -> map",
        "The time in UTC, as `#{year, month, day, hour, minute, second, millisecond, weekday, \
         yearday, offset_minutes}`; weekday 1 is Monday.",
        |ms: i64| parts(ms, TimeZone::UTC),
    );
    to.function(
        "parts(ms, tz) -> map",
        "The same in a time zone.",
        |ms: i64, tz: ImmutableString| parts(ms, zone(&tz)?),
    );
    to.function(
        "add(ms, #{years, months, weeks, days, hours, minutes, seconds, milliseconds, tz}) -> int",
        "The time that much later, or earlier where numbers are negative. A month after 31 January \
         is the last of February. In a time zone, `tz`, a day can have 23 or 25 hours.",
        add,
    );
}

fn parse(text: &str) -> Result<i64> {
    let invalid = |error: &dyn std::fmt::Display| {
        let message = format!("not a time such as 2026-11-24T08:30:00Z: {error}");
        throw("time", "invalid_time", message)
    };
    if text.len() > MAX_TEXT_BYTES {
        return Err(invalid(&"it is too long"));
    }
    match text.parse::<Timestamp>() {
        Ok(time) => Ok(time.as_millisecond()),
        Err(error) => match text.parse::<Date>() {
            Ok(date) if !text.contains(['T', 't', ' ', ':']) => {
                milliseconds(&date.to_datetime(jiff::civil::Time::midnight()), TimeZone::UTC)
            }
            _ => Err(invalid(&error)),
        },
    }
}

fn parse_by(text: &str, pattern: &str, tz: TimeZone) -> Result<i64> {
    let invalid = |error: jiff::Error| {
        let message = format!("the text is no time of the pattern \"{pattern}\": {error}");
        throw("time", "invalid_time", message)
    };
    check_pattern(pattern)?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(throw("time", "invalid_time", "the text is too long for a time"));
    }
    let parts = strtime::parse(pattern, text).map_err(invalid)?;
    if let Ok(time) = parts.to_timestamp() {
        return Ok(time.as_millisecond());
    }
    let civil = match parts.to_datetime() {
        Ok(civil) => civil,
        // A date without a time.
        Err(_) => parts.to_date().map_err(invalid)?.to_datetime(jiff::civil::Time::midnight()),
    };
    milliseconds(&civil, tz)
}

fn format(ms: i64, pattern: &str, tz: TimeZone) -> Result<String> {
    check_pattern(pattern)?;
    strtime::format(pattern, &zoned(ms, tz)?).map_err(|error| {
        let message = format!("\"{pattern}\" is no pattern for a time: {error}");
        throw("time", "invalid_pattern", message)
    })
}

fn parts(ms: i64, tz: TimeZone) -> Result<Map> {
    let time = zoned(ms, tz)?;
    let numbers = [
        ("year", time.year().into()),
        ("month", time.month().into()),
        ("day", time.day().into()),
        ("hour", time.hour().into()),
        ("minute", time.minute().into()),
        ("second", time.second().into()),
        ("millisecond", time.millisecond().into()),
        ("weekday", time.weekday().to_monday_one_offset().into()),
        ("yearday", time.day_of_year().into()),
        ("offset_minutes", i64::from(time.offset().seconds() / 60)),
    ];
    Ok(numbers.into_iter().map(|(name, number): (_, i64)| (name.into(), number.into())).collect())
}

fn add(ms: i64, options: Map) -> Result<i64> {
    let mut options = Options::new("time", options, UNITS)?;
    let tz = options.string("tz")?.map_or(Ok(TimeZone::UTC), |name| zone(&name))?;
    let time = zoned(ms, tz)?;
    let mut take = |unit| Ok::<_, Box<rhai::EvalAltResult>>(options.integer(unit)?.unwrap_or(0));
    let (years, months) = (take("years")?, take("months")?);
    let (weeks, days) = (take("weeks")?, take("days")?);
    let (hours, minutes) = (take("hours")?, take("minutes")?);
    let (seconds, milliseconds) = (take("seconds")?, take("milliseconds")?);
    let span = Span::new()
        .try_years(years)
        .and_then(|span| span.try_months(months))
        .and_then(|span| span.try_weeks(weeks))
        .and_then(|span| span.try_days(days));
    // Units may have different signs, which one span cannot: the calendar's go
    // first, as when a date is looked up and then a time of that day.
    let clock = Span::new()
        .try_hours(hours)
        .and_then(|span| span.try_minutes(minutes))
        .and_then(|span| span.try_seconds(seconds))
        .and_then(|span| span.try_milliseconds(milliseconds));
    let sum = span.and_then(|span| time.checked_add(span));
    let sum = sum.and_then(|time| clock.and_then(|clock| time.checked_add(clock)));
    match sum {
        Ok(time) => Ok(time.timestamp().as_millisecond()),
        Err(error) => Err(throw("time", "invalid_time", format!("that is no time: {error}"))),
    }
}

fn check_pattern(pattern: &str) -> Result<()> {
    if pattern.len() <= MAX_TEXT_BYTES {
        return Ok(());
    }
    let message = format!("a pattern has at most {MAX_TEXT_BYTES} bytes");
    Err(throw("time", "invalid_pattern", message))
}

fn zoned(ms: i64, tz: TimeZone) -> Result<ZonedDateTime> {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => Ok(time.to_zoned_datetime(tz)),
        Err(_) => Err(throw("time", "invalid_time", format!("{ms} ms is no time of a calendar"))),
    }
}

fn milliseconds(civil: &DateTime, tz: TimeZone) -> Result<i64> {
    match civil.to_zoned_datetime(tz) {
        Ok(time) => Ok(time.timestamp().as_millisecond()),
        Err(error) => Err(throw("time", "invalid_time", format!("that is no time: {error}"))),
    }
}

fn zone(name: &str) -> Result<TimeZone> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(name).map_err(|_| {
        let is_short = name.len() <= MAX_NAME_BYTES;
        let known = zones.available().filter(|_| is_short).map(|name| name.to_string());
        let known: Vec<String> = known.collect();
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean \"{nearest}\"?"),
            None => "it takes a name such as \"Europe/Berlin\"".to_owned(),
        };
        throw("time", "unknown_timezone", format!("there is no time zone {name:?}; {hint}"))
    })
}
