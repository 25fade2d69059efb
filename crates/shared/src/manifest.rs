//! `picloud.toml`: what an app says about itself beyond its files' names.
//!
//! Everything in it is optional, and nothing in it is ignored: an unknown key
//! is an error.

mod ingress;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::config::Settings;
use crate::ingress::Ingress;
use crate::routes::{Method, Pattern};
use crate::schedule::{Cron, InvalidCron, Schedule};
use crate::trigger::{self, EventType, Glob, Trigger};
use crate::{AppSlug, Handler, HostPattern, LimitOverrides, Position, ScriptError};

/// The manifest's path within an app.
pub const FILE: &str = "picloud.toml";
/// Bytes that it may have.
pub const MAX_BYTES: usize = 64 * 1024;
/// Triggers that an app may have: each change is compared with all of them, and
/// each consumer of messages is looked at by whoever delivers.
const MAX_TRIGGERS: usize = 100;
/// Schedules that an app may have.
const MAX_SCHEDULES: usize = 100;
/// Characters that a schedule's name may have.
const MAX_SCHEDULE_NAME: usize = 100;

/// An app's manifest, each part well-formed in itself. Whether its handlers
/// exist is for [`crate::Routes`] to say, which knows the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    pub name: Option<AppSlug>,
    pub routes: Vec<ManifestRoute>,
    pub triggers: Vec<Trigger>,
    pub schedules: Vec<Schedule>,
    /// `[egress] allow`: the hosts that scripts may call.
    pub egress: Vec<HostPattern>,
    /// `[ingress]`: what is asked of requests, and added to answers.
    pub ingress: Ingress,
    pub limits: LimitOverrides,
    /// Settings, none of them secret.
    pub config: BTreeMap<String, toml::Value>,
}

/// `[[routes]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRoute {
    pub pattern: Pattern,
    /// Empty for every method.
    pub methods: Vec<Method>,
    pub handler: HandlerAt,
}

/// A handler, and where the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerAt {
    pub handler: Handler,
    pub position: Position,
}

impl Manifest {
    /// Reads the text of a `picloud.toml`.
    ///
    /// # Errors
    /// What is wrong, and where: at most one error, the first.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let source = Source(text);
        if text.len() > MAX_BYTES {
            let message = format!("the manifest has {} bytes, it may have {MAX_BYTES}", text.len());
            return Err(source.invalid(0..0, message));
        }
        let raw: File = toml::from_str(text).map_err(|error| source.error(&error))?;
        if raw.triggers.len() > MAX_TRIGGERS || raw.schedules.len() > MAX_SCHEDULES {
            let message =
                format!("an app has at most {MAX_TRIGGERS} triggers and {MAX_SCHEDULES} schedules");
            return Err(source.invalid(0..0, message));
        }
        Ok(Self {
            name: raw.name,
            routes: raw
                .routes
                .into_iter()
                .map(|route| ManifestRoute {
                    pattern: route.path,
                    methods: route.methods,
                    handler: source.handler(route.handler),
                })
                .collect(),
            triggers: raw
                .triggers
                .into_iter()
                .map(|trigger| source.trigger(trigger))
                .collect::<Result<_, _>>()?,
            schedules: source.schedules(raw.schedules)?,
            egress: raw
                .egress
                .allow
                .iter()
                .map(|host| source.egress(host))
                .collect::<Result<_, _>>()?,
            ingress: source.ingress(raw.ingress)?,
            limits: raw.limits,
            config: raw.config,
        })
    }

    /// Every handler that the manifest names.
    pub fn handlers(&self) -> impl Iterator<Item = &HandlerAt> {
        let routes = self.routes.iter().map(|route| &route.handler);
        let triggers = self.triggers.iter().map(|trigger| &trigger.handler);
        let schedules = self.schedules.iter().map(|schedule| &schedule.handler);
        routes.chain(triggers).chain(schedules)
    }

    /// The settings as scripts get them: names, and values as JSON.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let json = |value: &toml::Value| json(value).to_string();
        self.config.iter().map(|(name, value)| (name.clone(), json(value))).collect()
    }
}

/// A TOML value as JSON, which has no dates: they become texts.
fn json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        // TOML has inf and nan, JSON does not: they become null.
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(table) => {
            table.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
    }
}

