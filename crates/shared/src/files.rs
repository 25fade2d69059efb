//! Files: bytes under `(app, bucket, path)`.
//!
//! [`Files`] is what a script sees, bound to one app and one invocation.
//! [`FileStore`] keeps what is known of each file, in the database and in the
//! unit of work; [`Contents`] keeps the bytes, addressed by their hash within
//! the app. What is written becomes visible with the transaction that names it.

use std::fmt;
use std::io;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::kv::{Range, Seen};
use crate::{AppId, BlobHash, Budget, StoreError};

/// Bytes that a file written by a script may have. What the control plane
/// writes is streamed and bounded by the app's quota alone.
pub const MAX_BYTES: usize = 6 << 20;
/// Bytes of UTF-8 that a path may have.
pub const MAX_PATH_BYTES: usize = 512;
/// Files that one page of a list may hold.
pub const MAX_PAGE: u32 = 1_000;
/// Files that one invocation may write or delete: each is flushed to the disk.
pub const MAX_WRITES: usize = 100;
/// Seconds for which a signed URL may be valid: a week.
pub const MAX_URL_TTL_S: u64 = 7 * 24 * 60 * 60;
/// Seconds for which it is valid if the script does not say.
pub const DEFAULT_URL_TTL_S: u64 = 60 * 60;

/// The content type that a path's extension stands for.
#[must_use]
pub fn content_type_of(path: &str) -> String {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let charset = if guess.type_() == mime_guess::mime::TEXT { "; charset=utf-8" } else { "" };
    format!("{guess}{charset}")
}

/// A bucket's name: `[A-Za-z0-9_.-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(String);

/// A file's path within its bucket: segments with slashes between them. It
/// never is a path of the host's file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(String);

impl Bucket {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Path {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Bucket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ok = (1..=64).contains(&text.len())
            && !text.bytes().all(|b| b == b'.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if ok { Ok(Self(text.to_owned())) } else { Err(Error::InvalidBucket) }
    }
}

impl FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ok = text.len() <= MAX_PATH_BYTES
            && !text.contains(|c: char| c.is_control() || c == '\\')
            && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if ok { Ok(Self(text.to_owned())) } else { Err(Error::InvalidPath) }
    }
}

impl std::borrow::Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a call failed, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a bucket's name has 1 to 64 characters of A-Z a-z 0-9 _ . -")]
    InvalidBucket,
    #[error(
        "a path has 1 to {MAX_PATH_BYTES} bytes, no control character or backslash, and no \
         empty, `.` or `..` segment"
    )]
    InvalidPath,
    #[error("a content type is written like image/png")]
    InvalidContentType,
    #[error("a script writes at most {MAX_BYTES} bytes at once, these are {0}")]
    TooLarge(usize),
    #[error("the app's space for files is used up; delete some or ask an admin for more")]
    QuotaExceeded,
    /// The invocation is over: a script may not catch this.
    #[error("the invocation used up its budget of {0}")]
    BudgetExceeded(Budget),
    /// The store failed: the host's fault, never the script's.
    #[error("the store is unavailable")]
    Unavailable(#[source] StoreError),
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub bytes: u64,
    pub hash: BlobHash,
    pub content_type: String,
    /// Unix time in milliseconds.
    pub modified_ms: u64,
}

impl Info {
    /// The strong entity tag, with its quotes.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash)
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// In the order of the paths' bytes.
    pub files: Vec<(String, Info)>,
    /// The path to pass as `after` for the next page; `None` on the last.
    pub next: Option<String>,
}

/// What a script can do with files. Texts come from the script and are hostile.
#[async_trait]
pub trait Files: Send + Sync {
    /// Writes a file; without a content type its path's extension decides.
    async fn put(
        &self,
        bucket: &str,
        path: &str,
        contents: Bytes,
        content_type: Option<String>,
    ) -> Result<Info, Error>;

    async fn get(&self, bucket: &str, path: &str) -> Result<Option<Bytes>, Error>;

    async fn info(&self, bucket: &str, path: &str) -> Result<Option<Info>, Error>;

    /// Files whose path starts with `prefix` and comes after `after`, at most
    /// `limit`, clamped to [`MAX_PAGE`].
    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, Error>;

    /// Whether there was a file to delete.
    async fn delete(&self, bucket: &str, path: &str) -> Result<bool, Error>;

    /// A URL for whoever is to download the file within `ttl_s` seconds,
    /// clamped to [`MAX_URL_TTL_S`].
    fn url(&self, bucket: &str, path: &str, ttl_s: Option<u64>) -> Result<String, Error>;
}

