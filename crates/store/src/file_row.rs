//! Rows of files, alike on both databases.

use std::pin::pin;

use futures_util::{Stream, TryStreamExt};
use picloud_shared::StoreError;
use picloud_shared::files::{Entry, Info, Listed};

use crate::convert::{corrupt, failed, hash, unsigned};

/// Path, hash, bytes, content type, modification time, version.
pub(crate) type Row = (String, Vec<u8>, i64, String, i64, i64);

pub(crate) fn entry(row: Row) -> Result<(String, Entry), StoreError> {
    let (path, contents, bytes, content_type, modified_ms, version) = row;
    let info = Info {
        bytes: unsigned("a file's size", bytes)?,
        hash: hash(&contents)?,
        content_type,
        modified_ms: unsigned("a time", modified_ms)?,
    };
    Ok((path, Entry { info, version }))
}

/// A page out of the rows of a range, of which there may be one more than asked for.
pub(crate) async fn listed(
    rows: impl Stream<Item = sqlx::Result<Row>>,
    limit: u32,
) -> Result<Listed, StoreError> {
    let mut rows = pin!(rows);
    let mut listed = Listed::default();
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        if listed.files.len() >= limit as usize {
            listed.more = true;
            break;
        }
        let (path, entry) = entry(row)?;
        let path = path.parse().map_err(|_| corrupt("a path", path))?;
        listed.files.push((path, entry));
    }
    Ok(listed)
}
