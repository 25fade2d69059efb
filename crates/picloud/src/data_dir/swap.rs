//! Putting restored databases in the place of those that are there.
//!
//! What is restored is made in `restoring`. Once it is whole it is called
//! `restored`; from that moment on it takes the place of what was there, however
//! often the process ends on the way: whoever opens the directory next goes on.
//! What was there is kept in `before-restore-1`, or the next number.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use picloud_shared::fault;

const MAKING: &str = "restoring";
const MADE: &str = "restored";
const REPLACED: &str = "replaced";

/// What is replaced. Names that go along with one come before it: a log of
/// changes must not meet another database than its own.
const ENTRIES: &[&[&str]] = &[
    &["picloud.db-wal", "picloud.db-shm", "picloud.db"],
    &["history.db-wal", "history.db-shm", "history.db"],
    &["files"],
];

/// Whether there is anything that would be replaced.
pub(super) fn is_empty(dir: &Path) -> bool {
    !ENTRIES.iter().filter_map(|names| names.last()).any(|name| dir.join(name).exists())
}

/// An empty directory in which to make what is restored.
pub(super) fn begin(dir: &Path) -> io::Result<PathBuf> {
    let making = dir.join(MAKING);
    absent(std::fs::remove_dir_all(&making))?;
    DirBuilder::new().mode(0o700).create(&making)?;
    Ok(making)
}

/// Has what was made replace what is there. Where that is kept, if there was
/// anything.
pub(super) fn commit(dir: &Path) -> io::Result<Option<PathBuf>> {
    let making = dir.join(MAKING);
    for name in ENTRIES.iter().flat_map(|names| names.iter()) {
        if name.ends_with("-wal") && making.join(name).exists() {
            return Err(io::Error::other(format!("{name} was not closed")));
        }
    }
    for name in ENTRIES.iter().filter_map(|names| names.last()) {
        sync(&making.join(name))?;
    }
    sync(&making)?;
    std::fs::rename(&making, dir.join(MADE))?;
    sync(dir)?;
    finish(dir)
}

/// Goes on with what [`commit`] has begun, if it has.
pub(super) fn finish(dir: &Path) -> io::Result<Option<PathBuf>> {
    let (made, replaced) = (dir.join(MADE), dir.join(REPLACED));
    if made.exists() {
        match DirBuilder::new().mode(0o700).create(&replaced) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for names in ENTRIES {
            // The last one goes in last: as long as it is to come, what lies
            // in its place is what was there before.
            let Some(last) = names.last().filter(|last| made.join(last).exists()) else { continue };
            for name in *names {
                fault::point("restore.swap");
                absent(std::fs::rename(dir.join(name), replaced.join(name)))?;
            }
            fault::point("restore.swap");
            std::fs::rename(made.join(last), dir.join(last))?;
        }
        sync(dir)?;
        absent(std::fs::remove_dir_all(&made))?;
    }
    if !replaced.exists() {
        return Ok(None);
    }
    sync(&replaced)?;
    fault::point("restore.swap");
    if std::fs::read_dir(&replaced)?.next().is_none() {
        std::fs::remove_dir(&replaced)?;
        return Ok(None);
    }
    let mut names = (1_u32..).map(|n| dir.join(format!("before-restore-{n}")));
    let Some(kept) = names.find(|name| !name.exists()) else { return Ok(None) };
    std::fs::rename(&replaced, &kept)?;
    sync(dir)?;
    Ok(Some(kept))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, what: &str) {
        for name in ["picloud.db", "history.db"] {
            std::fs::write(dir.join(name), what).unwrap();
        }
        std::fs::create_dir(dir.join("files")).unwrap();
        std::fs::write(dir.join("files/one"), what).unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_there_is_kept_with_its_logs() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        std::fs::write(dir.join("master.key"), "key").unwrap();
        assert!(is_empty(dir));
        write(&begin(dir).unwrap(), "first");
        assert_eq!(commit(dir).unwrap(), None);
        assert_eq!(names(dir), ["files", "history.db", "master.key", "picloud.db"]);
        assert!(!is_empty(dir));

        std::fs::write(dir.join("picloud.db-wal"), "changes").unwrap();
        // Left by a process that was killed.
        begin(dir).unwrap();
        write(&begin(dir).unwrap(), "second");
        let kept = commit(dir).unwrap().unwrap();
        assert_eq!(kept, dir.join("before-restore-1"));
        assert_eq!(names(&kept), ["files", "history.db", "picloud.db", "picloud.db-wal"]);
        assert_eq!(std::fs::read(kept.join("files/one")).unwrap(), b"first");
        assert_eq!(std::fs::read(dir.join("files/one")).unwrap(), b"second");
        assert!(!dir.join("picloud.db-wal").exists());

        write(&begin(dir).unwrap(), "third");
        assert_eq!(commit(dir).unwrap(), Some(dir.join("before-restore-2")));
        assert_eq!(finish(dir).unwrap(), None);
    }

    #[test]
    fn a_database_that_was_not_closed_replaces_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let making = begin(temp.path()).unwrap();
        write(&making, "new");
        std::fs::write(making.join("history.db-wal"), "changes").unwrap();
        commit(temp.path()).unwrap_err();
        assert_eq!(names(temp.path()), ["restoring"]);
    }
}
