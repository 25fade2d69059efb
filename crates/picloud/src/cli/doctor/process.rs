//! What is seen of a server's process on this machine, in `/proc`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Check;
use crate::cli::text;

/// What one invocation may use.
const PLACE_BYTES: u64 = 64 << 20;
/// What scripts' images and requests' bodies may use together, beside places.
const SHARED_BYTES: u64 = (512 + 256) << 20;
/// As many connections as a server takes, an image each, and some for itself.
const WANTED_FILES: u64 = 8_192 + 512 + 1_000;

/// The process that has locked this file, as far as it can be seen from here.
pub fn holder(lock: &Path) -> Option<u32> {
    let inode = lock.metadata().ok()?.ino();
    locker(&fs::read_to_string("/proc/locks").ok()?, inode)
}

/// Of `/proc/locks`, who has the whole file of this inode. The device is left
/// out: some file systems show another one here than in a file's metadata.
fn locker(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next()? != "FLOCK" || words.nth(1)? != "WRITE" {
            return None;
        }
        let (pid, file) = (words.next()?, words.next()?);
        let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
        // A process of another namespace is 0 or less.
        if is_it { pid.parse().ok().filter(|pid| *pid > 0) } else { None }
    })
}

/// Limits against what a server with so many places may need.
pub fn checks(pid: Option<u32>, places: usize) -> Vec<Check> {
    let read = |path: String| fs::read_to_string(path).ok();
    let files = pid.and_then(|pid| max_open_files(&read(format!("/proc/{pid}/limits"))?));
    let group = pid.and_then(|pid| group(&read(format!("/proc/{pid}/cgroup"))?).map(str::to_owned));
    let group_bytes = group.and_then(|group| memory_max(Path::new("/sys/fs/cgroup"), &group));
    let total_bytes = read("/proc/meminfo".to_owned()).and_then(|text| mem_total(&text));
    let available = group_bytes.into_iter().chain(total_bytes).min();
    let files = files.map(open_files);
    files.into_iter().chain(available.map(|bytes| memory(bytes, places))).collect()
}

/// The soft limit in `/proc/<pid>/limits`.
fn max_open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// The group of cgroup v2 in `/proc/<pid>/cgroup`.
fn group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The tightest limit of the group and those around it, in bytes.
fn memory_max(root: &Path, group: &str) -> Option<u64> {
    let around = Path::new(group).ancestors();
    let limits = around.filter_map(|group| {
        fs::read_to_string(root.join(group).join("memory.max")).ok()?.trim().parse().ok()
    });
    limits.min()
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

fn open_files(limit: u64) -> Check {
    const NAME: &str = "open-files";
    let found = format!("the process may have {} open", text::number(limit));
    if limit >= WANTED_FILES {
        return Check::ok(NAME, found);
    }
    let advice =
        "raise it to 65536, with LimitNOFILE in the unit or --ulimit nofile for a container";
    Check::warning(NAME, found, advice)
}

fn memory(available: u64, places: usize) -> Check {
    const NAME: &str = "memory";
    let most = places as u64 * PLACE_BYTES + SHARED_BYTES;
    let found = format!(
        "{} for {places} executions at one time, which need up to {}",
        text::bytes(available),
        text::bytes(most)
    );
    if most <= available {
        return Check::ok(NAME, found);
    }
    let fitting = (available.saturating_sub(SHARED_BYTES) / PLACE_BYTES).max(1);
    let advice = format!("give it more, or set --max-concurrent-executions to {fitting}");
    Check::warning(NAME, found, advice)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_files_inode() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 11 fe:00:7 0 EOF
2: FLOCK  ADVISORY  READ 12 fe:00:7 0 EOF
3: FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF
4: FLOCK  ADVISORY  WRITE 14 fe:00:7 0 EOF
4: -> FLOCK  ADVISORY  WRITE 15 fe:00:7 0 EOF
5: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF
6: FLOCK";
        assert_eq!(locker(locks, 7), Some(14));
        assert_eq!(locker(locks, 77), Some(13));
        assert_eq!((locker(locks, 8), locker(locks, 9)), (None, None));
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(max_open_files(limits), Some(1024));
        assert_eq!(max_open_files("Max open files unlimited unlimited files"), Some(u64::MAX));
        assert_eq!(max_open_files("Max cpu time  unlimited"), None);
        assert_eq!(
            group("4:memory:/x\n0::/system.slice/picloud.service\n"),
            Some("system.slice/picloud.service")
        );
        assert_eq!(
            mem_total("MemTotal:       16303932 kB\nMemFree: 1 kB\n"),
            Some(16_303_932 * 1024)
        );
        assert_eq!(mem_total("nothing"), None);
    }

    #[test]
    fn the_tightest_group_decides() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, limit: &str| {
            let path = root.path().join(group);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("memory.max"), limit).unwrap();
        };
        write("a/b/c", "max\n");
        assert_eq!(memory_max(root.path(), "a/b/c"), None);
        write("a", "1000\n");
        write("a/b", "2000\n");
        assert_eq!(memory_max(root.path(), "a/b/c"), Some(1000));
    }

    #[test]
    fn what_is_given_is_compared_with_what_may_be_needed() {
        assert_eq!(open_files(65_536).state, State::Ok);
        assert_eq!(open_files(1_024).state, State::Warning);
        let gib = 1 << 30;
        assert_eq!(memory(8 * gib, 64).state, State::Ok);
        let little = memory(2 * gib, 64);
        assert_eq!(little.state, State::Warning);
        assert!(little.advice.unwrap().ends_with("--max-concurrent-executions to 20"));
        assert!(memory(1 << 20, 64).advice.unwrap().ends_with(" to 1"));
    }
}
