//! `regex::`: searching by regular expressions, in linear time.
//!
//! The engine is `regex-lite`, which never backtracks. `regex` would know the
//! classes of Unicode, and be four times as large in the component.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use regex_lite::{Match, Regex, RegexBuilder};
use rhai::{Array, Dynamic, ImmutableString, Map};

use super::data::quoted;
use super::{Namespace, Registrar, Result, Shared, throw};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "regex", doc: "Searching by regular expressions.", register };

/// Parsing takes a multiple of it in memory.
const MAX_PATTERN_BYTES: usize = 16 * 1024;
/// What a pattern may be compiled to; a search takes time in proportion.
const MAX_COMPILED_BYTES: usize = 256 * 1024;
/// A search remembers every group for every state: some 13 MiB at both limits.
const MAX_GROUPS: usize = 50;
/// How many compiled patterns are kept.
const MAX_PATTERNS: usize = 64;

/// The patterns that have been compiled, so that a loop compiles its own once.
#[derive(Default)]
pub(crate) struct Patterns(RefCell<BTreeMap<ImmutableString, Rc<Regex>>>);

impl Patterns {
    fn get(&self, pattern: &ImmutableString) -> Result<Rc<Regex>> {
        if let Some(regex) = self.0.borrow().get(pattern) {
            return Ok(Rc::clone(regex));
        }
        let regex = Rc::new(compile(pattern)?);
        let mut kept = self.0.borrow_mut();
        // A script with so many makes them up as it goes: none is worth more
        // than another.
        if kept.len() == MAX_PATTERNS {
            kept.clear();
        }
        kept.insert(pattern.clone(), Rc::clone(&regex));
        Ok(regex)
    }
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    register_searches(to, context);
    let ctx = Rc::clone(context);
    to.function(
        "replace(pattern, text, with) -> string",
        "The text with every match replaced; in `with`, `$1`, `$name`, `${1}` and `${name}` stand \
         for groups, `$$` for a dollar sign.",
        move |pattern: ImmutableString,
              text: ImmutableString,
              with: ImmutableString|
              -> Result<String> {
            let regex = ctx.patterns().get(&pattern)?;
            Ok(regex.replace_all(&text, with.as_str()).into_owned())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "split(pattern, text) -> array",
        "What is between the matches.",
        move |pattern: ImmutableString, text: ImmutableString| -> Result<Array> {
            let regex = ctx.patterns().get(&pattern)?;
            Ok(regex.split(&text).map(Into::into).collect())
        },
    );
}

fn register_searches(to: &mut Registrar<'_>, context: &Shared) {
    let ctx = Rc::clone(context);
    to.function(
        "is_match(pattern, text) -> bool",
        "Whether the pattern is found in the text; `^` and `$` in it make that the whole text. \
         Each function here throws `invalid_pattern` if the pattern is none.",
        move |pattern: ImmutableString, text: ImmutableString| -> Result<bool> {
            Ok(ctx.patterns().get(&pattern)?.is_match(&text))
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "find(pattern, text) -> map",
        "The first match as `#{text, start, end}`, or `()`. Its place is counted in characters \
         from 0; `end` is the character after it.",
        move |pattern: ImmutableString, text: ImmutableString| -> Result<Dynamic> {
            let regex = ctx.patterns().get(&pattern)?;
            Ok(regex.find(&text).map_or(Dynamic::UNIT, |found| place(&text, found).into()))
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "find_all(pattern, text) -> array",
        "The texts of all matches, which do not overlap.",
        move |pattern: ImmutableString, text: ImmutableString| -> Result<Array> {
            let regex = ctx.patterns().get(&pattern)?;
            Ok(regex.find_iter(&text).map(|found| found.as_str().into()).collect())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "captures(pattern, text) -> map",
        "The groups of the first match, or `()`: the whole match is `[\"0\"]`, the first group \
         `[\"1\"]`, and `(?<year>…)` is `.year` besides. A group that took no part is `()`.",
        move |pattern: ImmutableString, text: ImmutableString| -> Result<Dynamic> {
            let regex = ctx.patterns().get(&pattern)?;
            Ok(captures(&regex, &text).map_or(Dynamic::UNIT, Into::into))
        },
    );
}

fn compile(pattern: &str) -> Result<Regex> {
    let refuse = |why: &str| {
        let message = format!("{} is no pattern: {why}", quoted(pattern));
        throw("regex", "invalid_pattern", message)
    };
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(refuse(&format!("it is longer than {MAX_PATTERN_BYTES} bytes")));
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| refuse(&error.to_string()))?;
    // The whole match counts as a group.
    if regex.captures_len() > MAX_GROUPS + 1 {
        return Err(refuse(&format!("it has more than {MAX_GROUPS} groups")));
    }
    Ok(regex)
}

fn place(text: &str, found: Match<'_>) -> Map {
    let before = text.get(..found.start()).unwrap_or("").chars().count();
    let length = found.as_str().chars().count();
    Map::from([
        ("text".into(), found.as_str().into()),
        ("start".into(), count(before)),
        ("end".into(), count(before + length)),
    ])
}

fn count(characters: usize) -> Dynamic {
    i64::try_from(characters).unwrap_or(i64::MAX).into()
}

fn captures(regex: &Regex, text: &str) -> Option<Map> {
    let groups = regex.captures(text)?;
    let mut map = Map::new();
    for (number, (group, name)) in groups.iter().zip(regex.capture_names()).enumerate() {
        let group = group.map_or(Dynamic::UNIT, |group| group.as_str().into());
        if let Some(name) = name {
            map.insert(name.into(), group.clone());
        }
        map.insert(number.to_string().into(), group);
    }
    Some(map)
}
