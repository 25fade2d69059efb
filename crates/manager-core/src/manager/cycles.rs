//! Triggers that can set one another off without end, as far as their sources
//! show: a warning, for the loop may have an end that only running it shows.

use std::collections::{BTreeMap, BTreeSet};

use picloud_shared::{EventType, Manifest, ScriptInfo, ScriptPath, Trigger};

/// What a handler does under a literal name: `kv::collection("posts")`.
struct Effect<'a> {
    on: EventType,
    name: &'a str,
}

/// One sentence per circle.
pub(super) fn cycles(
    manifest: &Manifest,
    sources: &BTreeMap<ScriptPath, String>,
    infos: &BTreeMap<ScriptPath, ScriptInfo>,
) -> Vec<String> {
    let triggers = &manifest.triggers;
    let leads_to: Vec<Vec<usize>> = triggers
        .iter()
        .map(|trigger| {
            let effects = effects_of(&trigger.handler.handler.script, sources, infos);
            let is_set_off = |other: &&usize| {
                triggers.get(**other).is_some_and(|t| effects.iter().any(|e| sets_off(e, t)))
            };
            let all: Vec<usize> = (0..triggers.len()).collect();
            all.iter().filter(is_set_off).copied().collect()
        })
        .collect();
    let mut told = BTreeSet::new();
    let mut warnings = Vec::new();
    for start in 0..triggers.len() {
        let Some(circle) = circle_from(start, &leads_to) else { continue };
        // The same circle is found from each of its triggers.
        if circle.iter().any(|trigger| !told.insert(*trigger)) {
            continue;
        }
        let steps: Vec<String> =
            circle.iter().filter_map(|index| triggers.get(*index)).map(step).collect();
        let first = steps.first().cloned().unwrap_or_default();
        warnings.push(format!(
            "picloud.toml: these triggers can set one another off without end: {} → {first}",
            steps.join(" → ")
        ));
    }
    warnings
}

/// The shortest way from a trigger back to itself.
fn circle_from(start: usize, leads_to: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut ways = std::collections::VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for &next in way.last().and_then(|last| leads_to.get(*last)).into_iter().flatten() {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

/// `kv.set posts → notify.rhai`
fn step(trigger: &Trigger) -> String {
    let filters = trigger.filter.values().map(|glob| format!(" {}", glob.as_str()));
    format!("{}{} → {}", trigger.on, filters.collect::<String>(), trigger.handler.handler)
}

/// The field that an effect's name is compared with.
fn field(on: EventType) -> &'static str {
    match on {
        EventType::KvSet | EventType::KvDelete => "collection",
        EventType::FilesPut | EventType::FilesDelete => "bucket",
        EventType::EventsPublish => "topic",
        EventType::QueueMessage => "queue",
        EventType::ScheduleFire => "schedule",
        EventType::ExecutionFailed => "handler",
    }
}

fn sets_off(effect: &Effect<'_>, trigger: &Trigger) -> bool {
    let glob = trigger.filter.get(field(effect.on));
    trigger.on == effect.on && glob.is_none_or(|glob| glob.matches(effect.name))
}

/// What a script and all that it imports do.
fn effects_of<'a>(
    script: &str,
    sources: &'a BTreeMap<ScriptPath, String>,
    infos: &BTreeMap<ScriptPath, ScriptInfo>,
) -> Vec<Effect<'a>> {
    let imports = infos.get(script).map_or(&[][..], |info| info.imports.as_slice());
    let files = std::iter::once(script).chain(imports.iter().map(String::as_str));
    files.filter_map(|file| sources.get(file)).flat_map(|source| effects(source)).collect()
}

fn effects(source: &str) -> Vec<Effect<'_>> {
    let has = |verbs: &[&str]| verbs.iter().any(|verb| source.contains(verb));
    let mut effects = Vec::new();
    let mut add = |call: &str, on: EventType| {
        effects.extend(literals(source, call).map(|name| Effect { on, name }));
    };
    if has(&[".set(", ".incr(", ".update("]) {
        add("kv::collection(", EventType::KvSet);
    }
    if has(&[".delete(", ".clear(", ".update("]) {
        add("kv::collection(", EventType::KvDelete);
    }
    if has(&[".put("]) {
        add("files::bucket(", EventType::FilesPut);
    }
    if has(&[".delete("]) {
        add("files::bucket(", EventType::FilesDelete);
    }
    add("events::publish(", EventType::EventsPublish);
    if has(&[".send("]) {
        add("queue::named(", EventType::QueueMessage);
    }
    effects
}

/// The literal first arguments of a call.
fn literals<'a>(source: &'a str, call: &str) -> impl Iterator<Item = &'a str> {
    source.match_indices(call).filter_map(move |(at, call)| {
        let argument = source.get(at + call.len()..)?.trim_start().strip_prefix('"')?;
        argument.split('"').next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(manifest: &str, files: &[(&str, &str)]) -> Vec<String> {
        let manifest = Manifest::parse(manifest).unwrap();
        let sources =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let infos = BTreeMap::from([(
            "a.rhai".to_owned(),
            ScriptInfo { functions: vec![], imports: vec!["lib/a.rhai".to_owned()] },
        )]);
        cycles(&manifest, &sources, &infos)
    }

    const CHAIN: &str = "
        [[triggers]]
        on = 'kv.set'
        collection = 'posts'
        handler = 'a.rhai'
        [[triggers]]
        on = 'events.publish'
        topic = 'post.*'
        handler = 'b.rhai'";

    #[test]
    fn a_circle_is_told_once_whatever_lies_between() {
        let a = ("a.rhai", "import \"lib/a\" as a; fn on_event(e) { a::tell() }");
        let lib = ("lib/a.rhai", "fn tell() { events::publish(\"post.new\", 1) }");
        let b = ("b.rhai", "fn on_event(e) { kv::collection( \"posts\").incr(\"n\") }");
        assert_eq!(
            check(CHAIN, &[a, lib, b]),
            ["picloud.toml: these triggers can set one another off without end: kv.set posts → \
              a.rhai → events.publish post.* → b.rhai → kv.set posts → a.rhai"]
        );
        let itself = ("a.rhai", "fn on_event(e) { kv::collection(\"posts\").set(\"n\", 1) }");
        let told = check(CHAIN, &[itself]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("kv.set posts → a.rhai → kv.set posts → a.rhai"), "{told:?}");
    }

    #[test]
    fn what_only_reads_or_goes_elsewhere_is_no_circle() {
        let reads = ("a.rhai", "fn on_event(e) { kv::collection(\"posts\").get(\"n\") }");
        let elsewhere = ("a.rhai", "fn on_event(e) { kv::collection(\"other\").set(\"n\", 1) }");
        let publishes = ("a.rhai", "fn on_event(e) { events::publish(\"mail.new\", 1) }");
        let unknown = ("a.rhai", "fn on_event(e) { events::publish(e.key, 1) }");
        for files in [reads, elsewhere, publishes, unknown] {
            assert!(check(CHAIN, &[files]).is_empty(), "{files:?}");
        }
    }
}
