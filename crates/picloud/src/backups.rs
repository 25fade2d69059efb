//! Backups of a running server, and bundles of its apps.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use picloud_shared::{App, UserId};
use picloud_store::backup::{Error, FORMAT, Head, Import, Imported};
use picloud_store::{DirContents, Stores};
use tokio::sync::watch;

use crate::one_each::{OneEach, Turn};

/// A backup as it is made. An error ends it.
type Chunks = BoxStream<'static, io::Result<Bytes>>;
/// A user; `None` is the operator.
type Who = Option<UserId>;
pub type ImportTurn = Turn<Who>;

/// Makes one backup at a time, and for each user one bundle: they have the database
/// keep a moment of the past.
pub struct Backups {
    stores: Stores,
    contents: DirContents,
    /// The data directory.
    dir: PathBuf,
    stopping: watch::Sender<bool>,
    turn: OneEach<()>,
    /// By who exports. Nobody's bundle keeps another's waiting, or the backup,
    /// however slowly it is taken or comes, and nobody has many.
    exports: OneEach<Who>,
    /// By whose the app will be.
    imports: OneEach<Who>,
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
            turn: OneEach::default(),
            exports: OneEach::default(),
            imports: OneEach::default(),
        }
    }

    /// A backup, as it is made; `None` while there is another one.
    pub fn begin(&self, created_at_ms: u64, master_key: &str) -> Option<Chunks> {
        let turn = self.turn.begin(())?;
        let head = self.head(created_at_ms, master_key, None);
        let backup = self.stores.backup(&self.contents, head, &self.dir);
        Some(self.until_stopping(backup.boxed(), turn))
    }

    /// A bundle of the app, as it is made; `None` while `who` takes another one.
    pub fn export(
        &self,
        who: Who,
        app: &App,
        created_at_ms: u64,
        master_key: &str,
    ) -> Option<Chunks> {
        let turn = self.exports.begin(who)?;
        let head = self.head(created_at_ms, master_key, Some(app.slug.to_string()));
        let bundle = self.stores.export(&self.contents, head, app.id, &self.dir);
        Some(self.until_stopping(bundle.boxed(), turn))
    }

    /// The turn of who imports, and a file without a name for what comes;
    /// `None` while they import another app.
    pub fn begin_import(&self, owner: Who) -> Option<io::Result<(ImportTurn, File)>> {
        let turn = self.imports.begin(owner)?;
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
    fn until_stopping(&self, chunks: Chunks, turn: impl Send + 'static) -> Chunks {
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
