//! An app's files as they are on disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use picloud_manager_core::ReleaseCaps;

/// Folders that are never part of an app: state and secrets of a server that
/// runs beside it, and what other tools put there.
const IGNORED: [&str; 3] = [crate::config::DEFAULT_DATA_DIR, "target", "node_modules"];

/// Whether a path within an app's folder is no part of the app: hidden, an
/// editor's own, or in one of the folders that are never deployed.
#[must_use]
pub fn is_ignored(path: &Path) -> bool {
    path.components().any(|component| match component {
        Component::Normal(name) => is_ignored_name(name),
        _ => false,
    })
}

fn is_ignored_name(name: &OsStr) -> bool {
    // What is not UTF-8 is to be refused by name, not to be passed over.
    let Some(name) = name.to_str() else { return false };
    let is_hidden = name.starts_with('.') && name != ".well-known";
    // Vim writes 4913 to see whether it may; Emacs locks with #name#.
    let is_editors = name.ends_with('~')
        || name.ends_with("___")
        || (name.starts_with('#') && name.ends_with('#'))
        || name == "4913";
    is_hidden || is_editors || IGNORED.contains(&name)
}

/// Reads an app: a folder's files by their paths within it, or a single file.
///
/// # Errors
/// What cannot be read, what is no regular file, and what is larger than any
/// release may be.
pub fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Bytes>> {
    let about = || format!("cannot read {}", path.display());
    let mut reader = Reader { files: BTreeMap::new(), bytes: 0, caps: ReleaseCaps::default() };
    if fs::metadata(path).with_context(about)?.is_dir() {
        reader.folder(path, "")?;
    } else {
        let name = path.file_name().and_then(OsStr::to_str);
        let name = name.with_context(|| format!("{} has no usable name", path.display()))?;
        reader.file(path, name.to_owned())?;
    }
    if reader.files.is_empty() {
        bail!("there is nothing to deploy in {}", path.display());
    }
    Ok(reader.files)
}

struct Reader {
    files: BTreeMap<String, Bytes>,
    bytes: u64,
    caps: ReleaseCaps,
}

impl Reader {
    fn folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let about = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(folder).with_context(about)? {
            let entry = entry.with_context(about)?;
            if is_ignored_name(&entry.file_name()) {
                continue;
            }
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().with_context(|| {
                format!("the name of {} is not UTF-8; rename or remove it", path.display())
            })?;
            let within = format!("{prefix}{name}");
            let kind = entry.file_type().with_context(about)?;
            if kind.is_dir() {
                self.folder(&path, &format!("{within}/"))?;
            } else if kind.is_file() {
                self.file(&path, within)?;
            } else {
                bail!("{} is not a file: a release holds files, not links", path.display());
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, within: String) -> anyhow::Result<()> {
        // Asked first, so that a huge file is never read.
        let about = || format!("cannot read {}", path.display());
        self.bytes += fs::metadata(path).with_context(about)?.len();
        if self.bytes > self.caps.bytes {
            let max = super::text::bytes(self.caps.bytes);
            bail!("the app is too large at {}: a release may have {max}", path.display());
        }
        self.files.insert(within, fs::read(path).with_context(about)?.into());
        if self.files.len() as u64 > self.caps.files {
            bail!("the app has too many files: a release may have {}", self.caps.files);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
    }

    #[test]
    fn a_folder_is_its_files_without_state_secrets_and_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let app = ["index.rhai", "lib/a.rhai", "public/.well-known/x.txt", "posts/[id].rhai"];
        write(folder.path(), &app);
        write(
            folder.path(),
            &[
                ".env",
                ".git/config",
                ".picloud/picloud.db",
                "picloud-data/admin-token",
                "target/debug/x",
                "node_modules/x/index.js",
                "lib/.a.rhai.swp",
                "index.rhai~",
                "4913",
                "#index.rhai#",
            ],
        );
        let mut expected = app.to_vec();
        expected.sort_unstable();
        let files = read(folder.path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), expected);
        assert_eq!(files["lib/a.rhai"], "lib/a.rhai");
    }

    #[test]
    fn a_file_is_an_app_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["hello.rhai", "other.rhai"]);
        let files = read(&folder.path().join("hello.rhai")).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["hello.rhai"]);
    }

    #[test]
    fn what_cannot_be_deployed_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let check = |expected: &str| {
            let error = format!("{:#}", read(folder.path()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("nothing to deploy");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        check("not links");
        fs::remove_file(folder.path().join("link")).unwrap();
        fs::File::create(folder.path().join("big")).unwrap().set_len(10 << 20).unwrap();
        assert!(read(folder.path()).is_ok());
        write(folder.path(), &["one.rhai"]);
        check("too large");
        let missing = format!("{:#}", read(Path::new("no/such/app")).unwrap_err());
        assert!(missing.contains("cannot read no/such/app"), "{missing}");
    }
}
