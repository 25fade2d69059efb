//! Writing a backup: rows become lines, lines are hashed and compressed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use picloud_shared::files::Contents as _;
use picloud_shared::{AppId, BlobHash, StoreError};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::line::{End, Head, Line, Piece};
use crate::contents::DirContents;
use crate::convert::failed;

/// Bytes of lines that are handed on together.
const BATCH_BYTES: usize = 64 << 10;
/// Bytes that leave together.
const CHUNK_BYTES: usize = 64 << 10;
/// Batches that wait to be compressed.
const BATCHES: usize = 4;

/// What is handed to the thread that compresses.
pub(super) enum Batch {
    Lines(Vec<u8>),
    /// All rows have come.
    Rows,
    End(End),
}

/// Where the lines of a backup go.
pub(crate) struct Lines {
    pending: Vec<u8>,
    end: End,
    /// How many rows the current table has so far, and its name.
    rows: u64,
    table: &'static str,
    sender: mpsc::Sender<Batch>,
}

impl Lines {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Batch>) {
        let (sender, receiver) = mpsc::channel(BATCHES);
        let (pending, end) = (Vec::new(), End::default());
        (Self { pending, end, rows: 0, table: "", sender }, receiver)
    }

    /// The rows from now on are this table's.
    pub(crate) async fn table(&mut self, name: &'static str) -> Result<(), StoreError> {
        self.end_table();
        self.table = name;
        write_line(&mut self.pending, &Line::Table(name.into()))?;
        self.hand_on_if_full().await
    }

    /// A row, as a JSON object.
    pub(crate) async fn row(&mut self, json: &str) -> Result<(), StoreError> {
        // It is JSON already, of a database's making.
        self.pending.extend_from_slice(b"{\"row\":");
        self.pending.extend_from_slice(json.as_bytes());
        self.pending.extend_from_slice(b"}\n");
        self.rows += 1;
        self.hand_on_if_full().await
    }

    /// All rows are here. From now on it is waited for whoever takes the backup.
    pub(crate) async fn end_rows(&mut self) -> Result<(), StoreError> {
        self.end_table();
        self.hand_on().await?;
        self.sender.send(Batch::Rows).await.map_err(given_up)
    }

    /// The bytes of a file.
    pub(super) async fn contents(
        &mut self,
        contents: &DirContents,
        app: AppId,
        hash: BlobHash,
    ) -> Result<(), StoreError> {
        let Some(mut pieces) = contents.open(app, hash, 0).await? else {
            tracing::warn!(app = app.0, %hash, "a file's contents are missing in the backup");
            self.end.missing += 1;
            return Ok(());
        };
        self.end.contents += 1;
        // One without bytes has a piece, too.
        self.piece(app, hash, &[]).await?;
        while let Some(piece) = pieces.next().await {
            self.piece(app, hash, &piece.map_err(failed)?).await?;
        }
        Ok(())
    }

    async fn piece(&mut self, app: AppId, hash: BlobHash, bytes: &[u8]) -> Result<(), StoreError> {
        let (hash, base64) = (hash.to_string().into(), BASE64_STANDARD.encode(bytes).into());
        write_line(&mut self.pending, &Line::Piece(Piece { app: app.0, hash, base64 }))?;
        self.hand_on_if_full().await
    }

    /// Everything has been written.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        self.hand_on().await?;
        self.sender.send(Batch::End(self.end)).await.map_err(given_up)
    }

    fn end_table(&mut self) {
        if !self.table.is_empty() {
            self.end.rows.insert(std::mem::take(&mut self.table).to_owned(), self.rows);
            self.rows = 0;
        }
    }

    async fn hand_on_if_full(&mut self) -> Result<(), StoreError> {
        if self.pending.len() >= BATCH_BYTES { self.hand_on().await } else { Ok(()) }
    }

    async fn hand_on(&mut self) -> Result<(), StoreError> {
        let batch = Batch::Lines(std::mem::take(&mut self.pending));
        self.sender.send(batch).await.map_err(given_up)
    }
}

/// Nobody takes the backup any more, or it could not be kept.
fn given_up<T>(_: T) -> StoreError {
    StoreError::unavailable("it was given up")
}

/// Compresses what comes, on a thread of its own. What ends without
/// [`Batch::End`] is handed on as an error, so that nobody takes it for whole.
pub(super) fn pack(
    head: &Head,
    spool: &Path,
    mut batches: mpsc::Receiver<Batch>,
    chunks: &mpsc::Sender<io::Result<Bytes>>,
) {
    let mut packer = Packer {
        hash: Sha256::new(),
        // The fastest: a backup shares the processor with requests.
        gzip: GzEncoder::new(Vec::new(), Compression::fast()),
        spool: None,
        chunks,
    };
    let result = packer
        .keep(spool)
        .and_then(|()| packer.lines(&line(&Line::Head(head.clone()))))
        .and_then(|()| {
            while let Some(batch) = batches.blocking_recv() {
                match batch {
                    Batch::Lines(lines) => packer.lines(&lines)?,
                    Batch::Rows => packer.release()?,
                    Batch::End(end) => return packer.finish(end),
                }
            }
            Err(io::Error::other("the backup came to no end"))
        });
    if let Err(error) = result {
        // Whoever took it may be gone.
        let _ = chunks.blocking_send(Err(error));
    }
}

struct Packer<'a> {
    hash: Sha256,
    gzip: GzEncoder<Vec<u8>>,
    /// Where rows are kept until all are here: the database has them as of one
    /// moment for as long as it takes to read them, and not for as long as a
    /// slow network takes to carry them away.
    spool: Option<File>,
    chunks: &'a mpsc::Sender<io::Result<Bytes>>,
}

impl Packer<'_> {
    fn lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.hash.update(lines);
        self.gzip.write_all(lines)?;
        if self.gzip.get_ref().len() < CHUNK_BYTES {
            return Ok(());
        }
        let chunk = std::mem::take(self.gzip.get_mut());
        match &mut self.spool {
            Some(spool) => spool.write_all(&chunk),
            None => send(self.chunks, chunk),
        }
    }

    /// Keeps what comes, in a file without a name in this directory.
    fn keep(&mut self, dir: &Path) -> io::Result<()> {
        self.spool = Some(tempfile::tempfile_in(dir)?);
        Ok(())
    }

    /// Sends what was kept, and keeps nothing from now on.
    fn release(&mut self) -> io::Result<()> {
        let Some(mut spool) = self.spool.take() else { return Ok(()) };
        spool.rewind()?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            (&mut spool).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                return Ok(());
            }
            send(self.chunks, chunk)?;
        }
    }

    fn finish(mut self, end: End) -> io::Result<()> {
        let sha256 = hex::encode(self.hash.finalize());
        self.gzip.write_all(&line(&Line::End(End { sha256, ..end })))?;
        send(self.chunks, self.gzip.finish()?)
    }
}

fn send(chunks: &mpsc::Sender<io::Result<Bytes>>, chunk: Vec<u8>) -> io::Result<()> {
    chunks.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn line(line: &Line<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Structs of strings and numbers always serialize.
    let _ = write_line(&mut bytes, line);
    bytes
}

fn write_line(bytes: &mut Vec<u8>, line: &Line<'_>) -> Result<(), StoreError> {
    serde_json::to_writer(&mut *bytes, line).map_err(failed)?;
    bytes.push(b'\n');
    Ok(())
}
