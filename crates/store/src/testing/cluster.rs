//! A throwaway PostgreSQL server.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use uuid::Uuid;

use super::after_exit;

/// A running server in a directory of its own, reached through a socket there.
/// It is stopped and its directory removed when this process ends, also by a
/// panic or a signal.
pub(super) struct Cluster {
    url: String,
    /// Holds the pipe whose closing stops the server.
    _stop: Child,
}

/// The user whom the server runs as. It refuses to be root.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Starts a server, or says why there can be none.
    pub(super) fn start() -> Result<Self, String> {
        let bin = programs().ok_or("there is no initdb in PATH or /usr/lib/postgresql")?;
        // Short, for a socket's path may have no more than about 100 bytes.
        let id = Uuid::new_v4().simple().to_string();
        let dir = std::env::temp_dir().join(format!("picloud-pg-{}", id.get(..8).unwrap_or(&id)));
        let failed = |error| format!("{} cannot be made: {error}", dir.display());
        fs::DirBuilder::new().mode(0o700).create(&dir).map_err(failed)?;
        let user = server_user(&dir).map_err(failed)?;

        // Before there is anything to stop, so that nothing is left behind by
        // an end at any moment from here on.
        let stop = "cat; \"$0\" stop --mode=immediate --pgdata=\"$1/data\"; rm -rf \"$1\"";
        let mut stop = after_exit(stop);
        stop.arg(bin.join("pg_ctl")).arg(&dir).current_dir("/").stderr(Stdio::null());
        let stop = become_user(&mut stop, user).spawn().map_err(failed)?;

        let path = dir.display();
        let data = format!("--pgdata={path}/data");
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args([&data, "--username=picloud", "--auth=trust", "--encoding=UTF8"]);
        initdb.args(["--no-locale", "--no-sync"]);
        run(&mut initdb, &dir, user)?;

        // No TCP. Nothing here needs to survive the machine's crash.
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={path} -c fsync=off \
             -c full_page_writes=off -c max_connections=400 -c deadlock_timeout=100ms"
        );
        let mut start = Command::new(bin.join("pg_ctl"));
        start.args([&data, &format!("--log={path}/log"), &format!("--options={options}")]);
        start.args(["--wait", "--silent", "start"]);
        run(&mut start, &dir, user)?;
        Ok(Self { url: format!("postgres:///postgres?host={path}&user=picloud"), _stop: stop })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// The directory of the newest `initdb` and `pg_ctl`.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut bins: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Debian keeps them out of PATH, a directory per version.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    versions.sort();
    bins.extend(versions.into_iter().rev());
    bins.into_iter().find(|bin| bin.join("initdb").exists() && bin.join("pg_ctl").exists())
}

/// Root hands the directory to another user and names them; anybody else runs
/// the server as themselves.
fn server_user(dir: &Path) -> std::io::Result<Option<User>> {
    if fs::metadata(dir)?.uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let user = ["postgres", "nobody"].iter().find_map(|name| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(|id| id.parse().ok());
        Some(User { uid: ids.next()??, gid: ids.next()?? })
    });
    if let Some(User { uid, gid }) = user {
        chown(dir, Some(uid), Some(gid))?;
    }
    Ok(user)
}

fn become_user(command: &mut Command, user: Option<User>) -> &mut Command {
    match user {
        Some(User { uid, gid }) => command.uid(uid).gid(gid),
        None => command,
    }
}

fn run(command: &mut Command, dir: &Path, user: Option<User>) -> Result<(), String> {
    let output = become_user(command, user).current_dir(dir).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
            let error = String::from_utf8_lossy(&output.stderr);
            Err(format!("{}: {error}{log}", command.get_program().display()))
        }
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    }
}
