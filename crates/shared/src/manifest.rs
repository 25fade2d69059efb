//! `picloud.toml`: what an app says about itself beyond its files' names.
//!
//! Everything in it is optional, and nothing in it is ignored: an unknown key
//! is an error, and a section that this version reads but does not act on is
//! reported by [`Manifest::not_in_effect`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::config::Settings;
use crate::routes::{Method, Pattern};
use crate::{AppSlug, Handler, HostPattern, LimitOverrides, Position, ScriptError};

/// The manifest's path within an app.
pub const FILE: &str = "picloud.toml";
/// Bytes that it may have.
pub const MAX_BYTES: usize = 64 * 1024;

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

/// `[[triggers]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// `service.event`
    pub on: String,
    /// The event's fields that must be equal, `*` standing for anything.
    pub filter: BTreeMap<String, String>,
    pub handler: HandlerAt,
}

/// `[[schedules]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Five or six fields.
    pub cron: String,
    /// An IANA time zone's name.
    pub timezone: Option<String>,
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
            schedules: raw
                .schedules
                .into_iter()
                .map(|schedule| source.schedule(schedule))
                .collect::<Result<_, _>>()?,
            egress: raw
                .egress
                .allow
                .iter()
                .map(|host| source.egress(host))
                .collect::<Result<_, _>>()?,
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

    /// The sections that are present, valid, and not acted on by this version.
    #[must_use]
    pub fn not_in_effect(&self) -> Vec<&'static str> {
        [("triggers", self.triggers.is_empty()), ("schedules", self.schedules.is_empty())]
            .into_iter()
            .filter_map(|(section, empty)| (!empty).then_some(section))
            .collect()
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
    triggers: Vec<Spanned<BTreeMap<String, Spanned<String>>>>,
    #[serde(default)]
    schedules: Vec<RawSchedule>,
    #[serde(default)]
    egress: RawEgress,
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
    cron: Spanned<String>,
    timezone: Option<String>,
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
        raw: Spanned<BTreeMap<String, Spanned<String>>>,
    ) -> Result<Trigger, ScriptError> {
        let span = raw.span();
        let mut fields = raw.into_inner();
        let mut take = |name: &str| {
            fields
                .remove(name)
                .ok_or_else(|| self.invalid(span.clone(), format!("missing field `{name}`")))
        };
        let (on, handler) = (take("on")?, take("handler")?);
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        if !on.as_ref().split_once('.').is_some_and(|(a, b)| is_word(a) && is_word(b)) {
            let message = "an event is written service.event, such as kv.set";
            return Err(self.invalid(on.span(), message));
        }
        let position = self.position(handler.span());
        let handler = handler
            .as_ref()
            .parse()
            .map_err(|error| self.invalid(handler.span(), format!("{error}")))?;
        Ok(Trigger {
            on: on.into_inner(),
            filter: fields.into_iter().map(|(name, value)| (name, value.into_inner())).collect(),
            handler: HandlerAt { handler, position },
        })
    }

    fn schedule(&self, raw: RawSchedule) -> Result<Schedule, ScriptError> {
        let fields = raw.cron.as_ref().split_whitespace().count();
        if !(5..=6).contains(&fields) {
            let message = format!("a cron expression has 5 or 6 fields, this one has {fields}");
            return Err(self.invalid(raw.cron.span(), message));
        }
        Ok(Schedule {
            cron: raw.cron.into_inner(),
            timezone: raw.timezone,
            handler: self.handler(raw.handler),
        })
    }

    fn egress(&self, host: &Spanned<String>) -> Result<HostPattern, ScriptError> {
        let pattern = host.as_ref().parse();
        pattern.map_err(|error| self.invalid(host.span(), format!("{error}")))
    }
}

/// The name that was probably meant, out of serde's "unknown field `rout`,
/// expected one of `name`, `routes`".
fn did_you_mean(message: &str) -> Option<&str> {
    let (unknown, expected) = message.strip_prefix("unknown ")?.split_once(", expected ")?;
    let unknown = unknown.split('`').nth(1)?.to_lowercase();
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|name| (strsim::damerau_levenshtein(&unknown, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(unknown.len() / 3))
        .map(|(_, name)| name)
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
        assert_eq!(manifest.triggers[0].on, "kv.set");
        assert_eq!(manifest.triggers[0].filter["collection"], "posts");
        assert_eq!(manifest.triggers[0].handler.position.to_string(), "picloud.toml:9:11");
        assert_eq!(manifest.schedules[0].timezone.as_deref(), Some("Europe/Berlin"));
        let egress: Vec<_> = manifest.egress.iter().map(ToString::to_string).collect();
        assert_eq!(egress, ["api.stripe.com", "*.example.org:8443"]);
        assert_eq!(manifest.limits.fuel, Some(500_000_000));
        assert_eq!(manifest.config["GREETING"].as_str(), Some("hello"));
        assert_eq!(manifest.handlers().count(), 3);
    }

    #[test]
    fn what_is_read_but_not_acted_on_is_said() {
        let manifest = Manifest::parse(FULL).unwrap();
        assert_eq!(manifest.not_in_effect(), ["triggers", "schedules"]);
        assert!(Manifest::parse("name = \"ab\"").unwrap().not_in_effect().is_empty());
        assert_eq!(Manifest::parse("").unwrap(), Manifest::default());
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
            ("[[triggers]]\nhandler = 'a.rhai'\non = 'kv'", "3:6", "service.event"),
            ("[[triggers]]\nhandler = 'a'\non = 'kv.set'", "2:11", "file.rhai"),
            ("[[schedules]]\nhandler = 'a.rhai'\ncron = '* *'", "3:8", "this one has 2"),
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
