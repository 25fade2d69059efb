//! Rows of usage, alike on both databases.

use picloud_shared::usage::{Counters, Day, Storage, Used};
use picloud_shared::{AppId, StoreError};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::convert::{failed, signed, unsigned};

/// App, KV, files, releases, deliveries, their events.
pub(crate) type StorageRow = (i64, i64, i64, i64, i64, i64);

pub(crate) fn storage(row: StorageRow) -> Result<(AppId, Storage), StoreError> {
    let (app, kv, files, releases, rows, bytes) = row;
    let size = |number| unsigned("an app's usage", number);
    let storage = Storage {
        kv_bytes: size(kv)?,
        file_bytes: size(files)?,
        release_bytes: size(releases)?,
        outbox_rows: size(rows)?,
        outbox_bytes: size(bytes)?,
    };
    Ok((AppId(app), storage))
}

/// An app, a day, and then its counters in their order.
pub(crate) fn used<R: Row>(row: &R) -> Result<Used, StoreError>
where
    usize: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let number = |column: usize| row.try_get::<i64, _>(column).map_err(failed);
    let mut values = [0; Counters::COUNT];
    for (value, column) in values.iter_mut().zip(2..) {
        *value = unsigned("what was used", number(column)?)?;
    }
    Ok(Used {
        app: AppId(number(0)?),
        day: Day(unsigned("a day", number(1)?)?),
        counters: Counters::of(values),
    })
}

/// As the databases take it: in one order, so that two transactions do not wait
/// for each other.
pub(crate) fn rows(used: &[Used]) -> Vec<Vec<i64>> {
    let mut used: Vec<_> = used.iter().collect();
    used.sort_unstable_by_key(|used| (used.app, used.day));
    let row = |used: &Used| {
        let ids = [used.app.0, i64::from(used.day.0)];
        ids.into_iter().chain(used.counters.values().map(signed)).collect()
    };
    used.into_iter().map(row).collect()
}
