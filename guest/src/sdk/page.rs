//! What lists have in common: a range that is asked for, a page that comes.

use rhai::{Array, Dynamic, Map};

use super::Result;
use super::options::Options;

/// Items that a list returns unless a `limit` says otherwise.
const DEFAULT_PAGE: u32 = 100;
/// The most that the host returns at once.
const MAX_PAGE: u32 = 1_000;

/// What part of a list is asked for.
pub(crate) struct Range {
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
}

impl Default for Range {
    fn default() -> Self {
        Self { prefix: String::new(), after: None, limit: DEFAULT_PAGE }
    }
}

impl Range {
    /// What starts with this.
    pub(crate) fn of_prefix(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// `#{prefix, after, limit}`
    pub(crate) fn from_options(service: &'static str, options: Map) -> Result<Self> {
        let mut options = Options::new(service, options, &["prefix", "after", "limit"])?;
        let limit = match options.positive("limit")? {
            // A larger limit is not an error: `next` tells that there is more.
            Some(limit) => u32::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE),
            None => DEFAULT_PAGE,
        };
        let prefix = options.string("prefix")?.unwrap_or_default();
        Ok(Self { prefix, after: options.string("after")?, limit })
    }
}

/// `#{items, next}`
pub(crate) fn page(items: Array, next: Option<String>) -> Map {
    let next = next.map_or(Dynamic::UNIT, Into::into);
    Map::from([("items".into(), items.into()), ("next".into(), next)])
}