/// The manifest as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<AppSlug>,
    #[serde(default)]
    routes: Vec<RawRoute>,
    #[serde(default)]
    triggers: Vec<Spanned<BTreeMap<String, Spanned<toml::Value>>>>,
    #[serde(default)]
    schedules: Vec<RawSchedule>,
    #[serde(default)]
    egress: RawEgress,
    #[serde(default)]
    ingress: ingress::RawIngress,
    #[serde(default)]
    limits: LimitOverrides,
    #[serde(default)]
    config: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoute {
    path: Pattern,
    #[serde(default)]
    methods: Vec<Method>,
    handler: Spanned<Handler>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchedule {
    name: Option<Spanned<String>>,
    cron: Spanned<String>,
    timezone: Option<Spanned<String>>,
    handler: Spanned<Handler>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawEgress {
    allow: Vec<Spanned<String>>,
}

/// The manifest's text, to turn offsets into lines and columns.
struct Source<'a>(&'a str);

impl Source<'_> {
    fn position(&self, span: Range<usize>) -> Position {
        let before = self.0.get(..span.start).unwrap_or(self.0);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Position {
            file: FILE.to_owned(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    fn invalid(&self, span: Range<usize>, message: impl Into<String>) -> ScriptError {
        ScriptError {
            code: Some("invalid_manifest".to_owned()),
            position: Some(self.position(span)),
            ..ScriptError::new(message)
        }
    }

    fn error(&self, error: &toml::de::Error) -> ScriptError {
        let mut message = error.message().trim_end().to_owned();
        if let Some(meant) = did_you_mean(&message) {
            message = format!("{message}; did you mean `{meant}`?");
        }
        self.invalid(error.span().unwrap_or(0..0), message)
    }

    fn handler(&self, handler: Spanned<Handler>) -> HandlerAt {
        HandlerAt { position: self.position(handler.span()), handler: handler.into_inner() }
    }

    fn trigger(
        &self,
        raw: Spanned<BTreeMap<String, Spanned<toml::Value>>>,
    ) -> Result<Trigger, ScriptError> {
        let span = raw.span();
        let mut fields = raw.into_inner();
        let mut take = |name: &str| {
            let missing = || self.invalid(span.clone(), format!("missing field `{name}`"));
            self.text(name, fields.remove(name).ok_or_else(missing)?)
        };
        let (on, handler) = (take("on")?, take("handler")?);
        let on: EventType = parsed(self, &on)?;
        let handler_at =
            HandlerAt { position: self.position(handler.span()), handler: parsed(self, &handler)? };
        let attempts = fields.remove("attempts");
        let attempts = attempts.map(|n| self.number("attempts", &n, trigger::MAX_ATTEMPTS));
        let concurrency = match (on, fields.remove("concurrency")) {
            (EventType::QueueMessage, Some(n)) => Some(self.number("concurrency", &n, 1_000)?),
            (_, None) => None,
            (_, Some(n)) => {
                let message = "only a trigger on queue.message has a concurrency";
                return Err(self.invalid(n.span(), message));
            }
        };
        if on == EventType::QueueMessage && !fields.contains_key("queue") {
            let message = "a trigger on queue.message says which: queue = \"a-name\"";
            return Err(self.invalid(span, message));
        }
        let mut filter = BTreeMap::new();
        for (name, value) in fields {
            if !on.filters().contains(&name.as_str()) {
                let known = on.filters().join("`, `");
                let meant = trigger::closest(&name, on.filters());
                let meant = meant.map_or_else(String::new, |m| format!(", did you mean `{m}`?"));
                let message = format!("{on} has no field `{name}`{meant}; it has `{known}`");
                return Err(self.invalid(value.span(), message));
            }
            let value = self.text(&name, value)?;
            filter.insert(name, Glob::new(value.as_ref()));
        }
        Ok(Trigger {
            on,
            filter,
            handler: handler_at,
            concurrency,
            attempts: attempts.transpose()?.unwrap_or(trigger::DEFAULT_ATTEMPTS),
        })
    }

    fn text(
        &self,
        name: &str,
        value: Spanned<toml::Value>,
    ) -> Result<Spanned<String>, ScriptError> {
        let span = value.span();
        match value.into_inner() {
            toml::Value::String(text) => Ok(Spanned::new(span, text)),
            other => {
                let message = format!("`{name}` is a string, not {}", other.type_str());
                Err(self.invalid(span, message))
            }
        }
    }

    /// A number from 1 to `max`.
    fn number(
        &self,
        name: &str,
        value: &Spanned<toml::Value>,
        max: u32,
    ) -> Result<u32, ScriptError> {
        let number = value.as_ref().as_integer().and_then(|n| u32::try_from(n).ok());
        number.filter(|n| (1..=max).contains(n)).ok_or_else(|| {
            self.invalid(value.span(), format!("`{name}` is a number from 1 to {max}"))
        })
    }

    fn schedules(&self, raw: Vec<RawSchedule>) -> Result<Vec<Schedule>, ScriptError> {
        let mut schedules: Vec<Schedule> = Vec::new();
        for raw in raw {
            let span = raw.name.as_ref().map_or_else(|| raw.handler.span(), Spanned::span);
            let schedule = self.schedule(raw)?;
            if schedules.iter().any(|other| other.name == schedule.name) {
                let message = format!(
                    "there are two schedules {}; give each a name of its own",
                    schedule.name
                );
                return Err(self.invalid(span, message));
            }
            schedules.push(schedule);
        }
        Ok(schedules)
    }

    fn schedule(&self, raw: RawSchedule) -> Result<Schedule, ScriptError> {
        let timezone = raw.timezone.as_ref().map(|zone| zone.as_ref().as_str());
        let cron = Cron::new(raw.cron.as_ref(), timezone).map_err(|error| {
            let of_zone =
                raw.timezone.as_ref().filter(|_| matches!(error, InvalidCron::Timezone(_)));
            let span = of_zone.map_or_else(|| raw.cron.span(), Spanned::span);
            self.invalid(span, error.to_string())
        })?;
        let handler = self.handler(raw.handler);
        let name = match raw.name {
            None => handler.handler.to_string(),
            Some(name) if is_name(name.as_ref()) => name.into_inner(),
            Some(name) => {
                let message = format!(
                    "a schedule's name has 1 to {MAX_SCHEDULE_NAME} characters, \
                     none of them a control character"
                );
                return Err(self.invalid(name.span(), message));
            }
        };
        Ok(Schedule { name, cron, handler })
    }

    fn egress(&self, host: &Spanned<String>) -> Result<HostPattern, ScriptError> {
        let pattern = host.as_ref().parse();
        pattern.map_err(|error| self.invalid(host.span(), format!("{error}")))
    }
}

fn parsed<T: FromStr<Err: Display>>(
    source: &Source<'_>,
    text: &Spanned<String>,
) -> Result<T, ScriptError> {
    text.as_ref().parse().map_err(|error| source.invalid(text.span(), format!("{error}")))
}

fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=MAX_SCHEDULE_NAME).contains(&length) && !name.chars().any(char::is_control)
}

/// The name that was probably meant, out of serde's "unknown field `rout`,
/// expected one of `name`, `routes`".
fn did_you_mean(message: &str) -> Option<&str> {
    let (unknown, expected) = message.strip_prefix("unknown ")?.split_once(", expected ")?;
    let names: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
    trigger::closest(unknown.split('`').nth(1)?, &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"name = "guestbook"
[[routes]]
path = "/api/posts/{id}"
methods = ["GET", "DELETE"]
handler = "api.rhai#post"
[[triggers]]
on = "kv.set"
collection = "posts"
handler = "notify.rhai#on_post"
[[schedules]]
cron = "0 8 * * MON-FRI"
timezone = "Europe/Berlin"
handler = "digest.rhai"
[egress]
allow = ["api.stripe.com", "*.example.org:8443"]
[limits]
fuel = 500_000_000
[config]
GREETING = "hello"
"#;

    #[test]
    fn every_section_is_read() {
        let manifest = Manifest::parse(FULL).unwrap();
        assert_eq!(manifest.name.as_ref().unwrap().as_str(), "guestbook");
        let route = &manifest.routes[0];
        assert_eq!(route.pattern.as_str(), "/api/posts/{id}");
        assert_eq!(route.methods, [Method::Get, Method::Delete]);
        assert_eq!(route.handler.handler.to_string(), "api.rhai#post");
        assert_eq!(route.handler.position.to_string(), "picloud.toml:5:11");
        assert_eq!(manifest.triggers[0].on, EventType::KvSet);
        assert_eq!(manifest.triggers[0].filter["collection"].as_str(), "posts");
        assert_eq!(manifest.triggers[0].handler.position.to_string(), "picloud.toml:9:11");
        assert_eq!(manifest.schedules[0].cron.to_string(), "0 8 * * MON-FRI Europe/Berlin");
        assert_eq!(manifest.schedules[0].name, "digest.rhai");
        let egress: Vec<_> = manifest.egress.iter().map(ToString::to_string).collect();
        assert_eq!(egress, ["api.stripe.com", "*.example.org:8443"]);
        assert_eq!(manifest.limits.fuel, Some(500_000_000));
        assert_eq!(manifest.config["GREETING"].as_str(), Some("hello"));
        assert_eq!(manifest.handlers().count(), 3);
    }

    #[test]
    fn everything_is_optional() {
        assert_eq!(Manifest::parse("").unwrap(), Manifest::default());
    }

    #[test]
    fn there_is_an_end_to_triggers_and_schedules() {
        let trigger = "[[triggers]]\non = 'kv.set'\nhandler = 'a.rhai'\n";
        assert!(Manifest::parse(&trigger.repeat(100)).is_ok());
        let error = Manifest::parse(&trigger.repeat(101)).unwrap_err();
        assert!(error.message.contains("at most 100 triggers"), "{error}");
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_was_meant() {
        let cases = [
            ("nam = 'ab'", "1:1", "did you mean `name`?"),
            ("name = 'ab'\nrouts = []", "2:1", "did you mean `routes`?"),
            ("[limits]\nfule = 1", "2:1", "did you mean `fuel`?"),
            ("[[routes]]\npath = '/'\nhandler = 'a.rhai'\nmethod = []", "4:1", "`methods`?"),
            (
                "[[routes]]\npath = '/'\nhandler = 'a.rhai'\nmethods = ['get']",
                "4:12",
                "did you mean `GET`?",
            ),
            ("[[routes]]\npath = '/'", "1:1", "missing field `handler`"),
            ("[[routes]]\npath = 'a'\nhandler = 'a.rhai'", "2:8", "starts with a slash"),
            ("[[routes]]\npath = '/'\nhandler = 'a.js'", "3:11", "file.rhai"),
            ("name = 'Not A Slug'", "1:8", "lower-case letters"),
            ("name = ", "1:8", ""),
            ("name = 'ab'\nname = 'cd'", "2:1", "duplicate key"),
            ("[limits]\nfuel = -1", "2:8", "-1"),
            ("[limits]\nfuel = 'lots'", "2:8", "invalid type"),
            ("[[triggers]]\non = 'kv.set'", "1:1", "missing field `handler`"),
            ("[[triggers]]\nhandler = 'a.rhai'\non = 'kv.sett'", "3:6", "did you mean `kv.set`?"),
            ("[[triggers]]\nhandler = 'a.rhai'\non = 7", "3:6", "`on` is a string"),
            (
                "[[triggers]]\nhandler = 'a.rhai'\non = 'kv.set'\ncolection = 'a'",
                "4:13",
                "did you mean `collection`?",
            ),
            (
                "[[triggers]]\nhandler = 'a.rhai'\non = 'kv.set'\ncollection = 1",
                "4:14",
                "`collection` is a string",
            ),
            (
                "[[triggers]]\nhandler = 'a.rhai'\non = 'kv.set'\nattempts = 0",
                "4:12",
                "from 1 to 20",
            ),
            (
                "[[triggers]]\nhandler = 'a.rhai'\non = 'kv.set'\nconcurrency = 1",
                "4:15",
                "only a trigger on queue.message",
            ),
            ("[[triggers]]\nhandler = 'a.rhai'\non = 'queue.message'", "1:1", "says which"),
            ("[[triggers]]\nhandler = 'a'\non = 'kv.set'", "2:11", "file.rhai"),
            ("[[schedules]]\nhandler = 'a.rhai'\ncron = '* *'", "3:8", "this one has 2"),
            ("[[schedules]]\nhandler = 'a.rhai'\ncron = '0 0 30 2 *'", "3:8", "no moment"),
            (
                "[[schedules]]\nhandler = 'a.rhai'\ncron = '0 0 * * *'\ntimezone = 'Berlin'",
                "4:12",
                "Europe/Berlin",
            ),
            (
                "[[schedules]]\nhandler = 'a.rhai'\ncron = '0 0 * * *'\n\
                 [[schedules]]\nhandler = 'a.rhai'\ncron = '0 1 * * *'",
                "5:11",
                "a name of its own",
            ),
            ("[egress]\nallow = ['https://a.b/']", "2:10", "a host is written"),
        ];
        for (text, place, expected) in cases {
            let error = Manifest::parse(text).expect_err(text);
            assert_eq!(error.code.as_deref(), Some("invalid_manifest"));
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("picloud.toml:{place}: ")), "{text}\n{shown}");
            assert!(shown.contains(expected), "{text}\n{shown}");
        }
    }

    #[test]
    fn settings_are_json() {
        let text = "[config]\na = 'x'\nb = 1\nc = 1.0\nd = [true]\ne = {f = 2026-11-24}\ng = inf";
        let settings = Manifest::parse(text).unwrap().settings();
        let settings: Vec<_> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            settings,
            [
                ("a", "\"x\""),
                ("b", "1"),
                ("c", "1.0"),
                ("d", "[true]"),
                ("e", "{\"f\":\"2026-11-24\"}"),
                ("g", "null")
            ]
        );
    }

    #[test]
    fn a_wild_guess_is_not_suggested() {
        let error = Manifest::parse("zzzzzz = 1").unwrap_err();
        assert!(!error.message.contains("did you mean"), "{}", error.message);
    }
}
