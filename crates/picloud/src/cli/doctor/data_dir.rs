//! What is seen of a data directory on this machine.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{statfs, statvfs};

use super::{Check, process};
use crate::cli::text;
use crate::config::MasterKey;
use crate::data_dir::{ADMIN_TOKEN_FILE, MASTER_KEY_FILE};

/// Less free space than this is soon none.
const LITTLE_BYTES: u64 = 1 << 30;
/// With less than this the next deploy may fail.
const NO_BYTES: u64 = 64 << 20;
/// Files that can still be made: each that a script writes is one.
const FEW_INODES: u64 = 10_000;
const NO_INODES: u64 = 100;

/// Kinds of file systems by the magic number in `statfs`, as statfs(2) has them.
const KINDS: [(u32, &str, Kind); 11] = [
    (0x0000_6969, "NFS", Kind::Remote),
    (0x0000_517B, "SMB", Kind::Remote),
    (0xFF53_4D42, "CIFS", Kind::Remote),
    (0xFE53_4D42, "SMB2", Kind::Remote),
    (0x5346_414F, "AFS", Kind::Remote),
    (0x00C3_6400, "Ceph", Kind::Remote),
    (0x0102_1997, "9P", Kind::Remote),
    (0x6573_5546, "FUSE", Kind::Unknown),
    (0x0102_1994, "tmpfs", Kind::Fleeting),
    (0x8584_58F6, "ramfs", Kind::Fleeting),
    (0x794C_7630, "overlayfs", Kind::Layer),
];

#[derive(Clone, Copy)]
enum Kind {
    /// Elsewhere: its locks and flushes are not to be trusted.
    Remote,
    /// Local or not.
    Unknown,
    /// Gone when the machine is off.
    Fleeting,
    /// Usually a container's, and gone with it.
    Layer,
}

/// Everything about the directory and the process that has it. `server_is_here`
/// says that a server on this machine has answered.
pub fn checks(dir: &Path, places: usize, server_is_here: bool) -> Vec<Check> {
    let mode = dir.metadata().map(|found| found.is_dir().then(|| found.permissions().mode()));
    let mut checks = vec![directory(dir, &mode)];
    // What else is wrong is not to be seen from outside of it.
    if !matches!(mode, Ok(Some(_))) || std::fs::read_dir(dir).is_err() {
        return checks;
    }
    let holder = process::holder(&dir.join("lock"));
    let has_sqlite = dir.join("picloud.db").exists();
    checks.push(in_use(holder, server_is_here));
    checks.push(master_key(dir, read(dir, MASTER_KEY_FILE)));
    checks.push(admin_token(dir, read(dir, ADMIN_TOKEN_FILE)));
    if let Ok(found) = statfs(dir) {
        checks.push(file_system(u32::try_from(found.f_type).unwrap_or_default(), has_sqlite));
    }
    if let Ok(found) = statvfs(dir) {
        let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
        checks.push(space(free_bytes));
        // Some file systems make inodes as they need them and count none.
        if found.f_files > 0 {
            checks.push(inodes(found.f_favail));
        }
    }
    checks.extend(process::checks(holder, places));
    checks
}

fn directory(dir: &Path, mode: &std::io::Result<Option<u32>>) -> Check {
    const NAME: &str = "data-dir";
    let shown = dir.display();
    let whose = "run this as the user of the server, or as root";
    match mode {
        Ok(Some(mode)) if mode & 0o077 != 0 => {
            let found = format!("{shown} is open to others, with mode {:03o}", mode & 0o777);
            Check::problem(NAME, found, format!("chmod 700 {shown}"))
        }
        Ok(Some(_)) if std::fs::read_dir(dir).is_err() => {
            Check::problem(NAME, format!("{shown} cannot be read"), whose)
        }
        Ok(Some(_)) => Check::ok(NAME, format!("{shown} is its owner's alone")),
        Ok(None) => {
            Check::problem(NAME, format!("{shown} is no directory"), "name it with --data-dir")
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::problem(NAME, format!("{shown} is not there"), "name it with --data-dir")
        }
        Err(error) => Check::problem(NAME, format!("{shown}: {error}"), whose),
    }
}

