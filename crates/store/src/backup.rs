//! Backups: everything that an instance has, in one file that either database
//! can be made of again.
//!
//! A backup is text, compressed with gzip: one JSON object a line, see
//! [`line::Line`]. The first line says what it is, the last one has the SHA-256
//! of all before it, so whatever is cut off or changed is noticed. A row is an
//! object of its columns, as `tables.rs` describes them for both databases;
//! the bytes of apps' files come in pieces at the end.
//!
//! [`Stores::backup`] reads one snapshot of the database while others go on
//! writing. [`verify`] reads a file to its end. [`restore_sqlite`] and
//! [`restore_postgres`] make a database of it.
//!
//! A bundle is the same of one app; see `bundle.rs`.
//!
//! # To back up a new table or column
//!
//! Add it to `tables.rs`. A test compares that list with both schemas.

mod bundle;
mod line;
mod load;
mod pack;
pub(crate) mod tables;
mod unpack;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use picloud_shared::{AppId, StoreError};
use tokio::sync::mpsc;

use crate::contents::DirContents;
use crate::postgres::PostgresDatabase;
use crate::sqlite::SqliteDatabase;
use crate::{Database, Stores};

pub use bundle::{Import, Imported, Room};
pub(crate) use bundle::{NewApp, Numbers, Rows};
pub use line::{End, Head};
pub(crate) use load::Target;
pub(crate) use pack::Lines;

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// Compressed chunks that wait for whoever takes the backup.
const CHUNKS: usize = 4;

/// Why a backup cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this is not a backup of PiCloud")]
    Foreign,
    #[error("this backup has format {0}, and this version of PiCloud reads format {FORMAT}")]
    Format(u32),
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    #[error("this is a bundle of the app {0}, and not a backup of all; import it")]
    Bundle(String),
    #[error("this is a backup of all, and not a bundle of one app; restore it")]
    NoBundle,
    /// Rows that a server would not have written.
    #[error("this cannot be an app: {0}")]
    Invalid(String),
    #[error("the file unpacks to more than it may")]
    TooLarge,
    #[error("the database is not empty")]
    NotEmpty,
    #[error("the backup cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("the database does not take it")]
    Store(#[from] StoreError),
}

impl Stores {
    /// A backup of what is committed at this moment, made while it is taken.
    /// Nobody waits for it. Dropped before its end, it stops; an error ends it
    /// before its last line.
    ///
    /// Its rows are kept in a file without a name in `spool`, a directory, until
    /// all have been read. Apps' files that are removed meanwhile are kept until
    /// it has been made.
    pub fn backup(
        &self,
        contents: &DirContents,
        head: Head,
        spool: &Path,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        self.packed(contents, head, None, spool)
    }

    /// The same of one app alone, without secrets; see [`Stores::import`].
    pub fn export(
        &self,
        contents: &DirContents,
        head: Head,
        app: AppId,
        spool: &Path,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        self.packed(contents, head, Some(app), spool)
    }

    fn packed(
        &self,
        contents: &DirContents,
        head: Head,
        only: Option<AppId>,
        spool: &Path,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let (lines, received) = Lines::channel();
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let spool = spool.to_owned();
        tokio::task::spawn_blocking(move || pack::pack(&head, &spool, received, &sender));
        let (database, contents) = (self.database.clone(), contents.clone());
        tokio::spawn(async move {
            if let Err(error) = dump(&database, &contents, only, lines).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a backup was not made");
            }
        });
        stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)))
    }
}

async fn dump(
    database: &Database,
    contents: &DirContents,
    only: Option<AppId>,
    mut lines: Lines,
) -> Result<(), StoreError> {
    // Before the snapshot: of what is in it, nothing may be removed.
    let _hold = contents.hold();
    let stored = match database {
        Database::Sqlite(database) => database.dump(only, &mut lines).await?,
        Database::Postgres(database) => database.dump(only, &mut lines).await?,
    };
    lines.end_rows().await?;
    for (app, hash) in stored {
        lines.contents(contents, app, hash).await?;
    }
    lines.finish().await
}

/// Reads a backup to its end. Only one that is whole and unchanged is `Ok`.
///
/// It takes as long as reading the file does, on this thread. `progress` is
/// told how many bytes have been read.
pub fn verify(file: impl Read, progress: impl FnMut(u64)) -> Result<(Head, End), Error> {
    let (head, mut reader) = unpack::Reader::new(file, unpack::Bounds::NONE, progress)?;
    while reader.next()?.is_some() {}
    Ok((head, reader.finish()?))
}

/// Makes the databases and the directory of files in `dir`, an empty directory.
/// On an error there is something in it that is of no use.
pub async fn restore_sqlite(
    file: File,
    dir: &Path,
    progress: impl FnMut(u64) + Send + 'static,
) -> Result<End, Error> {
    let contents = DirContents::open(&dir.join("files"))?;
    let database = Arc::new(SqliteDatabase::open(dir).await?);
    let end = load::load(file, &mut database.as_ref(), &contents, progress).await;
    database.close().await;
    end
}

/// Fills the PostgreSQL database, in one transaction, and the directory of
/// files, in which nothing is replaced.
///
/// # Errors
/// [`Error::NotEmpty`] if there is an app or a user in it, unless all that is
/// in it is to be replaced. After an error it is as it was before.
pub async fn restore_postgres(
    file: File,
    url: &str,
    files: &Path,
    replace: bool,
    progress: impl FnMut(u64) + Send + 'static,
) -> Result<End, Error> {
    let contents = DirContents::open(files)?;
    let database = PostgresDatabase::connect(url).await?;
    let end = async {
        let mut target = database.replace(replace).await?.ok_or(Error::NotEmpty)?;
        let end = load::load(file, &mut target, &contents, progress).await?;
        target.commit().await?;
        Ok(end)
    };
    let end = end.await;
    database.close().await;
    end
}
