//! A KV range as an interval of keys, so that an index can answer it.

use picloud_shared::kv::{MAX_KEY_BYTES, Range};

/// `lower <= key < upper`, in the order of the keys' UTF-8 bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub lower: String,
    pub upper: String,
}

impl Bounds {
    /// `None` if no key can be in the range. The range's texts are a script's:
    /// they need not be keys.
    pub(crate) fn of(range: &Range<'_>) -> Option<Self> {
        // No key has a NUL in it, and PostgreSQL takes no text that has.
        if range.prefix.contains('\0') {
            return None;
        }
        let lower = match range.after {
            Some(after) if after >= range.prefix => successor_of_key(after),
            _ => range.prefix.to_owned(),
        };
        Some(Self { lower, upper: successor_of_prefix(range.prefix) })
    }
}

/// A text after `key` with no other key between them: keys have no control
/// characters, so appending the least one that PostgreSQL takes leaves no room.
fn successor_of_key(key: &str) -> String {
    // For the same reason nothing that follows a NUL can matter.
    let end = key.find('\0').unwrap_or(key.len());
    let mut text = key.get(..end).unwrap_or(key).to_owned();
    text.push('\u{1}');
    text
}

/// The least text that is greater than every text that starts with `prefix`.
fn successor_of_prefix(prefix: &str) -> String {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = successor_of_char(last) {
            text.push(next);
            return text;
        }
    }
    // Longer than any key of the greatest character, so it comes after them all.
    char::MAX.to_string().repeat(MAX_KEY_BYTES / char::MAX.len_utf8() + 1)
}

fn successor_of_char(c: char) -> Option<char> {
    match c {
        // What would be between them are surrogates, which are no characters.
        '\u{D7FF}' => Some('\u{E000}'),
        _ => char::from_u32(u32::from(c) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(prefix: &str, after: Option<&str>) -> (String, String) {
        let bounds = Bounds::of(&Range { prefix, after, limit: 1 }).unwrap();
        (bounds.lower, bounds.upper)
    }

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(bounds("ab", None), ("ab".into(), "ac".into()));
        assert_eq!(bounds("a\u{D7FF}", None).1, "a\u{E000}");
        assert_eq!(bounds("a\u{10FFFF}", None).1, "b");
        assert_eq!(bounds("\u{7F}", None).1, "\u{80}");
    }

    #[test]
    fn without_a_prefix_there_is_no_end_before_the_longest_greatest_key() {
        let greatest = "\u{10FFFF}".repeat(128);
        for prefix in ["", "\u{10FFFF}", &greatest] {
            assert!(bounds(prefix, None).1 > greatest);
        }
    }

    #[test]
    fn a_page_begins_after_its_cursor_and_never_before_its_prefix() {
        let (lower, _) = bounds("b", Some("ba"));
        assert!(lower.as_str() > "ba" && lower.as_str() < "ba\u{20}");
        assert_eq!(bounds("b", Some("a")).0, "b");
        assert_eq!(bounds("b", Some("c")), ("c\u{1}".into(), "c".into()), "an empty interval");
    }

    #[test]
    fn a_nul_is_in_no_key() {
        assert_eq!(Bounds::of(&Range { prefix: "a\0", after: None, limit: 1 }), None);
        assert_eq!(bounds("", Some("a\0b")).0, "a\u{1}");
    }
}
