//! The reference of the SDK: `docs/sdk/*.md`, and the definitions that editors
//! read, as Rhai's language server wants them and as JSON. All are made of what the SDK registers, the pages with the examples of
//! the app `docs/sdk/examples`, which `picloud test` runs in the real sandbox.
//!
//! `just regen` writes them. Without it, a file that is not as it would be
//! written is a failure, and so is a registration that has no example.

mod definitions;
mod examples;
mod json;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use picloud_guest::reference;
use picloud_guest::sdk::register::Kind;
use picloud_guest::sdk::{NAMESPACES, Registration};

use crate::fake::World;
use examples::Examples;

/// A `::` namespace, with what is registered under it.
struct Namespace {
    name: &'static str,
    doc: &'static str,
    entries: Vec<Entry>,
}

/// What is described at one place: the overloads of a name, at least one.
struct Entry {
    namespace: &'static str,
    /// What a script writes before the name: `kv::`, `collection.`, or nothing.
    prefix: String,
    name: &'static str,
    overloads: Vec<Registration>,
}

impl Entry {
    /// `kv::collection`, `collection.get`
    fn title(&self) -> String {
        format!("{}{}", self.prefix, self.name)
    }

    /// The function of `tests/<namespace>.rhai` that is its example:
    /// `test_collection`, `test_collection_get`.
    fn example(&self) -> String {
        match self.prefix.strip_suffix('.') {
            Some(receiver) => format!("test_{receiver}_{}", self.name),
            None => format!("test_{}", self.name),
        }
    }
}

fn prefix(one: &Registration) -> String {
    match (one.kind, one.receiver) {
        (Kind::Global, _) => String::new(),
        (_, Some(of)) => format!("{}.", variable(of)),
        (_, None) => format!("{}::", one.namespace),
    }
}

/// How a script names a value of that type.
fn variable(type_name: &'static str) -> &'static str {
    match type_name {
        "request" => "req",
        // A `kv collection` is a collection.
        words => words.rsplit(' ').next().unwrap_or(words),
    }
}

/// In the order of the reference, with everything of one prefix together.
fn namespaces() -> Vec<Namespace> {
    let registrations = reference(Box::new(World::default()));
    let all = NAMESPACES.iter().map(|namespace| {
        let mut entries: Vec<Entry> = Vec::new();
        for one in registrations.iter().filter(|one| one.namespace == namespace.name) {
            let prefix = prefix(one);
            let same = |entry: &&mut Entry| entry.prefix == prefix && entry.name == one.name();
            match entries.iter_mut().find(same) {
                Some(entry) => entry.overloads.push(one.clone()),
                None => entries.push(Entry {
                    namespace: one.namespace,
                    prefix,
                    name: one.name(),
                    overloads: vec![one.clone()],
                }),
            }
        }
        let prefixes: Vec<_> = entries.iter().map(|entry| entry.prefix.clone()).collect();
        entries.sort_by_key(|entry| prefixes.iter().position(|prefix| *prefix == entry.prefix));
        Namespace { name: namespace.name, doc: namespace.doc, entries }
    });
    all.collect()
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// What `docs/sdk` holds, by the files' names.
fn generated() -> BTreeMap<String, String> {
    let (namespaces, examples) = (namespaces(), Examples::read(&docs().join("sdk/examples")));
    let codes: BTreeSet<String> = fs::read_dir(docs().join("errors"))
        .unwrap()
        .filter_map(|page| {
            Some(page.unwrap().file_name().to_str()?.strip_suffix(".md")?.to_owned())
        })
        .collect();
    let pages = namespaces.iter().map(|namespace| {
        (format!("{}.md", namespace.name), page::of(namespace, &examples, &codes))
    });
    let others = [
        ("README.md".to_owned(), page::index(&namespaces)),
        ("sdk.d.rhai".to_owned(), definitions::of(&namespaces)),
        ("sdk.json".to_owned(), json::of(&namespaces)),
    ];
    pages.chain(others).collect()
}

#[test]
fn the_reference_is_as_the_sdk_is() {
    let folder = docs().join("sdk");
    let generated = generated();
    if std::env::var_os("PICLOUD_REGEN").is_some() {
        for (name, text) in &generated {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    for (name, text) in &generated {
        let is = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(is == *text, "docs/sdk/{name} is not up to date: run `just regen`");
    }
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        let is_known = file.path().is_dir() || generated.contains_key(&name);
        assert!(is_known, "docs/sdk/{name} is of no namespace: remove it");
    }
}

#[test]
fn every_registration_has_an_example_and_every_example_a_registration() {
    let examples = Examples::read(&docs().join("sdk/examples"));
    for namespace in namespaces() {
        let file = format!("docs/sdk/examples/tests/{}.rhai", namespace.name);
        let expected: BTreeSet<String> = namespace.entries.iter().map(Entry::example).collect();
        let written = examples.of(namespace.name);
        let written: BTreeSet<String> = written.iter().map(|one| one.name.to_owned()).collect();
        let unknown: Vec<_> = written.difference(&expected).collect();
        assert_eq!(unknown, [""; 0], "functions of {file} that are the example of nothing");
        let missing: Vec<_> = expected.difference(&written).collect();
        assert_eq!(missing, [""; 0], "functions that {file} lacks");
    }
}

#[test]
fn the_app_of_examples_has_no_file_that_no_example_uses() {
    let examples = Examples::read(&docs().join("sdk/examples"));
    let mut used = BTreeSet::from(["picloud.toml".to_owned()]);
    for namespace in namespaces() {
        used.insert(format!("tests/{}.rhai", namespace.name));
        for example in examples.of(namespace.name) {
            used.extend(
                examples.files_used_by(&example).iter().map(|(path, _)| (*path).to_owned()),
            );
        }
    }
    let unused: Vec<&str> = examples.paths().filter(|path| !used.contains(*path)).collect();
    assert_eq!(unused, [""; 0]);
}

#[test]
fn an_example_is_short_and_calls_what_it_is_of() {
    let examples = Examples::read(&docs().join("sdk/examples"));
    for entry in namespaces().iter().flat_map(|namespace| &namespace.entries) {
        let Some(example) = examples.get(entry) else { continue };
        let files = examples.files_used_by(&example);
        let calls = |text: &str| {
            text.contains(&format!(".{}", entry.name)) || text.contains(&entry.title())
        };
        let title = entry.title();
        assert!(
            calls(&example.body) || files.iter().any(|(_, text)| calls(text)),
            "the example of {title} does not call it"
        );
        assert!(example.body.lines().count() <= 12, "the example of {title} is too long");
    }
}
