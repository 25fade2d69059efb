//! The paths that routes have.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// Bytes that a pattern may have.
const MAX_PATTERN_BYTES: usize = 1_024;

/// A route's path: `/posts/{id}`, `/docs/{*rest}`. What is not a parameter is
/// text as it is after percent-decoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

/// A part of a pattern, between slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    Text(&'a str),
    /// `{name}`
    Parameter,
    /// `{*name}`
    Rest,
}

/// Why a text is no [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("a route's path starts with a slash and has at most {MAX_PATTERN_BYTES} bytes")]
    Shape,
    #[error("a route's path has no empty, `.` or `..` segment and no slash at its end")]
    Segment,
    #[error("a route's path has no control characters and none of % ? # \\")]
    Character,
    #[error("a parameter is a whole segment: {{name}}, or {{*name}} for the rest of the path")]
    Parameter,
    #[error("{{*name}} stands for the rest of the path, so nothing can follow it")]
    NotLast,
    #[error("two parameters of one path have the same name")]
    Duplicate,
}

impl Pattern {
    pub(super) fn root() -> Self {
        Self("/".to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, without the parameters' names; `/` has none.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let segments = self.0.split('/').skip(1).filter(|segment| !segment.is_empty());
        segments.map(|segment| match parameter(segment) {
            Some((_, true)) => Segment::Rest,
            Some((_, false)) => Segment::Parameter,
            None => Segment::Text(segment),
        })
    }

    /// The pattern without its parameters' names: what it matches.
    pub(super) fn shape(&self) -> String {
        let shape_of = |segment| match segment {
            Segment::Rest => "/{*}".to_owned(),
            Segment::Parameter => "/{}".to_owned(),
            Segment::Text(text) => format!("/{text}"),
        };
        let shape: String = self.segments().map(shape_of).collect();
        if shape.is_empty() { "/".to_owned() } else { shape }
    }

    pub(super) fn has_parameters(&self) -> bool {
        self.0.contains('{')
    }
}

/// A parameter's name, and whether it stands for the rest of the path.
fn parameter(segment: &str) -> Option<(&str, bool)> {
    let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.strip_prefix('*').map_or((inner, false), |rest| (rest, true)))
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let path = text.strip_prefix('/').ok_or(InvalidPattern::Shape)?;
        if text.len() > MAX_PATTERN_BYTES {
            return Err(InvalidPattern::Shape);
        }
        if text.chars().any(|c| c.is_control() || "%?#\\".contains(c)) {
            return Err(InvalidPattern::Character);
        }
        let mut names = BTreeSet::new();
        let mut ended = false;
        for segment in path.split('/').filter(|_| !path.is_empty()) {
            if ended {
                return Err(InvalidPattern::NotLast);
            }
            if matches!(segment, "" | "." | "..") {
                return Err(InvalidPattern::Segment);
            }
            match parameter(segment) {
                Some((name, rest)) if is_name(name) => {
                    ended = rest;
                    if !names.insert(name) {
                        return Err(InvalidPattern::Duplicate);
                    }
                }
                None if !segment.contains(['{', '}']) => {}
                _ => return Err(InvalidPattern::Parameter),
            }
        }
        Ok(Self(text.to_owned()))
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_decoded_segments_one_by_one() {
        for bad in [
            "", "a", "/a/", "//", "/a//b", "/..", "/{a", "/a{b}", "/{*a}/b", "/%41", "/{a}/{a}",
            "/\0",
        ] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
        for good in ["/", "/a", "/{a}/{*b}", "/a b/ä"] {
            assert!(good.parse::<Pattern>().is_ok(), "{good:?}");
        }
    }
}
