//! A release's files, hashed.

use bytes::Bytes;
use picloud_shared::{BlobHash, NewRelease, StoreError};

use crate::convert::failed;

pub(crate) struct HashedFile {
    pub path: String,
    pub hash: BlobHash,
    pub contents: Bytes,
}

/// Hashes away from the async workers: a release may have megabytes.
pub(crate) async fn hashed(release: &NewRelease) -> Result<Vec<HashedFile>, StoreError> {
    let files = release.files.clone();
    let hash = move || {
        files
            .into_iter()
            .map(|(path, contents)| HashedFile { path, hash: BlobHash::of(&contents), contents })
            .collect()
    };
    tokio::task::spawn_blocking(hash).await.map_err(failed)
}

/// The sum of the files' sizes.
pub(crate) fn total_bytes(files: &[HashedFile]) -> u64 {
    files.iter().map(|file| file.contents.len() as u64).sum()
}
