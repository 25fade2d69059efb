//! Filling a database with what a backup holds.

use std::fs::File;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use picloud_shared::{AppId, BlobHash, StoreError};
use tokio::sync::mpsc;

use super::Error;
use super::line::{End, Line, Piece};
use super::tables::{self, Table};
use super::unpack::{Bounds, Reader};
use crate::contents::{DirContents, Writing};
use crate::convert::failed;

/// Bytes of rows that are inserted together.
pub(super) const BATCH_BYTES: usize = 512 << 10;
/// Batches that wait to be inserted.
pub(super) const BATCHES: usize = 4;

/// A database that is being filled.
#[async_trait]
pub(crate) trait Target: Send {
    /// Inserts rows, a JSON array of objects.
    async fn put(&mut self, table: &'static Table, rows: String) -> Result<(), StoreError>;
}

/// What is done with one step.
enum Batch {
    Rows(&'static Table, String),
    Piece(AppId, BlobHash, Bytes),
}

/// Fills the database and the directory of files. `Ok` only if the backup was
/// whole and unchanged.
pub(super) async fn load(
    file: File,
    target: &mut impl Target,
    contents: &DirContents,
    progress: impl FnMut(u64) + Send + 'static,
) -> Result<End, Error> {
    let (sender, mut batches) = mpsc::channel(BATCHES);
    let reading = tokio::task::spawn_blocking(move || read(file, &sender, progress));
    let mut writing: Option<(AppId, BlobHash, Writing)> = None;
    while let Some(batch) = batches.recv().await {
        match batch {
            Batch::Rows(table, rows) => target.put(table, rows).await?,
            Batch::Piece(app, hash, piece) => {
                let so_far = match writing.take() {
                    Some((of, named, so_far)) if (of, named) == (app, hash) => so_far,
                    other => {
                        keep(other).await?;
                        contents.begin(app).await?
                    }
                };
                writing = Some((app, hash, so_far.write(piece).await?));
            }
        }
    }
    let end = reading.await.map_err(failed)??;
    keep(writing).await?;
    Ok(end)
}

pub(super) async fn keep(writing: Option<(AppId, BlobHash, Writing)>) -> Result<(), Error> {
    let Some((app, hash, writing)) = writing else { return Ok(()) };
    let staged = writing.complete();
    if staged.hash() != hash {
        let message = format!("a file of the app {} is not what its hash says", app.0);
        return Err(Error::Damaged(message));
    }
    staged.keep().await?;
    Ok(())
}

/// Reads on a thread of its own, to the end or until nobody wants more.
fn read(
    file: File,
    batches: &mpsc::Sender<Batch>,
    progress: impl FnMut(u64),
) -> Result<End, Error> {
    // An error means that the other side has failed and says why.
    let send = |batch| {
        batches.blocking_send(batch).map_err(|_| StoreError::unavailable("it was given up"))
    };
    let (head, mut reader) = Reader::new(file, Bounds::NONE, progress)?;
    if let Some(app) = head.app {
        return Err(Error::Bundle(app));
    }
    let mut table: Option<&'static Table> = None;
    let mut rows = String::new();
    let flush = |table: Option<&'static Table>, rows: &mut String| match table {
        Some(table) if !rows.is_empty() => {
            let mut rows = std::mem::take(rows);
            rows.push(']');
            send(Batch::Rows(table, rows))
        }
        _ => Ok(()),
    };
    while let Some(line) = reader.next()? {
        match line {
            Line::Table(name) => {
                flush(table, &mut rows)?;
                table = Some(find(&name)?);
            }
            Line::Row(row) => {
                if table.is_none() {
                    return Err(Error::Damaged("a row belongs to no table".to_owned()));
                }
                rows.push(if rows.is_empty() { '[' } else { ',' });
                rows.push_str(row.get());
                if rows.len() >= BATCH_BYTES {
                    flush(table, &mut rows)?;
                }
            }
            Line::Piece(piece) => {
                flush(table, &mut rows)?;
                send(piece_of(&piece)?)?;
            }
            Line::Head(_) | Line::End(_) => {
                return Err(Error::Damaged("a line is where it cannot be".to_owned()));
            }
        }
    }
    flush(table, &mut rows)?;
    reader.finish()
}

fn find(name: &str) -> Result<&'static Table, Error> {
    tables::find(name)
        .ok_or_else(|| Error::Damaged(format!("this version of PiCloud has no table {name}")))
}

fn piece_of(piece: &Piece<'_>) -> Result<Batch, Error> {
    let (hash, bytes) = decoded(piece)?;
    Ok(Batch::Piece(AppId(piece.app), hash, bytes))
}

/// Which contents a piece is of, and its bytes.
pub(super) fn decoded(piece: &Piece<'_>) -> Result<(BlobHash, Bytes), Error> {
    let hash = piece.hash.parse();
    let hash = hash.map_err(|_| Error::Damaged("a file has no hash".to_owned()))?;
    let bytes = BASE64_STANDARD.decode(piece.base64.as_bytes());
    let bytes = bytes.map_err(|_| Error::Damaged("a file's bytes are not base64".to_owned()))?;
    Ok((hash, bytes.into()))
}
