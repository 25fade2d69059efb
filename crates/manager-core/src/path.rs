//! Which paths a file of an app may have.

use crate::Error;

/// Bytes that a whole path may have.
pub const MAX_PATH_BYTES: usize = 255;

/// Checks a file's path within its app: relative, divided by `/`, and nothing
/// in it that a file system, a URL or a terminal would take for a command.
///
/// # Errors
/// [`Error::InvalidPath`], which says what is wrong.
pub fn check(path: &str) -> Result<(), Error> {
    let reason = if path.is_empty() {
        "is empty"
    } else if path.len() > MAX_PATH_BYTES {
        "has more than 255 bytes"
    } else if path.starts_with('/') {
        "starts with a slash"
    } else if path.contains('\\') {
        "has a backslash"
    } else if path.chars().any(char::is_control) {
        "has a control character"
    } else if path.split('/').any(str::is_empty) {
        "has an empty segment"
    } else if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has a segment `.` or `..`"
    } else {
        return Ok(());
    };
    Err(Error::InvalidPath { path: path.chars().take(MAX_PATH_BYTES).collect(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_its_app() {
        for good in [
            "a",
            "index.rhai",
            "posts/[id].rhai",
            "public/a b/größe.png",
            ".well-known/x",
            "..a",
            "a..",
            "C:x",
            &"a".repeat(255),
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("", "is empty"),
            ("/etc/passwd", "starts with a slash"),
            ("//x", "starts with a slash"),
            ("..", "`..`"),
            (".", "`.`"),
            ("../x", "`..`"),
            ("a/../b", "`..`"),
            ("a/./b", "`.`"),
            ("a/..", "`..`"),
            ("a//b", "empty segment"),
            ("a/", "empty segment"),
            ("..\\x", "backslash"),
            ("a\0b", "control character"),
            ("a\nb", "control character"),
            ("a\u{1b}[2J", "control character"),
            ("a\u{85}", "control character"),
            (&"a".repeat(256), "more than 255"),
        ] {
            let error = check(bad).expect_err(bad);
            assert_eq!(error.code(), "invalid_path");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
