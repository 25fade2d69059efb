//! Watching an app's files: one signal per burst of changes, without polling.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{EventKind, MetadataKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// A burst is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(40);
/// A burst that does not end is taken for several.
const LONGEST: Duration = Duration::from_millis(500);

/// Watches an app's folder, or its only file, until it is dropped.
pub struct Watch {
    bursts: Bursts,
    _watcher: RecommendedWatcher,
}

/// Signals, gathered into bursts.
struct Bursts {
    changes: mpsc::Receiver<()>,
    /// When the burst under way is over at the latest.
    end: Option<Instant>,
}

/// What of all that changes is meant.
struct Scope {
    /// Canonical, as the watcher's paths are.
    folder: PathBuf,
    /// The only file that matters; `None` for all that are not ignored.
    file: Option<OsString>,
    is_ignored: fn(&Path) -> bool,
}

impl Watch {
    /// Begins to watch; what changes from now on is noticed. Of a folder,
    /// `is_ignored` tells the paths within it that do not matter.
    pub fn start(path: &Path, is_ignored: fn(&Path) -> bool) -> anyhow::Result<Self> {
        let path = path.canonicalize()?;
        let (scope, mode) = if path.is_dir() {
            (Scope { folder: path, file: None, is_ignored }, RecursiveMode::Recursive)
        } else {
            // Editors replace a file by another one, so it is its folder that
            // has to be watched.
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            let file = path.file_name().map(ToOwned::to_owned);
            (Scope { folder, file, is_ignored }, RecursiveMode::NonRecursive)
        };
        let folder = scope.folder.clone();
        // One signal is enough, however many changes it stands for.
        let (signal, changes) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // After an error nobody knows what changed: anything may have.
                if event.map_or(true, |event| scope.concerns(&event)) {
                    let _ = signal.try_send(());
                }
            })?;
        watcher.watch(&folder, mode)?;
        Ok(Self { bursts: Bursts { changes, end: None }, _watcher: watcher })
    }

    /// Waits for the next burst of changes to be over. Whoever stops waiting
    /// and waits again misses none.
    pub async fn changed(&mut self) {
        self.bursts.settled().await;
    }
}

impl Bursts {
    /// Waits for a signal and then for the silence after it.
    async fn settled(&mut self) {
        let end = if let Some(end) = self.end {
            end
        } else {
            if self.changes.recv().await.is_none() {
                // The watcher is gone, and with it all that could change.
                return std::future::pending().await;
            }
            *self.end.insert(Instant::now() + LONGEST)
        };
        while let Ok(Some(())) =
            timeout_at(end.min(Instant::now() + QUIET), self.changes.recv()).await
        {}
        self.end = None;
    }
}

impl Scope {
    fn concerns(&self, event: &notify::Event) -> bool {
        let is_change = match event.kind {
            // Reading is no change, nor is what reading does to the times.
            EventKind::Access(_)
            | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => false,
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => true,
        };
        is_change && (event.need_rescan() || event.paths.iter().any(|path| self.includes(path)))
    }

    fn includes(&self, path: &Path) -> bool {
        match (&self.file, path.strip_prefix(&self.folder)) {
            (Some(file), _) => path.file_name() == Some(file),
            (None, Ok(within)) => !(self.is_ignored)(within),
            (None, Err(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use notify::event::{AccessKind, CreateKind, DataChange};

    use super::*;

    fn bursts() -> (mpsc::Sender<()>, Bursts) {
        let (signal, changes) = mpsc::channel(1);
        (signal, Bursts { changes, end: None })
    }

    fn is_hidden(path: &Path) -> bool {
        path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
    }

    #[test]
    fn only_changes_of_the_apps_own_files_concern_it() {
        let check = |file: Option<&str>, kind: EventKind, path: &str, expected: bool| {
            let file = file.map(Into::into);
            let scope = Scope { folder: "/app".into(), file, is_ignored: is_hidden };
            let event = notify::Event::new(kind).add_path(path.into());
            assert_eq!(scope.concerns(&event), expected, "{kind:?} {path}");
        };
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let created = EventKind::Create(CreateKind::Any);
        let read = EventKind::Access(AccessKind::Any);
        check(None, written, "/app/index.rhai", true);
        check(None, created, "/app/posts/[id].rhai", true);
        check(None, read, "/app/index.rhai", false);
        check(None, written, "/app/.picloud/picloud.db-wal", false);
        check(None, created, "/app/lib/.x.swp", false);
        check(None, written, "/elsewhere/index.rhai", false);
        check(Some("a.rhai"), written, "/app/a.rhai", true);
        check(Some("a.rhai"), written, "/app/b.rhai", false);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_signal_and_does_not_wait_for_ever() {
        let (signal, mut bursts) = bursts();
        let start = Instant::now();
        let busy = tokio::spawn(async move {
            loop {
                tokio::time::sleep(QUIET / 2).await;
                if signal.send(()).await.is_err() {
                    return;
                }
            }
        });
        bursts.settled().await;
        assert!(start.elapsed() >= LONGEST && start.elapsed() < LONGEST * 2);
        busy.abort();
        let _ = busy.await;

        let (signal, mut bursts) = self::bursts();
        let start = Instant::now();
        signal.try_send(()).unwrap();
        bursts.settled().await;
        assert_eq!(start.elapsed(), QUIET);
        assert!(bursts.changes.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_in_the_middle_of_a_burst_does_not_miss_it() {
        let (signal, mut bursts) = bursts();
        signal.try_send(()).unwrap();
        tokio::time::timeout(QUIET / 2, bursts.settled()).await.unwrap_err();
        tokio::time::timeout(QUIET * 2, bursts.settled()).await.unwrap();
        tokio::time::timeout(LONGEST * 2, bursts.settled()).await.unwrap_err();
    }

    #[tokio::test]
    async fn saving_a_file_in_whatever_way_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index.rhai");
        fs::write(&file, "1").unwrap();
        for path in [folder.path(), file.as_path()] {
            let mut watch = Watch::start(path, is_hidden).unwrap();
            fs::write(&file, "2").unwrap();
            watch.changed().await;

            let temporary = folder.path().join(".index.rhai.tmp");
            fs::write(&temporary, "3").unwrap();
            fs::rename(&temporary, &file).unwrap();
            watch.changed().await;
        }
        let mut watch = Watch::start(folder.path(), is_hidden).unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        watch.changed().await;
        fs::write(folder.path().join("lib/new.rhai"), "4").unwrap();
        watch.changed().await;
    }
}
