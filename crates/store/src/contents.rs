//! Files' bytes in a directory: one directory per app, and in it one file per
//! content, named by its hash.
//!
//! Every access goes through a directory handle (`cap-std`), which no name
//! leads out of; the names are numbers and hashes, never a script's words. All
//! of it runs on the threads for blocking work.

use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, File, OpenOptions, OpenOptionsExt as _};
use futures_util::{StreamExt as _, stream};
use picloud_shared::files::{Contents, Pieces, Staged};
use picloud_shared::{AppId, BlobHash, Quota, StoreError};
use sha2::{Digest as _, Sha256};

use crate::convert::failed;

/// Names of files that are being written begin with this.
const INCOMING: &str = "incoming-";
/// Bytes that a stream reads at a time.
const PIECE_BYTES: usize = 64 << 10;

/// [`Contents`] in a directory of the local file system.
#[derive(Clone)]
pub struct DirContents {
    root: Arc<Dir>,
    /// How many want that nothing is removed.
    holds: Arc<AtomicUsize>,
}

impl DirContents {
    /// Opens the directory, making it if need be, for its owner alone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let authority = ambient_authority();
        let open = || {
            match Dir::open_ambient_dir(path, authority) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = Dir::open_ambient_dir(parent.unwrap_or(Path::new(".")), authority)?;
            make_dir(&parent, path.file_name().unwrap_or_default().as_ref())
        };
        Ok(Self { root: Arc::new(open().map_err(failed)?), holds: Arc::default() })
    }

    /// Nothing is removed as long as the answer is kept. What should have been
    /// is found later by whoever looks for contents that nothing refers to.
    pub(crate) fn hold(&self) -> Hold {
        self.holds.fetch_add(1, Ordering::AcqRel);
        Hold(Arc::clone(&self.holds))
    }

    fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// Runs on a thread for blocking work, on the app's directory; `None` if
    /// it has none.
    async fn with_app<T: Send + 'static>(
        &self,
        app: AppId,
        work: impl FnOnce(Dir) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let root = Arc::clone(&self.root);
        blocking(move || match root.open_dir(name_of(app)) {
            Ok(dir) => work(dir).map(Some),
            Err(error) => absent(error),
        })
        .await
    }

    /// Removes what an app has that is not to be, whoever holds on to others'.
    pub(crate) async fn discard(&self, app: AppId) -> Result<(), StoreError> {
        let root = Arc::clone(&self.root);
        blocking(move || match root.remove_dir_all(name_of(app)) {
            Ok(()) => Ok(()),
            Err(error) => absent::<()>(error).map(drop),
        })
        .await
    }

    pub(crate) async fn begin(&self, app: AppId) -> Result<Writing, StoreError> {
        let root = Arc::clone(&self.root);
        blocking(move || {
            let dir = make_dir(&root, Path::new(&name_of(app)))?;
            let name = format!("{INCOMING}{}", uuid::Uuid::new_v4().simple());
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            let file = dir.open_with(&name, &options)?;
            let incoming = Incoming { dir, name, file, is_kept: AtomicBool::new(false) };
            Ok(Writing { incoming, hash: Sha256::new(), bytes: 0 })
        })
        .await
    }
}

#[async_trait]
impl Contents for DirContents {
    async fn stage(&self, app: AppId, contents: Bytes) -> Result<Box<dyn Staged>, StoreError> {
        Ok(self.begin(app).await?.write(contents).await?.complete())
    }

