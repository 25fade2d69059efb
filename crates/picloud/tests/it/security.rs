//! `docs/SECURITY.md`: each promise of its table names tests, and they exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Promises and the functions that are named for them.
fn promises(page: &str) -> Vec<(&str, BTreeSet<&str>)> {
    let (_, section) = page.split_once("\n## What is promised\n").expect("it has the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| **"));
    rows.map(|row| {
        let [promise, _wall, tests] = cells(row);
        (promise, tests.split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

fn cells(row: &str) -> [&str; 3] {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    cells.try_into().unwrap_or_else(|cells| panic!("this row has not three cells: {cells:?}"))
}

/// The functions that this source has for tests: all of them in `tests.rs` and
/// in a folder of tests, and those below `#[cfg(test)]` in any other file.
fn functions(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let is_tests =
        path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
    let tests =
        if is_tests { &*text } else { text.split_once("#[cfg(test)]").unwrap_or_default().1 };
    let names = tests.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
    names.map(|(name, _)| name.to_owned()).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_promise_names_tests_and_every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["crates", "guest", "host"] {
        sources(&root.join(folder), &mut files);
    }
    let existing: BTreeSet<String> = files.iter().flat_map(|path| functions(path)).collect();

    let promises = promises(&page);
    assert!(promises.len() > 20, "the table is not read as it should: {promises:?}");
    for (promise, tests) in promises {
        assert!(!tests.is_empty(), "no test is named for {promise}");
        let missing: Vec<_> = tests.iter().filter(|test| !existing.contains(**test)).collect();
        assert!(missing.is_empty(), "there are no such tests: {missing:?}, for {promise}");
    }
}
