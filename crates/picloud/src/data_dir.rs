//! The data directory: one process at a time, the admin's token, the master key.

mod swap;

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use picloud_shared::vault::KEY_BYTES;

use crate::config::MasterKey;

/// Where the admin's token is kept within the data directory.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";

/// Where the master key is kept within the data directory.
pub const MASTER_KEY_FILE: &str = "master.key";

/// A data directory that this process has to itself until this is dropped, or
/// the process dies in whatever way.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the directory, making it if need be, for its owner alone.
    ///
    /// # Errors
    /// If another process has it, or it cannot be written to.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if !path.exists() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.with_context(|| format!("cannot make the data directory {shown}"))?;
        }
        if let Err(error) = restrict(path) {
            tracing::warn!(%error, path = %shown, "others may read the data directory");
        }
        let mut options = OpenOptions::new();
        let lock = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write to the data directory {shown}"))?;
        match lock.try_lock() {
            Ok(()) => {
                let dir = Self { path: path.to_owned(), _lock: lock };
                // A restore that was interrupted on its last step.
                let finished = swap::finish(path);
                finished.with_context(|| format!("cannot go on with the restore in {shown}"))?;
                Ok(dir)
            }
            Err(TryLockError::WouldBlock) => bail!(
                "the data directory {shown} is in use by another picloud; \
                 stop that one, or choose another directory with --data-dir"
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock the data directory {shown}"))
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there are no databases and no files in it.
    pub fn is_empty(&self) -> bool {
        swap::is_empty(&self.path)
    }

    /// An empty directory within, in which to make databases and files.
    pub fn begin_restore(&self) -> anyhow::Result<PathBuf> {
        let shown = self.path.display();
        swap::begin(&self.path).with_context(|| format!("cannot write to {shown}"))
    }

    /// Has what was made there replace what is here. Where that is kept, if
    /// there was anything.
    pub fn commit_restore(&self) -> anyhow::Result<Option<PathBuf>> {
        let shown = self.path.display();
        swap::commit(&self.path).with_context(|| format!("cannot replace what is in {shown}"))
    }

    pub fn has_master_key(&self) -> bool {
        self.path.join(MASTER_KEY_FILE).exists()
    }

    /// The admin's token, made at the first start. The file is readable by its
    /// owner alone.
    pub fn admin_token(&self) -> anyhow::Result<String> {
        let make = || format!("pic_{}", hex::encode(rand::random::<[u8; 32]>()));
        let token = self.read_or_make(ADMIN_TOKEN_FILE, make)?;
        if token.len() < 16 {
            let shown = self.path.join(ADMIN_TOKEN_FILE);
            bail!("{} holds no token; delete it and a new one is made", shown.display());
        }
        Ok(token)
    }

    /// The key that secrets are sealed with, made at the first start. The file
    /// is readable by its owner alone.
    pub fn master_key(&self) -> anyhow::Result<[u8; KEY_BYTES]> {
        let make = || hex::encode(rand::random::<[u8; KEY_BYTES]>());
        let text = self.read_or_make(MASTER_KEY_FILE, make)?;
        let key: Result<MasterKey, _> = text.parse();
        let shown = self.path.join(MASTER_KEY_FILE);
        let advice = "put it back from a backup: what was sealed with it cannot be opened without";
        let key = key.map_err(|error| anyhow!("{}: {error}; {advice}", shown.display()))?;
        Ok(key.0)
    }

    /// A file's line, or the one that is made for it.
    fn read_or_make(&self, name: &str, make: impl FnOnce() -> String) -> anyhow::Result<String> {
        let path = self.path.join(name);
        let context = || format!("cannot use {}", path.display());
        match File::open(&path) {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).with_context(context)?;
                Ok(text.trim().to_owned())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let text = make();
                let mut options = OpenOptions::new();
                let file = options.create_new(true).write(true).mode(0o600).open(&path);
                let mut file = file.with_context(context)?;
                writeln!(file, "{text}").and_then(|()| file.sync_all()).with_context(context)?;
                Ok(text)
            }
            Err(error) => Err(error).with_context(context),
        }
    }
}

/// Closes a directory that is ours to all others, who may have made it for us
/// with whatever mode.
fn restrict(path: &Path) -> std::io::Result<()> {
    let metadata = path.metadata()?;
    if metadata.mode() & 0o777 == 0o700 {
        return Ok(());
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(std::io::Error::other("it belongs to another user"));
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_serves_one_process_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let second = DataDir::open(&path).err().expect("it is in use");
        assert!(second.to_string().contains("in use by another picloud"), "{second}");
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_directory_that_was_open_to_others_is_closed_to_them() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let _dir = DataDir::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_token_is_made_once_and_is_its_owners_alone() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let token = dir.admin_token().unwrap();
        assert!(token.len() > 60);
        assert_eq!(dir.admin_token().unwrap(), token);
        let mode = std::fs::metadata(temp.path().join(ADMIN_TOKEN_FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn the_master_key_is_made_once_and_never_guessed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let key = dir.master_key().unwrap();
        assert_eq!(dir.master_key().unwrap(), key);
        let path = temp.path().join(MASTER_KEY_FILE);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        std::fs::write(&path, "damaged").unwrap();
        let error = dir.master_key().unwrap_err().to_string();
        assert!(error.contains("put it back from a backup"), "{error}");
    }
}
