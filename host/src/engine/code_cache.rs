//! The compiled guest on disk.
//!
//! Loading compiled code is running it, so the file is trusted only if it lies
//! in a directory that nobody else can write to and has the digest that was
//! noted when it was written. Whatever is wrong with it, the answer is to
//! compile again.

use std::fs::{self, DirBuilder};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// One guest's place in the cache directory.
pub(super) struct CodeCache {
    code: PathBuf,
    digest: PathBuf,
}

impl CodeCache {
    /// Opens the directory, making it if need be, with access for its owner alone.
    pub(super) fn open(dir: &Path, engine: &Engine, guest: &[u8]) -> io::Result<Self> {
        if !dir.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let metadata = fs::metadata(dir)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;

        let key = key(engine, guest);
        Ok(Self {
            code: dir.join(format!("guest-{key}.cwasm")),
            digest: dir.join(format!("guest-{key}.sha256")),
        })
    }

    /// The compiled guest, if it is there and unharmed.
    pub(super) fn load(&self, engine: &Engine) -> Option<Component> {
        let expected = fs::read_to_string(&self.digest).ok()?;
        let bytes = fs::read(&self.code).ok()?;
        if expected != hex::encode(Sha256::digest(&bytes)) {
            tracing::warn!(file = %self.code.display(), "the compiled guest is damaged; compiling it again");
            return None;
        }
        #[expect(unsafe_code, reason = "the file is ours alone and has the digest we noted")]
        // SAFETY: the bytes are what `Component::serialize` returned, as the
        // digest shows, in a directory that only this user can write to;
        // wasmtime itself refuses another version's or configuration's code.
        let component = unsafe { Component::deserialize_file(engine, &self.code) };
        component
            .inspect_err(|error| tracing::warn!(%error, "the compiled guest does not load; compiling it again"))
            .ok()
    }

    /// Keeps compiled code. A crash on the way leaves a file that `load` refuses.
    pub(super) fn save(&self, bytes: &[u8]) -> io::Result<()> {
        write(&self.code, bytes)?;
        write(&self.digest, hex::encode(Sha256::digest(bytes)).as_bytes())
    }
}

/// Writes beside the file and renames, for another process may have it mapped.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}

/// Names what the compiled code depends on: the guest, wasmtime's version and
/// every setting that changes code.
fn key(engine: &Engine, guest: &[u8]) -> String {
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(Sha256::new());
    guest.hash(&mut feed);
    engine.precompile_compatibility_hash().hash(&mut feed);
    hex::encode(feed.0.finalize().get(..12).unwrap_or_default())
}
