//! KV: JSON values under `(app, collection, key)`.
//!
//! Two traits meet here. [`Kv`] is what a script sees, bound to one app and one
//! invocation: it names no app. [`KvStore`] is what outlives the invocation:
//! its every method names the app first. The unit of work stands between them.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::{AppId, Budget, StoreError};

/// Bytes of JSON that one value may have.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Bytes of UTF-8 that one key may have.
pub const MAX_KEY_BYTES: usize = 512;
/// Entries that one page of a list may hold.
pub const MAX_PAGE: u32 = 1_000;
/// A list stops early once it has this many bytes of keys and values, so that
/// a page of large values cannot fill the host's memory.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// A collection's name: `[A-Za-z0-9_.-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Collection(String);

/// An entry's key: 1 to 512 bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Collection {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Collection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ok = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if ok { Ok(Self(text.to_owned())) } else { Err(Error::InvalidCollection) }
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ok = (1..=MAX_KEY_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if ok { Ok(Self(text.to_owned())) } else { Err(Error::InvalidKey) }
    }
}

/// Keys compare as their text does, so a map of keys can be asked for a text.
impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a KV call failed, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a collection's name has 1 to 64 characters of A-Z a-z 0-9 _ . -")]
    InvalidCollection,
    #[error("a key has 1 to {MAX_KEY_BYTES} bytes of UTF-8 and no control characters")]
    InvalidKey,
    /// Not JSON, or JSON holding a NUL character, which PostgreSQL cannot store.
    #[error("{0}")]
    InvalidValue(String),
    #[error("a value has at most {MAX_VALUE_BYTES} bytes of JSON, this one has {0}")]
    ValueTooLarge(usize),
    #[error("the app's KV storage quota is used up; delete entries or ask an admin for more")]
    QuotaExceeded,
    /// The invocation is over: a script may not catch this.
    #[error("the invocation used up its budget of {0}")]
    BudgetExceeded(Budget),
    /// The store failed: the host's fault, never the script's.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// Key and JSON value, in the order of the keys' bytes.
    pub entries: Vec<(String, String)>,
    /// The key to pass as `after` for the next page; `None` on the last.
    pub next: Option<String>,
}

/// What a script can do with KV. Each instance is bound to one app and one
/// invocation by whoever makes it; texts come from the script and are hostile.
#[async_trait]
pub trait Kv: Send + Sync {
    /// The entry's JSON, `None` when there is no such entry.
    async fn get(&self, collection: &str, key: &str) -> Result<Option<String>, Error>;

    /// Writes an entry; with `ttl_s` it ceases to exist after that many seconds.
    async fn set(
        &self,
        collection: &str,
        key: &str,
        value: String,
        ttl_s: Option<u64>,
    ) -> Result<(), Error>;

    /// Whether there was an entry to delete.
    async fn delete(&self, collection: &str, key: &str) -> Result<bool, Error>;

    /// Entries whose key starts with `prefix` and comes after `after`, at most
    /// `limit` (clamped to [`MAX_PAGE`]), or fewer if they are large
    /// ([`MAX_PAGE_BYTES`]): whether there are more is for `next` to say.
    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, Error>;

    /// How many entries the collection has.
    async fn count(&self, collection: &str) -> Result<u64, Error>;

    /// Deletes every entry of the collection.
    async fn clear(&self, collection: &str) -> Result<(), Error>;
}

/// An entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// JSON text.
    pub value: String,
    /// Grows with every write in the store and is never used twice, so that an
    /// entry deleted and made again does not look unchanged.
    pub version: i64,
    /// Unix time in milliseconds from which the entry no longer exists.
    pub expires_at_ms: Option<u64>,
}

/// What an invocation saw of an entry before it wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It did not look: the write wins over whatever is there.
    Unread,
    /// There was no live entry.
    Absent,
    /// This version was live.
    Version(i64),
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Set {
        /// JSON text.
        value: String,
        expires_at_ms: Option<u64>,
    },
    Delete,
}

/// One entry's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub collection: Collection,
    pub key: Key,
    pub seen: Seen,
    pub change: Change,
}

/// What one invocation changed of KV.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WriteSet {
    /// Collections to empty before anything is written, and after every `seen`
    /// has been checked.
    pub clears: Vec<Collection>,
    /// At most one write per entry.
    pub writes: Vec<Write>,
}

impl WriteSet {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clears.is_empty() && self.writes.is_empty()
    }
}

/// What a range of a collection is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range<'a> {
    /// Keys start with this, compared byte for byte: no character is special.
    pub prefix: &'a str,
    /// Keys come after this one, in the order of their UTF-8 bytes.
    pub after: Option<&'a str>,
    /// At most this many.
    pub limit: u32,
}

/// What a store lists.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listed {
    /// In the order of the keys' bytes.
    pub entries: Vec<(Key, Entry)>,
    /// Whether the range goes on after the last of them.
    pub more: bool,
}

/// Where entries are kept. They change by
/// [`UnitStore::commit`](crate::unit::UnitStore::commit).
///
/// An entry whose time has come (`expires_at_ms <= now_ms`) does not exist for
/// any method, whether or not its row has been removed yet.
#[async_trait]
pub trait KvStore: Send + Sync {
    async fn get(
        &self,
        app: AppId,
        collection: &Collection,
        key: &Key,
        now_ms: u64,
    ) -> Result<Option<Entry>, StoreError>;

    /// The first entries of a range. It ends at the range's limit, or with the
    /// entry that makes up [`MAX_PAGE_BYTES`].
    async fn list(
        &self,
        app: AppId,
        collection: &Collection,
        range: Range<'_>,
        now_ms: u64,
    ) -> Result<Listed, StoreError>;

    async fn count(
        &self,
        app: AppId,
        collection: &Collection,
        now_ms: u64,
    ) -> Result<u64, StoreError>;

    /// Names of the collections that have a live entry, with the number of them.
    async fn collections(
        &self,
        app: AppId,
        now_ms: u64,
    ) -> Result<Vec<(Collection, u64)>, StoreError>;

    /// Bytes that the app's live entries take: of each, its collection's, key's
    /// and value's UTF-8.
    async fn usage(&self, app: AppId, now_ms: u64) -> Result<u64, StoreError>;

    /// Removes up to `limit` rows, of any app, whose time has come, and says
    /// when the next one's will: `None` if no row has a time.
    async fn purge_expired(&self, now_ms: u64, limit: u32) -> Result<Option<u64>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_and_keys_refuse_what_no_index_should_meet() {
        for good in ["a", "A-b_c.9", &"x".repeat(64)] {
            assert!(good.parse::<Collection>().is_ok(), "{good}");
        }
        for bad in ["", "a/b", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<Collection>().is_err(), "{bad:?}");
        }
        for good in ["a", "../", "other:k", "%_", "é", "e\u{301}", &"x".repeat(512)] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        for bad in ["", "a\0", "a\nb", "\u{85}", &"x".repeat(513)] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
    }
}
