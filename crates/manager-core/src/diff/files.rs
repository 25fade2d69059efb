//! Which files are different, and how.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Serialize;
use similar::{ChangeTag, DiffableStr as _, TextDiff};

/// A file of more bytes, before or after, is told by its size alone.
const MAX_FILE_BYTES: usize = 256 << 10;
/// Bytes that the texts of all files' differences may have together.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Lines that are compared of all files together, both sides counted. Texts that
/// have everything in common but the order take some 10 µs a line.
const MAX_LINES: usize = 100_000;

/// A file that is not the same in both releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileDiff {
    pub path: String,
    pub change: Change,
    /// Before; not of a file that is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_bytes: Option<u64>,
    /// After; not of a file that is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_bytes: Option<u64>,
    #[serde(flatten)]
    pub contents: Contents,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
// The name `Change` is the audit log's in the API.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FileChange))]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Added,
    Removed,
    Changed,
}

/// What is different in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Contents {
    Text {
        added_lines: u64,
        removed_lines: u64,
        /// A unified diff with its header, so that those of several files after
        /// one another are a patch.
        diff: String,
    },
    Omitted {
        omitted: Omitted,
    },
}

/// Why a file's difference is not shown as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Omitted {
    /// It is no text.
    Binary,
    /// The file is too large.
    TooLarge,
    /// The other files' differences have taken all the room.
    NoRoom,
}

/// How much of the texts can still be compared and shown.
struct Room {
    lines: usize,
    bytes: usize,
}

/// Every file that is different.
pub(super) fn diff(from: &BTreeMap<String, Bytes>, to: &BTreeMap<String, Bytes>) -> Vec<FileDiff> {
    let paths: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let mut room = Room { lines: MAX_LINES, bytes: MAX_TEXT_BYTES };
    let file = |path: &String| {
        let (from, to) = (from.get(path), to.get(path));
        if from == to {
            return None;
        }
        let change = match (from, to) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            _ => Change::Changed,
        };
        let bytes = |contents: &Bytes| contents.len() as u64;
        Some(FileDiff {
            path: path.clone(),
            change,
            from_bytes: from.map(bytes),
            to_bytes: to.map(bytes),
            contents: contents(path, from, to, &mut room),
        })
    };
    paths.into_iter().filter_map(file).collect()
}

