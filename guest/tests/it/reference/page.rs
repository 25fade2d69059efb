//! The pages, as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::examples::Examples;
use super::{Entry, Namespace};

const GENERATED: &str = "<!-- Written by `just regen`; what it is made of is in guest/src/sdk and \
                         in docs/sdk/examples. -->\n";

/// The page of one namespace.
pub fn of(namespace: &Namespace, examples: &Examples, codes: &BTreeSet<String>) -> String {
    let Namespace { name, doc, entries } = namespace;
    let mut page =
        format!("{GENERATED}\n# {name}\n\n{}\n\n{}\n", linked(doc, codes), contents(namespace, ""));
    let before = examples.before(name);
    if !before.is_empty() {
        write!(page, "\nBefore each example:\n\n```rhai\n{before}\n```\n").unwrap();
    }
    for entry in entries {
        write!(page, "\n## `{}`\n", entry.title()).unwrap();
        describe(&mut page, entry, codes);
        let Some(example) = examples.get(entry) else { continue };
        for (path, text) in examples.files_used_by(&example) {
            let language = path.rsplit('.').next().unwrap_or("");
            write!(page, "\n`{path}`\n\n```{language}\n{}\n```\n", text.trim_end()).unwrap();
        }
        write!(page, "\n```rhai\n{}\n```\n", example.body).unwrap();
    }
    let tests = format!("examples/tests/{name}.rhai");
    write!(page, "\n---\n\nThe examples are tests, [{tests}]({tests}).\n").unwrap();
    page
}

/// The overloads; a sentence that several of them have is said once.
fn describe(page: &mut String, entry: &Entry, codes: &BTreeSet<String>) {
    let mut overloads = entry.overloads.iter().peekable();
    while let Some(one) = overloads.next() {
        let title = entry.title();
        let rest = one.signature.strip_prefix(one.name()).unwrap_or("");
        write!(page, "\n`{title}{rest}`\n").unwrap();
        if overloads.peek().is_none_or(|next| next.doc != one.doc) {
            write!(page, "\n{}\n", linked(one.doc, codes)).unwrap();
        }
    }
}

/// Where everything of a namespace is, a line for each prefix. `page` is the
/// file, empty on the page itself.
fn contents(namespace: &Namespace, page: &str) -> String {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    let mut anchors = Vec::new();
    for Entry { prefix, name, .. } in &namespace.entries {
        let anchor = anchor(&format!("{prefix}{name}"), &mut anchors);
        let link = format!("[`{name}`]({page}#{anchor})");
        match lines.last_mut() {
            Some((same, links)) if *same == prefix => links.push(link),
            _ => lines.push((prefix, vec![link])),
        }
    }
    let line = |(prefix, links): (&str, Vec<String>)| match prefix {
        "" => format!("- {}", links.join(" ")),
        prefix => format!("- `{prefix}` {}", links.join(" ")),
    };
    lines.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The anchor that GitHub gives a heading; of two that are alike, the second
/// is counted.
fn anchor(title: &str, taken: &mut Vec<String>) -> String {
    let anchor: String = title.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let earlier = taken.iter().filter(|other| **other == anchor).count();
    taken.push(anchor.clone());
    if earlier == 0 { anchor } else { format!("{anchor}-{earlier}") }
}

/// The text with links from error codes to their pages.
fn linked(text: &str, codes: &BTreeSet<String>) -> String {
    let parts = text.split('`').enumerate().map(|(at, part)| {
        if at % 2 == 0 {
            part.to_owned()
        } else if codes.contains(part) {
            format!("[`{part}`](../errors/{part}.md)")
        } else {
            format!("`{part}`")
        }
    });
    parts.collect()
}

/// The page that leads to all others.
pub fn index(namespaces: &[Namespace]) -> String {
    let mut page = format!(
        "{GENERATED}\n# The SDK\n\n\
         What scripts can call, namespace by namespace. How errors, options and pages of lists \
         work, and what to know of each service, is in [sdk-shape.md](../sdk-shape.md); what each \
         error code means is in [errors/](../errors/README.md).\n\n\
         Every example is a test of the app in [examples/](examples): `picloud test \
         docs/sdk/examples` runs them. [sdk.d.rhai](sdk.d.rhai) is the same reference for editors; \
         `picloud init` puts it where they find it.\n"
    );
    for namespace in namespaces {
        let Namespace { name, doc, .. } = namespace;
        let contents = contents(namespace, &format!("{name}.md"));
        write!(page, "\n## [{name}]({name}.md)\n\n{doc}\n\n{contents}\n").unwrap();
    }
    page
}
