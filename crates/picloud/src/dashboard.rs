//! The dashboard's files: packed into the binary by `build.rs`, or read from a
//! directory that whoever starts the server names.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use picloud_shared::files::content_type_of;
use sha2::{Digest, Sha256};

/// The document that every page is made of.
pub const INDEX: &str = "index.html";

/// Paths and the files' contents, compressed with gzip.
static PACKED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// A built dashboard, in memory; it may have no file at all.
#[derive(Default)]
pub struct Dashboard {
    /// By path, without a slash before it.
    files: HashMap<String, File>,
}

/// One of its files. Nearly every client takes it as it is kept.
pub struct File {
    pub content_type: String,
    gzip: Bytes,
    hash: String,
}

impl Dashboard {
    /// The one in a directory, or else the one in this binary.
    ///
    /// # Errors
    /// What cannot be read, and a directory that holds no [`INDEX`].
    pub fn of(dir: Option<&Path>) -> anyhow::Result<Self> {
        dir.map_or_else(|| Ok(Self::packed()), Self::load)
    }

    fn packed() -> Self {
        let file = |(path, gzip): &(&str, &'static [u8])| {
            ((*path).to_owned(), File::new(path, Bytes::from_static(gzip)))
        };
        Self { files: PACKED.iter().map(file).collect() }
    }

    fn load(dir: &Path) -> anyhow::Result<Self> {
        let mut dashboard = Self::default();
        let read = dashboard.add(dir, "");
        read.with_context(|| format!("cannot read the dashboard in {}", dir.display()))?;
        let has_index = dashboard.files.contains_key(INDEX);
        anyhow::ensure!(has_index, "{} holds no {INDEX}, so it is no dashboard", dir.display());
        Ok(dashboard)
    }

    fn add(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.add(&entry.path(), &format!("{path}/"))?;
                continue;
            }
            let contents = std::fs::File::open(entry.path())?;
            let mut gzip = Vec::new();
            GzEncoder::new(contents, Compression::default()).read_to_end(&mut gzip)?;
            let file = File::new(&path, gzip.into());
            self.files.insert(path, file);
        }
        Ok(())
    }

    /// The file at this path, which has no slash before it.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }
}

impl File {
    fn new(path: &str, gzip: Bytes) -> Self {
        let hash = hex::encode(Sha256::digest(&gzip));
        Self { content_type: content_type_of(path), gzip, hash }
    }

    /// The contents, compressed.
    #[must_use]
    pub fn gzip(&self) -> Bytes {
        self.gzip.clone()
    }

    /// The contents as they are.
    ///
    /// # Errors
    /// None for what was packed by this program.
    pub fn plain(&self) -> io::Result<Bytes> {
        let mut plain = Vec::new();
        GzDecoder::new(&*self.gzip).read_to_end(&mut plain)?;
        Ok(plain.into())
    }

    /// The strong entity tag of one form, with its quotes.
    #[must_use]
    pub fn etag(&self, is_gzip: bool) -> String {
        let form = if is_gzip { "-gzip" } else { "" };
        format!("\"{}{form}\"", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_whole() {
        let packed = Dashboard::of(None).unwrap();
        assert_eq!(packed.files.len(), PACKED.len());
        // Where no dashboard was to be had there is no file at all.
        assert_eq!(packed.find(INDEX).is_some(), !PACKED.is_empty());
        for (path, file) in &packed.files {
            assert!(file.plain().is_ok(), "{path}");
        }
    }

    #[test]
    fn a_directory_without_the_document_is_no_dashboard() {
        let dir = tempfile::tempdir().unwrap();
        let error = Dashboard::of(Some(dir.path())).err().unwrap().to_string();
        assert!(error.contains("holds no index.html"), "{error}");
        let error = Dashboard::of(Some(&dir.path().join("none"))).err().unwrap().to_string();
        assert!(error.contains("cannot read the dashboard in"), "{error}");
    }
}
