//! Bundles: one app with its data, which another instance makes an app of.
//!
//! A bundle comes from anybody. Each of its rows is read as what it must be, and
//! what a server would not have written is refused, before anything is written.
//! Then the files' contents are put under the number of the app that is to be,
//! and all rows are written in one transaction, with the app's new number.

mod rows;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Seek as _;

use bytes::Bytes;
use picloud_shared::{AppId, AppSlug, BlobHash, StoreError, UserId};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::line::{End, Line};
use super::load::{BATCH_BYTES, BATCHES, decoded, keep};
use super::tables::{self, Table};
use super::unpack::{Bounds, Reader};
use super::{Error, Stores};
use crate::Database;
use crate::contents::{DirContents, Writing};
use crate::convert::failed;
use rows::Checked;

/// Bytes that a bundle unpacks to, over what its app keeps: names, and how JSON
/// writes the rest.
const OVERHEAD_BYTES: u64 = 1 << 30;
const OVERHEAD_FACTOR: u64 = 4;

/// What an app is made as.
pub struct Import {
    pub slug: AppSlug,
    /// Whose it will be; the operator's alone without.
    pub owner: Option<UserId>,
    pub room: Room,
    pub now_ms: u64,
    /// Whether a file of a release may have this path.
    pub is_path: fn(&str) -> bool,
}

/// Bytes that the app may keep.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub kv_bytes: u64,
    pub file_bytes: u64,
    /// Of the contents of all releases, each once.
    pub release_bytes: u64,
}

/// What was made.
#[derive(Debug)]
pub struct Imported {
    /// What its secrets are called. They have no values.
    pub secrets: Vec<String>,
    pub end: End,
}

/// The app's row.
pub(crate) struct NewApp {
    pub numbers: Numbers,
    pub slug: AppSlug,
    pub owner: Option<UserId>,
    pub now_ms: u64,
    pub active_release: Option<i64>,
    pub kv_bytes: i64,
    pub file_bytes: i64,
}

/// Numbers that nobody else has been given.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub app: i64,
    /// The version of all entries, and of all files.
    pub kv_version: i64,
    pub files_version: i64,
}

