//! Backups of a running server, and bundles of its apps.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use picloud_shared::App;
use picloud_store::backup::{Error, FORMAT, Head, Import, Imported};
use picloud_store::{DirContents, Stores};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};

/// A backup as it is made. An error ends it.
type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// Makes one backup at a time: each has the database keep a moment of the past.
pub struct Backups {
    stores: Stores,
    contents: DirContents,
    /// The data directory.
    dir: PathBuf,
    stopping: watch::Sender<bool>,
    turn: Arc<Semaphore>,
    /// One of these at a time, too: nobody's bundle keeps the backup waiting.
    exports: Arc<Semaphore>,
    imports: Semaphore,
}

impl Backups {
    /// `dir` is the data directory. None is made to its end once the server is
    /// `stopping`.
    pub fn new(
        stores: Stores,
        contents: DirContents,
        dir: &Path,
        stopping: watch::Sender<bool>,
    ) -> Self {
        Self {
            stores,
            contents,
            dir: dir.to_owned(),
            stopping,
            turn: one(),
            exports: one(),
            imports: Semaphore::new(1),
        }
    }

    /// A backup, as it is made; `None` while there is another one.
    pub fn begin(&self, created_at_ms: u64, master_key: &str) -> Option<Chunks> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().ok()?;
        let head = self.head(created_at_ms, master_key, None);
        let backup = self.stores.backup(&self.contents, head, &self.dir);
        Some(self.until_stopping(backup.boxed(), turn))
    }

    /// A bundle of the app, as it is made; `None` while there is another one.
    pub fn export(&self, app: &App, created_at_ms: u64, master_key: &str) -> Option<Chunks> {
        let turn = Arc::clone(&self.exports).try_acquire_owned().ok()?;
        let head = self.head(created_at_ms, master_key, Some(app.slug.to_string()));
        let bundle = self.stores.export(&self.contents, head, app.id, &self.dir);
        Some(self.until_stopping(bundle.boxed(), turn))
    }

    /// The one who imports now, and a file without a name for what comes;
    /// `None` while there is another one.
    pub fn begin_import(&self) -> Option<io::Result<(SemaphorePermit<'_>, File)>> {
        let turn = self.imports.try_acquire().ok()?;
        Some(tempfile::tempfile_in(&self.dir).map(|file| (turn, file)))
    }

    /// Makes an app of a bundle: all of it or nothing.
    pub async fn import(&self, file: File, import: Import) -> Result<Imported, Error> {
        self.stores.import(file, &self.contents, import).await
    }

    fn head(&self, created_at_ms: u64, master_key: &str, app: Option<String>) -> Head {
        Head {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: self.stores.kind().to_owned(),
            created_at_ms,
            master_key: master_key.to_owned(),
            app,
        }
    }

    /// The turn is over when the stream is dropped.
    fn until_stopping(&self, chunks: Chunks, turn: OwnedSemaphorePermit) -> Chunks {
        let state = (chunks, self.stopping.subscribe(), turn);
        stream::unfold(state, async |(mut chunks, mut stopping, turn)| {
            let chunk = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => {
                    Some(Err(io::Error::other("the server stops")))
                }
                chunk = chunks.next() => chunk,
            };
            Some((chunk?, (chunks, stopping, turn)))
        })
        .boxed()
    }
}

fn one() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}