/// A file as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub info: Info,
    /// Grows with every write and is never used twice.
    pub version: i64,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Info),
    Delete,
}

/// One file's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub bucket: Bucket,
    pub path: Path,
    /// What the invocation saw of the file before.
    pub seen: Seen,
    pub change: Change,
}

/// What a store lists.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listed {
    /// In the order of the paths' bytes.
    pub files: Vec<(Path, Entry)>,
    /// Whether the range goes on after the last of them.
    pub more: bool,
}

/// Where is kept what is known of files. They change by
/// [`UnitStore::commit`](crate::unit::UnitStore::commit).
#[async_trait]
pub trait FileStore: Send + Sync {
    async fn get(
        &self,
        app: AppId,
        bucket: &Bucket,
        path: &Path,
    ) -> Result<Option<Entry>, StoreError>;

    /// The first files of a range, `range.limit` at most.
    async fn list(
        &self,
        app: AppId,
        bucket: &Bucket,
        range: Range<'_>,
    ) -> Result<Listed, StoreError>;

    /// Names of the buckets that have a file, with their number of files.
    async fn buckets(&self, app: AppId) -> Result<Vec<(Bucket, u64)>, StoreError>;

    /// Sum of the bytes of the app's files.
    async fn usage(&self, app: AppId) -> Result<u64, StoreError>;

    /// Those of `hashes` that a file of the app has.
    async fn referenced(
        &self,
        app: AppId,
        hashes: &[BlobHash],
    ) -> Result<Vec<BlobHash>, StoreError>;
}

/// A file's bytes, piece by piece.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// Bytes on their way into [`Contents`], in nobody's sight. Dropped, they are
/// gone, and so they are when the process dies.
#[async_trait]
pub trait Staged: Send + Sync {
    fn hash(&self) -> BlobHash;
    fn bytes(&self) -> u64;

    /// The bytes, for who wrote them to read.
    async fn read(&self) -> Result<Bytes, StoreError>;

    /// Puts the bytes under their hash; they are durable when this returns.
    /// Whether they were not there before. Not to be called twice.
    async fn keep(&self) -> Result<bool, StoreError>;
}

/// Where files' bytes are kept, addressed by their hash within the app: whether
/// another app has the same bytes can neither be seen nor timed.
#[async_trait]
pub trait Contents: Send + Sync {
    /// Takes bytes that are at hand.
    async fn stage(&self, app: AppId, contents: Bytes) -> Result<Box<dyn Staged>, StoreError>;

    /// Takes pieces of at most `max_bytes`.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`] as soon as there are more.
    async fn stage_pieces(
        &self,
        app: AppId,
        pieces: Pieces,
        max_bytes: u64,
    ) -> Result<Box<dyn Staged>, StoreError>;

    async fn read(&self, app: AppId, hash: BlobHash) -> Result<Option<Bytes>, StoreError>;

    /// The bytes from `offset` on, piece by piece.
    async fn open(
        &self,
        app: AppId,
        hash: BlobHash,
        offset: u64,
    ) -> Result<Option<Pieces>, StoreError>;

    /// Removes contents that no file has any more.
    async fn remove(&self, app: AppId, hashes: &[BlobHash]) -> Result<(), StoreError>;

    /// Apps of which there are contents.
    async fn apps(&self) -> Result<Vec<AppId>, StoreError>;

    /// The hashes that were put before `before_ms`, Unix time.
    async fn older_than(&self, app: AppId, before_ms: u64) -> Result<Vec<BlobHash>, StoreError>;

    /// Removes all that an app has.
    async fn remove_app(&self, app: AppId) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_come_from_names() {
        for (path, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a/b.js", "text/javascript; charset=utf-8"),
            ("c.PNG", "image/png"),
            ("d", "application/octet-stream"),
        ] {
            assert_eq!(content_type_of(path), expected);
        }
    }

    #[test]
    fn buckets_and_paths_lead_nowhere_else() {
        for good in ["a", "A-b_c.9", &"x".repeat(64)] {
            assert!(good.parse::<Bucket>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<Bucket>().is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.png", "é/ü x.txt", "...", ".hidden", "%2e%2e", &"x".repeat(512)] {
            assert!(good.parse::<Path>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/.",
            "a\\b",
            "a\0",
            "a\nb",
            &"x".repeat(513),
        ] {
            assert!(bad.parse::<Path>().is_err(), "{bad:?}");
        }
    }
}
