//! The examples: functions `test_*` of an app's tests, and the app's files that
//! they use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Entry;

/// The app's files by their paths.
pub struct Examples(BTreeMap<String, String>);

/// A function of a file of tests.
pub struct Example<'a> {
    pub name: &'a str,
    /// Without the function around it.
    pub body: String,
}

/// Calls that use a file of the app, and which of their strings names it.
const USES: &[(&str, usize)] = &[
    ("app::request(", 1),
    ("app::invoke(", 0),
    ("template::render(", 0),
    // A comment's words: which trigger calls which file is in picloud.toml.
    ("// Handled by ", 0),
];

impl Examples {
    pub fn read(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        read(folder, "", &mut files);
        Self(files)
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every example of a namespace.
    pub fn of(&self, namespace: &str) -> Vec<Example<'_>> {
        let mut examples = Vec::new();
        let mut lines = self.file_of(namespace).lines();
        while let Some(line) = lines.next() {
            let Some((name, _)) = line.strip_prefix("fn ").and_then(|rest| rest.split_once('('))
            else {
                continue;
            };
            let body: Vec<&str> = lines
                .by_ref()
                .take_while(|line| *line != "}")
                .map(|line| line.strip_prefix("    ").unwrap_or(line))
                .collect();
            if name.starts_with("test_") {
                examples.push(Example { name, body: body.join("\n") });
            }
        }
        examples
    }

    /// What a namespace's file does before each of its examples: its first lines,
    /// which are no function.
    pub fn before(&self, namespace: &str) -> String {
        let lines = self.file_of(namespace).lines();
        let before: Vec<&str> = lines.take_while(|line| !line.starts_with("fn ")).collect();
        before.join("\n").trim().to_owned()
    }

    fn file_of(&self, namespace: &str) -> &str {
        self.0.get(&format!("tests/{namespace}.rhai")).map_or("", String::as_str)
    }

    pub fn get(&self, entry: &Entry) -> Option<Example<'_>> {
        self.of(entry.namespace).into_iter().find(|example| example.name == entry.example())
    }

    /// The files that a reader must see to understand an example: scripts that
    /// it sends requests to or invokes, templates that it renders.
    pub fn files_used_by(&self, example: &Example<'_>) -> Vec<(&str, &str)> {
        let names: Vec<&str> = USES
            .iter()
            .flat_map(|(call, nth)| {
                let calls = example.body.match_indices(call);
                calls.filter_map(move |(at, _)| example.body[at..].split('"').nth(2 * nth + 1))
            })
            .map(|name| name.split(['?', '#']).next().unwrap_or(name))
            .collect();
        let is_used = |path: &str| names.iter().any(|name| leads_to(name, path));
        let files = self.0.iter().filter(|(path, _)| is_used(path));
        files.map(|(path, text)| (path.as_str(), text.as_str())).collect()
    }
}

/// Whether a name, as scripts write it, is that file's: `/orders/7` leads to
/// `orders/[id].rhai`, and `order.html` to `templates/order.html`.
fn leads_to(name: &str, path: &str) -> bool {
    let Some(url) = name.strip_prefix('/') else {
        return path == name || path.strip_prefix("templates/") == Some(name);
    };
    let Some(route) = path.strip_suffix(".rhai") else { return false };
    let route = route.strip_suffix("/index").unwrap_or(route);
    let (mut url, mut route) = (url.split('/'), route.split('/'));
    loop {
        match (url.next(), route.next()) {
            (None, None) => return true,
            (Some(segment), Some(part)) if segment == part || part.starts_with('[') => {}
            _ => return false,
        }
    }
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        // `picloud test` keeps a cache in a hidden folder.
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &format!("{path}/"), files);
        } else {
            files.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}