fn in_use(holder: Option<u32>, server_is_here: bool) -> Check {
    const NAME: &str = "process";
    match holder {
        Some(pid) => Check::ok(NAME, format!("the process {pid} has the directory")),
        None if server_is_here => {
            let advice = "is it another server's? A server in a container is not seen from here";
            Check::warning(NAME, "a server answers, but no process has this directory", advice)
        }
        None => Check::warning(NAME, "no process has the directory", "start the server"),
    }
}

/// A file for its owner's eyes, with its mode; `None` if it is not there.
type Private = std::io::Result<Option<(u32, String)>>;

fn read(dir: &Path, name: &str) -> Private {
    let path = dir.join(name);
    match path.metadata() {
        Ok(found) => Ok(Some((found.permissions().mode(), std::fs::read_to_string(path)?))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn master_key(dir: &Path, file: Private) -> Check {
    const NAME: &str = "master-key";
    let path = dir.join(MASTER_KEY_FILE);
    let shown = path.display();
    match file {
        Ok(Some((_, text))) if text.trim().parse::<MasterKey>().is_err() => {
            let advice =
                "put it back from a backup: what was sealed with it cannot be opened without";
            Check::problem(NAME, format!("{shown} holds no key"), advice)
        }
        Ok(Some((mode, _))) if mode & 0o077 != 0 => open_to_others(NAME, &path, mode),
        Ok(Some(_)) => Check::ok(NAME, "it is there, for its owner alone")
            .advise("keep a copy, apart from other backups"),
        Ok(None) => {
            let advice = "right if the server gets it from PICLOUD_MASTER_KEY or its configuration; else put it back from a backup";
            Check::warning(NAME, format!("{shown} is not there"), advice)
        }
        Err(error) => {
            Check::problem(NAME, format!("{shown}: {error}"), "its owner has to be able to read it")
        }
    }
}

fn admin_token(dir: &Path, file: Private) -> Check {
    const NAME: &str = "admin-token";
    let path = dir.join(ADMIN_TOKEN_FILE);
    match file {
        Ok(Some((mode, _))) if mode & 0o077 != 0 => open_to_others(NAME, &path, mode),
        Ok(Some(_)) => Check::ok(NAME, "it is there, for its owner alone").advise(
            "it opens everything: work with an account, and keep it for when no account will do",
        ),
        Ok(None) => Check::ok(NAME, "it is not in the data directory"),
        Err(error) => {
            let found = format!("{}: {error}", path.display());
            Check::problem(NAME, found, "its owner has to be able to read it")
        }
    }
}

fn open_to_others(name: &'static str, path: &Path, mode: u32) -> Check {
    let shown = path.display();
    let found = format!("{shown} is open to others, with mode {:03o}", mode & 0o777);
    let advice = format!("chmod 600 {shown}; if others could reach it, make a new one");
    Check::problem(name, found, advice)
}

fn file_system(magic: u32, has_sqlite: bool) -> Check {
    const NAME: &str = "file-system";
    let Some((_, name, kind)) = KINDS.iter().find(|(known, ..)| *known == magic) else {
        return Check::ok(NAME, "it is local");
    };
    let local = "put the data directory on a local disk";
    match kind {
        Kind::Remote if has_sqlite => {
            Check::problem(NAME, format!("{name}: SQLite can lose data on it"), local)
        }
        Kind::Remote => Check::warning(NAME, format!("{name}: it can go away"), local),
        Kind::Unknown => Check::warning(NAME, format!("{name}: it may not be local"), local),
        Kind::Fleeting => {
            Check::warning(NAME, format!("{name}: it is gone when the machine is off"), local)
        }
        Kind::Layer => {
            let advice = "give the container a volume for the data directory";
            Check::warning(NAME, format!("{name}: a container's goes with the container"), advice)
        }
    }
}

fn space(free_bytes: u64) -> Check {
    const NAME: &str = "space";
    let found = format!("{} is free", text::bytes(free_bytes));
    let advice = "make room: without it writes are answered with 503";
    match free_bytes {
        0..NO_BYTES => Check::problem(NAME, found, advice),
        NO_BYTES..LITTLE_BYTES => Check::warning(NAME, found, advice),
        _ => Check::ok(NAME, found),
    }
}

fn inodes(free: u64) -> Check {
    const NAME: &str = "inodes";
    let found = format!("{} files can still be made", text::number(free));
    let advice = "delete what is not needed: each file that a script writes is one";
    match free {
        0..NO_INODES => Check::problem(NAME, found, advice),
        NO_INODES..FEW_INODES => Check::warning(NAME, found, advice),
        _ => Check::ok(NAME, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_directory_is_there_and_its_owners_alone() {
        let temp = tempfile::tempdir().unwrap();
        let state = |mode| directory(temp.path(), &mode).state;
        assert_eq!(state(Ok(Some(0o40_700))), State::Ok);
        assert_eq!(state(Ok(Some(0o40_750))), State::Problem);
        assert_eq!(state(Ok(None)), State::Problem);
        assert_eq!(state(Err(ErrorKind::NotFound.into())), State::Problem);
        let denied = directory(temp.path(), &Err(ErrorKind::PermissionDenied.into()));
        assert!(denied.advice.unwrap().contains("as root"));
    }

    #[test]
    fn somebody_has_the_directory() {
        assert_eq!(in_use(Some(7), true).found, "the process 7 has the directory");
        assert!(in_use(None, true).found.contains("a server answers"));
        assert_eq!(in_use(None, false).state, State::Warning);
    }

    #[test]
    fn keys_are_there_whole_and_their_owners_alone() {
        let dir = Path::new("/d");
        let key = "00".repeat(32);
        let of = |mode, text: &str| Ok(Some((mode, text.to_owned())));
        assert_eq!(master_key(dir, of(0o100_600, &format!("{key}\n"))).state, State::Ok);
        assert_eq!(master_key(dir, of(0o100_600, "damaged")).state, State::Problem);
        assert_eq!(master_key(dir, Ok(None)).state, State::Warning);
        let open = master_key(dir, of(0o100_640, &key));
        assert_eq!(open.state, State::Problem);
        assert_eq!(open.found, "/d/master.key is open to others, with mode 640");
        assert!(open.advice.unwrap().starts_with("chmod 600 /d/master.key"));

        let there = admin_token(dir, of(0o100_600, "pic_"));
        assert!(there.state == State::Ok && there.advice.is_some());
        assert_eq!(admin_token(dir, of(0o100_644, "pic_")).state, State::Problem);
        assert_eq!(
            admin_token(dir, Ok(None)),
            Check::ok("admin-token", "it is not in the data directory")
        );
        let denied = Err(ErrorKind::PermissionDenied.into());
        assert_eq!(admin_token(dir, denied).state, State::Problem);
    }

    #[test]
    fn a_file_system_is_local_and_stays() {
        let ext4 = 0xEF53;
        assert_eq!(file_system(ext4, true).state, State::Ok);
        assert_eq!(file_system(0x6969, true).state, State::Problem);
        assert_eq!(file_system(0x6969, false).state, State::Warning);
        assert_eq!(file_system(0x0102_1994, true).state, State::Warning);
        assert!(file_system(0x794C_7630, true).advice.unwrap().contains("volume"));
    }

    #[test]
    fn room_runs_out_with_a_warning() {
        let states = |check: fn(u64) -> Check, free: [u64; 3]| free.map(|free| check(free).state);
        let expected = [State::Problem, State::Warning, State::Ok];
        assert_eq!(states(space, [NO_BYTES - 1, NO_BYTES, LITTLE_BYTES]), expected);
        assert_eq!(states(inodes, [NO_INODES - 1, NO_INODES, FEW_INODES]), expected);
    }
}