    async fn stage_pieces(
        &self,
        app: AppId,
        mut pieces: Pieces,
        max_bytes: u64,
    ) -> Result<Box<dyn Staged>, StoreError> {
        let mut writing = self.begin(app).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(failed)?;
            if writing.bytes.saturating_add(piece.len() as u64) > max_bytes {
                return Err(StoreError::QuotaExceeded(Quota::Files));
            }
            writing = writing.write(piece).await?;
        }
        Ok(writing.complete())
    }

    async fn read(&self, app: AppId, hash: BlobHash) -> Result<Option<Bytes>, StoreError> {
        let read = move |dir: Dir| match dir.read(hash.to_string()) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) => absent(error),
        };
        Ok(self.with_app(app, read).await?.flatten())
    }

    async fn open(
        &self,
        app: AppId,
        hash: BlobHash,
        offset: u64,
    ) -> Result<Option<Pieces>, StoreError> {
        let open = move |dir: Dir| match dir.open(hash.to_string()) {
            Ok(mut file) => {
                file.seek(io::SeekFrom::Start(offset))?;
                Ok(Some(file))
            }
            Err(error) => absent(error),
        };
        let file = self.with_app(app, open).await?.flatten();
        Ok(file.map(|file| stream::try_unfold(file, next_piece).boxed()))
    }

    async fn remove(&self, app: AppId, hashes: &[BlobHash]) -> Result<(), StoreError> {
        if self.is_held() {
            return Ok(());
        }
        let hashes = hashes.to_vec();
        let remove = move |dir: Dir| {
            for hash in hashes {
                match dir.remove_file(hash.to_string()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        };
        self.with_app(app, remove).await.map(drop)
    }

    async fn apps(&self) -> Result<Vec<AppId>, StoreError> {
        let root = Arc::clone(&self.root);
        blocking(move || {
            let mut apps = Vec::new();
            for entry in root.entries()? {
                let name = entry?.file_name();
                apps.extend(name.to_str().and_then(|name| name.parse().ok()).map(AppId));
            }
            Ok(apps)
        })
        .await
    }

    async fn older_than(&self, app: AppId, before_ms: u64) -> Result<Vec<BlobHash>, StoreError> {
        let before = UNIX_EPOCH + Duration::from_millis(before_ms);
        let list = move |dir: Dir| {
            let mut old = Vec::new();
            for entry in dir.entries()? {
                let entry = entry?;
                if entry.metadata()?.modified()?.into_std() >= before {
                    continue;
                }
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.starts_with(INCOMING) {
                    // Left by a process that was killed.
                    dir.remove_file(name)?;
                }
                old.extend(name.parse::<BlobHash>());
            }
            Ok(old)
        };
        Ok(self.with_app(app, list).await?.unwrap_or_default())
    }

    async fn remove_app(&self, app: AppId) -> Result<(), StoreError> {
        if self.is_held() { Ok(()) } else { self.discard(app).await }
    }
}

/// Keeps contents from being removed.
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A file under the name by which it came. Dropped before it was kept, it is
/// removed.
struct Incoming {
    dir: Dir,
    name: String,
    file: File,
    is_kept: AtomicBool,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.is_kept.load(Ordering::Acquire) {
            return;
        }
        let Ok(dir) = self.dir.try_clone() else { return };
        let name = std::mem::take(&mut self.name);
        // What is left here is removed when it is old.
        let remove = move || drop(dir.remove_file(name));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// What is written so far.
pub(crate) struct Writing {
    incoming: Incoming,
    hash: Sha256,
    bytes: u64,
}

impl Writing {
    pub(crate) async fn write(mut self, piece: Bytes) -> Result<Self, StoreError> {
        blocking(move || {
            self.hash.update(&piece);
            self.bytes += piece.len() as u64;
            self.incoming.file.write_all(&piece)?;
            Ok(self)
        })
        .await
    }

    pub(crate) fn complete(self) -> Box<dyn Staged> {
        let hash = BlobHash::from(<[u8; 32]>::from(self.hash.finalize()));
        Box::new(Complete { incoming: Arc::new(self.incoming), hash, bytes: self.bytes })
    }
}

/// What is wholly written, and not yet under its hash.
struct Complete {
    incoming: Arc<Incoming>,
    hash: BlobHash,
    bytes: u64,
}

#[async_trait]
impl Staged for Complete {
    fn hash(&self) -> BlobHash {
        self.hash
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn read(&self) -> Result<Bytes, StoreError> {
        let incoming = Arc::clone(&self.incoming);
        blocking(move || {
            let mut bytes = Vec::new();
            let mut file = &incoming.file;
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn keep(&self) -> Result<bool, StoreError> {
        let (incoming, name) = (Arc::clone(&self.incoming), self.hash.to_string());
        blocking(move || {
            incoming.file.sync_all()?;
            let is_new = !incoming.dir.try_exists(&name)?;
            // Over a file with the same bytes, which gets the younger age.
            incoming.dir.rename(&incoming.name, &incoming.dir, &name)?;
            incoming.is_kept.store(true, Ordering::Release);
            incoming.dir.open(".")?.sync_all()?;
            Ok(is_new)
        })
        .await
    }
}

async fn next_piece(mut file: File) -> io::Result<Option<(Bytes, File)>> {
    let read = move || {
        let mut piece = vec![0; PIECE_BYTES];
        let length = file.read(&mut piece)?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), file)))
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

fn name_of(app: AppId) -> String {
    app.0.to_string()
}

fn make_dir(parent: &Dir, name: &Path) -> io::Result<Dir> {
    match parent.create_dir_with(name, DirBuilder::new().mode(0o700)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.open_dir(name)
}

/// Nothing, if that is what the error is about.
fn absent<T>(error: io::Error) -> io::Result<Option<T>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?.map_err(failed)
}
