//! Reading one KV entry, on the thread that asks.
//!
//! sqlx keeps a thread per connection, so that a read of a few microseconds
//! costs two wake-ups that take many times as long. An entry is at most 64 KiB and found
//! by its primary key, and a reader of a WAL waits for nobody: the read takes
//! less than handing it over does. What may take long (lists, counts) stays
//! with sqlx.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use picloud_shared::kv::{Collection, Entry, Key};
use picloud_shared::{AppId, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::convert::{failed, signed};
use crate::entry::entry;

/// Read-only connections to the main file: as many as threads ever read at the
/// same time.
pub(super) struct EntryReader {
    path: PathBuf,
    /// `None` once closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl EntryReader {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), idle: Mutex::new(Some(Vec::new())) }
    }

    /// The entry, unless it is absent or expired.
    pub(super) fn get(
        &self,
        app: AppId,
        collection: &Collection,
        key: &Key,
        now_ms: u64,
    ) -> Result<Option<Entry>, StoreError> {
        let idle = match self.idle().as_mut() {
            Some(idle) => idle.pop(),
            None => return Err(StoreError::unavailable("the store is closed")),
        };
        let connection = idle.map_or_else(|| self.open(), Ok).map_err(failed)?;
        let found = select(&connection, app, collection, key, now_ms);
        // One that failed is closed: the next read starts with a fresh one.
        let found = found.map_err(failed)?;
        if let Some(idle) = self.idle().as_mut() {
            idle.push(connection);
        }
        found.map(|(value, version, expires)| entry(value, version, expires)).transpose()
    }

    /// Closes the connections; one that is being read from closes after that.
    pub(super) fn close(&self) {
        *self.idle() = None;
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        // The pool's mutex gives each connection to one thread at a time, so
        // SQLite's own would be taken for nothing.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&self.path, flags)
    }
}

fn select(
    connection: &Connection,
    app: AppId,
    collection: &Collection,
    key: &Key,
    now_ms: u64,
) -> rusqlite::Result<Option<(String, i64, Option<i64>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT json(value), version, expires_at_ms FROM kv
         WHERE app_id = ?1 AND collection = ?2 AND key = ?3
            AND (expires_at_ms IS NULL OR expires_at_ms > ?4)",
    )?;
    let parameters = params![app.0, collection.as_str(), key.as_str(), signed(now_ms)];
    statement.query_row(parameters, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}