/// Rows as they come, each batch a JSON array of objects.
pub(crate) struct Rows(mpsc::Receiver<Option<(&'static Table, String)>>);

impl Rows {
    /// The next batch; `None` once there is none. An error if they broke off.
    pub(crate) async fn next(&mut self) -> Result<Option<(&'static Table, String)>, StoreError> {
        let next = self.0.recv().await;
        next.ok_or_else(|| StoreError::unavailable("a bundle was not read to its end"))
    }
}

impl Stores {
    /// Makes an app of a bundle: all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] and others if the bundle is not one that a server
    /// would have made; [`StoreError::QuotaExceeded`] if the app would keep more
    /// than it may; [`StoreError::Conflict`] if there is an app of that name or
    /// no such user.
    pub async fn import(
        &self,
        file: File,
        contents: &DirContents,
        import: Import,
    ) -> Result<Imported, Error> {
        // What is put there belongs to no app before the end.
        let _hold = contents.hold();
        let (room, is_path) = (import.room, import.is_path);
        let first = again(&file)?;
        let looked_through = tokio::task::spawn_blocking(move || check(first, room, is_path));
        let (checked, end) = looked_through.await.map_err(failed)??;

        let numbers = match &self.database {
            Database::Sqlite(database) => database.reserve().await?,
            Database::Postgres(database) => database.reserve().await?,
        };
        let app = NewApp {
            numbers,
            slug: import.slug,
            owner: import.owner,
            now_ms: import.now_ms,
            active_release: checked.active_release(),
            kv_bytes: signed(checked.kv_bytes),
            file_bytes: signed(checked.file_bytes),
        };
        let put = async {
            put_contents(again(&file)?, contents, AppId(numbers.app)).await?;
            self.put_rows(again(&file)?, &app, room, is_path).await
        };
        if let Err(error) = put.await {
            contents.discard(AppId(numbers.app)).await?;
            return Err(error);
        }
        Ok(Imported { secrets: checked.secrets, end })
    }

    async fn put_rows(
        &self,
        file: File,
        app: &NewApp,
        room: Room,
        is_path: fn(&str) -> bool,
    ) -> Result<(), Error> {
        let (sender, rows) = mpsc::channel(BATCHES);
        let (rows, numbers) = (Rows(rows), app.numbers);
        let reading =
            tokio::task::spawn_blocking(move || read_rows(file, room, is_path, numbers, &sender));
        // Where this fails, nobody takes rows any more, and the reading ends.
        match &self.database {
            Database::Sqlite(database) => database.import(app, rows).await?,
            Database::Postgres(database) => database.import(app, rows).await?,
        }
        reading.await.map_err(failed)?
    }
}

/// The same file, from its start.
fn again(file: &File) -> Result<File, Error> {
    let mut file = file.try_clone().map_err(Error::Unreadable)?;
    file.rewind().map_err(Error::Unreadable)?;
    Ok(file)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn open(file: File, room: Room) -> Result<Reader<File, impl FnMut(u64)>, Error> {
    let kept = room.kv_bytes.saturating_add(room.file_bytes).saturating_add(room.release_bytes);
    let bounds = Bounds {
        line_bytes: room.release_bytes.saturating_mul(2).clamp(1 << 20, Bounds::NONE.line_bytes),
        bytes: kept.saturating_mul(OVERHEAD_FACTOR).saturating_add(OVERHEAD_BYTES),
    };
    let (head, reader) = Reader::new(file, bounds, |_| {})?;
    if head.app.is_some() { Ok(reader) } else { Err(Error::NoBundle) }
}

/// Reads all of it, and says what is in it.
fn check(file: File, room: Room, is_path: fn(&str) -> bool) -> Result<(Checked, End), Error> {
    let mut reader = open(file, room)?;
    let mut checked = Checked::new(room, is_path);
    let mut table = "";
    let mut pieces = Pieces::default();
    while let Some(line) = reader.next()? {
        match line {
            Line::Table(name) => {
                let known = tables::BUNDLED.iter().find(|known| **known == name);
                table = known.ok_or_else(|| invalid(format!("it has a table {name}")))?;
            }
            Line::Row(row) => drop(checked.row(table, row)?),
            Line::Piece(piece) => {
                let (hash, bytes) = decoded(&piece)?;
                checked.is_of_app(piece.app)?;
                pieces.add(hash, &bytes, &checked.stored)?;
            }
            Line::Head(_) | Line::End(_) => return Err(invalid("a line is where it cannot be")),
        }
    }
    pieces.end(&checked.stored)?;
    checked.end()?;
    Ok((checked, reader.finish()?))
}

/// Hands on the rows, as they are to be inserted.
fn read_rows(
    file: File,
    room: Room,
    is_path: fn(&str) -> bool,
    numbers: Numbers,
    rows: &mpsc::Sender<Option<(&'static Table, String)>>,
) -> Result<(), Error> {
    let mut reader = open(file, room)?;
    let mut checked = Checked::new(room, is_path);
    checked.numbers = Some(numbers);
    let mut table: Option<&'static Table> = None;
    let mut batch = String::new();
    let send = |batch| {
        // An error means that the other side has failed and says why.
        rows.blocking_send(batch).map_err(|_| StoreError::unavailable("it was given up"))
    };
    let flush = |table: Option<&'static Table>, batch: &mut String| match table {
        Some(table) if !batch.is_empty() => {
            let batch = std::mem::take(batch) + "]";
            send(Some((table, batch)))
        }
        _ => Ok(()),
    };
    while let Some(line) = reader.next()? {
        match line {
            Line::Table(name) => {
                flush(table, &mut batch)?;
                table = tables::find(&name);
            }
            Line::Row(row) => {
                let row = checked.row(table.map_or("", |table| table.name), row)?;
                let Some(row) = row else { continue };
                batch.push(if batch.is_empty() { '[' } else { ',' });
                batch.push_str(&row);
                if batch.len() >= BATCH_BYTES {
                    flush(table, &mut batch)?;
                }
            }
            _ => {}
        }
    }
    flush(table, &mut batch)?;
    Ok(send(None)?)
}

/// Writes the contents of the files under the app's number.
async fn put_contents(file: File, contents: &DirContents, app: AppId) -> Result<(), Error> {
    let (sender, mut pieces) = mpsc::channel::<(BlobHash, Bytes)>(BATCHES);
    let reading = tokio::task::spawn_blocking(move || {
        // It was within its bounds when it was checked.
        let (_, mut reader) = Reader::new(file, Bounds::NONE, |_| {})?;
        while let Some(line) = reader.next()? {
            if let Line::Piece(piece) = line
                && sender.blocking_send(decoded(&piece)?).is_err()
            {
                break;
            }
        }
        Ok::<_, Error>(())
    });
    let mut writing: Option<(AppId, BlobHash, Writing)> = None;
    while let Some((hash, piece)) = pieces.recv().await {
        let so_far = match writing.take() {
            Some((_, of, so_far)) if of == hash => so_far,
            other => {
                keep(other).await?;
                contents.begin(app).await?
            }
        };
        writing = Some((app, hash, so_far.write(piece).await?));
    }
    keep(writing).await?;
    reading.await.map_err(failed)?
}

/// The contents of files: each is there once, and is what its hash says.
#[derive(Default)]
struct Pieces {
    current: Option<(BlobHash, Sha256, u64)>,
    seen: HashSet<BlobHash>,
}

impl Pieces {
    fn add(
        &mut self,
        hash: BlobHash,
        bytes: &[u8],
        stored: &HashMap<BlobHash, i64>,
    ) -> Result<(), Error> {
        if self.current.as_ref().is_none_or(|(of, ..)| *of != hash) {
            self.complete(stored)?;
            if !stored.contains_key(&hash) || !self.seen.insert(hash) {
                return Err(invalid("contents belong to no file, or are there twice"));
            }
            self.current = Some((hash, Sha256::new(), 0));
        } else if bytes.is_empty() {
            return Err(invalid("a piece of a file is empty"));
        }
        if let Some((_, sum, length)) = &mut self.current {
            sum.update(bytes);
            *length += bytes.len() as u64;
        }
        Ok(())
    }

    fn complete(&mut self, stored: &HashMap<BlobHash, i64>) -> Result<(), Error> {
        let Some((hash, sum, length)) = self.current.take() else { return Ok(()) };
        if BlobHash::from(<[u8; 32]>::from(sum.finalize())) != hash {
            return Err(invalid("a file is not what its hash says"));
        }
        if stored.get(&hash) != Some(&signed(length)) {
            return Err(invalid("a file has another size than it says"));
        }
        Ok(())
    }

    fn end(&mut self, stored: &HashMap<BlobHash, i64>) -> Result<(), Error> {
        self.complete(stored)?;
        if self.seen.len() == stored.len() {
            Ok(())
        } else {
            Err(invalid("contents of files are missing"))
        }
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::Invalid(why.into())
}