fn contents(path: &str, from: Option<&Bytes>, to: Option<&Bytes>, room: &mut Room) -> Contents {
    let sides = [from, to].into_iter().flatten();
    if sides.clone().any(|side| side.len() > MAX_FILE_BYTES) {
        return Contents::Omitted { omitted: Omitted::TooLarge };
    }
    // Where there is no file, there is no text.
    let [old, new] = [from, to].map(|side| side.map_or(Some(""), |contents| text(contents)));
    let (Some(old), Some(new)) = (old, new) else {
        return Contents::Omitted { omitted: Omitted::Binary };
    };
    let lines = old.tokenize_lines().len() + new.tokenize_lines().len();
    let Some(lines) = room.lines.checked_sub(lines) else {
        return Contents::Omitted { omitted: Omitted::NoRoom };
    };
    room.lines = lines;
    let compared = TextDiff::from_lines(old, new);
    let (mut added_lines, mut removed_lines) = (0, 0);
    for change in compared.iter_all_changes() {
        match change.tag() {
            ChangeTag::Insert => added_lines += 1,
            ChangeTag::Delete => removed_lines += 1,
            ChangeTag::Equal => {}
        }
    }
    let name = |side: Option<&Bytes>, prefix: &str| match side {
        Some(_) => format!("{prefix}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let diff = compared.unified_diff().header(&name(from, "a"), &name(to, "b")).to_string();
    let Some(bytes) = room.bytes.checked_sub(diff.len()) else {
        return Contents::Omitted { omitted: Omitted::NoRoom };
    };
    room.bytes = bytes;
    Contents::Text { added_lines, removed_lines, diff }
}

/// A file's contents as text, if they can be shown as such: UTF-8 without a NUL.
#[must_use]
pub fn text(contents: &[u8]) -> Option<&str> {
    std::str::from_utf8(contents).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &[u8])]) -> BTreeMap<String, Bytes> {
        let file =
            |(path, bytes): &(&str, &[u8])| ((*path).to_owned(), Bytes::copy_from_slice(bytes));
        files.iter().map(file).collect()
    }

    /// The difference of one file.
    fn one(from: Option<&[u8]>, to: Option<&[u8]>) -> FileDiff {
        let side = |side: Option<&[u8]>| {
            files(&side.map(|side| ("a.txt", side)).into_iter().collect::<Vec<_>>())
        };
        diff(&side(from), &side(to)).pop().unwrap()
    }

    fn omitted(from: &[u8], to: &[u8]) -> Option<Omitted> {
        match one(Some(from), Some(to)).contents {
            Contents::Omitted { omitted } => Some(omitted),
            Contents::Text { .. } => None,
        }
    }

    #[test]
    fn what_is_the_same_is_left_out_and_the_rest_is_in_order() {
        let from = files(&[("b", b"1"), ("a", b"1"), ("gone", b"1"), ("same", b"1")]);
        let to = files(&[("b", b"2"), ("a", b"2"), ("same", b"1"), ("new", b"1")]);
        let seen: Vec<_> =
            diff(&from, &to).into_iter().map(|file| (file.path, file.change)).collect();
        let expected = [
            ("a", Change::Changed),
            ("b", Change::Changed),
            ("gone", Change::Removed),
            ("new", Change::Added),
        ];
        assert_eq!(seen, expected.map(|(path, change)| (path.to_owned(), change)));
        assert_eq!(diff(&from, &from), []);
    }

    #[test]
    fn a_text_is_shown_as_a_patch() {
        let changed = one(Some(b"one\ntwo\nthree\n"), Some(b"one\n2\nthree\nfour"));
        let diff = "--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n three\n+four\n\
                    \\ No newline at end of file\n";
        let diff = diff.to_owned();
        assert_eq!(changed.contents, Contents::Text { added_lines: 2, removed_lines: 1, diff });
        assert_eq!((changed.from_bytes, changed.to_bytes), (Some(14), Some(16)));

        let added = one(None, Some(b"one\n"));
        let diff = "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+one\n".to_owned();
        assert_eq!(added.contents, Contents::Text { added_lines: 1, removed_lines: 0, diff });
        assert_eq!((added.from_bytes, added.to_bytes), (None, Some(4)));

        let removed = one(Some(b"one\n"), None);
        let diff = "--- a/a.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n".to_owned();
        assert_eq!(removed.contents, Contents::Text { added_lines: 0, removed_lines: 1, diff });
        assert_eq!((removed.from_bytes, removed.to_bytes), (Some(4), None));
    }

    #[test]
    fn what_is_no_text_or_too_large_is_told_by_its_size() {
        assert_eq!(omitted(b"a", b"b"), None);
        assert_eq!(omitted(b"a", b"\xff"), Some(Omitted::Binary));
        assert_eq!(omitted(b"a\0", b"b"), Some(Omitted::Binary));
        let most = vec![b'a'; MAX_FILE_BYTES];
        assert_eq!(omitted(b"a", &most), None);
        assert_eq!(omitted(b"a", &[&most[..], b"a"].concat()), Some(Omitted::TooLarge));
        assert_eq!(omitted(&[&most[..], b"\xff"].concat(), b"a"), Some(Omitted::TooLarge));
    }

    #[test]
    fn all_texts_together_are_bounded_and_small_ones_still_find_room() {
        let large = vec![b'a'; MAX_FILE_BYTES - 100];
        let mut to = files(&[("z", b"small")]);
        to.extend((0..9).map(|n| (format!("{n}"), Bytes::copy_from_slice(&large))));
        let diffs = diff(&BTreeMap::new(), &to);
        let shown: usize = diffs
            .iter()
            .map(|file| match &file.contents {
                Contents::Text { diff, .. } => diff.len(),
                Contents::Omitted { omitted } => {
                    assert_eq!(*omitted, Omitted::NoRoom);
                    0
                }
            })
            .sum();
        assert!((MAX_TEXT_BYTES / 2..=MAX_TEXT_BYTES).contains(&shown), "{shown}");
        assert_eq!(diffs.len(), 10);
        assert!(matches!(diffs[9].contents, Contents::Text { .. }));
    }

    #[test]
    fn lines_that_are_compared_are_bounded() {
        // A carriage return alone ends a line, too.
        for end in ["\n", "\r\n", "\r"] {
            let lines = |of: &str| Bytes::from(format!("{of}{end}").repeat(20_000));
            let side = |of: &str| (0..4).map(|n| (format!("{n}"), lines(of))).collect();
            let diffs = diff(&side("a"), &side("b"));
            let is_text = |file: &FileDiff| matches!(file.contents, Contents::Text { .. });
            let shown: Vec<_> = diffs.iter().map(is_text).collect();
            assert_eq!(shown, [true, true, false, false], "{end:?}");
        }
    }
}
