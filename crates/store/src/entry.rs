//! KV rows, alike on both databases.

use std::pin::pin;

use futures_util::{Stream, TryStreamExt};
use picloud_shared::StoreError;
use picloud_shared::kv::{Entry, Listed, MAX_PAGE_BYTES};

use crate::convert::{corrupt, failed, unsigned};

/// Key, value, version, expiry.
pub(crate) type Row = (String, String, i64, Option<i64>);

pub(crate) fn entry(
    value: String,
    version: i64,
    expires_at_ms: Option<i64>,
) -> Result<Entry, StoreError> {
    let expires_at_ms = expires_at_ms.map(|at| unsigned("a time", at)).transpose()?;
    Ok(Entry { value, version, expires_at_ms })
}

/// A page out of the rows of a range, which are read only as far as needed: up
/// to `limit` of them, or [`MAX_PAGE_BYTES`].
pub(crate) async fn listed(
    rows: impl Stream<Item = sqlx::Result<Row>>,
    limit: u32,
) -> Result<Listed, StoreError> {
    let mut rows = pin!(rows);
    let mut listed = Listed::default();
    let mut bytes = 0;
    while let Some((key, value, version, expires)) = rows.try_next().await.map_err(failed)? {
        if listed.entries.len() >= limit as usize || bytes >= MAX_PAGE_BYTES {
            listed.more = true;
            break;
        }
        bytes += key.len() + value.len();
        let key = key.parse().map_err(|_| corrupt("a key", key))?;
        listed.entries.push((key, entry(value, version, expires)?));
    }
    Ok(listed)
}
