//! A disk that is full, or read-only: writes are refused with 503, reads are
//! answered, and with the disk everything comes back, without a restart.
//!
//! The disk is a small tmpfs in a mount namespace of the server's own. Where
//! there is none to be had, this says that it was skipped;
//! `PICLOUD_REQUIRE_TMPFS=1` makes that an error.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use picloud_store::testing::with_postgres;
use tempfile::TempDir;

use crate::support::{PATIENCE, Picloud, command, run};

/// Where `mount` and the like are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

const FILES: &[(&str, &str)] = &[
    (
        "index.rhai",
        "fn get(req) { `${kv::collection(\"c\").get_or(\"n\", 0)}` }
        fn post(req) {
            events::publish(\"posted\", ());
            `${kv::collection(\"c\").incr(\"n\")}`
        }",
    ),
    (
        "files.rhai",
        "fn get(req) { `${files::bucket(\"b\").get(\"kept\").len()}` }
        fn put(req) { files::bucket(\"b\").put(\"kept\", req.bytes()).path }",
    ),
    ("posted.rhai", "fn on_event(event) { kv::collection(\"c\").incr(\"seen\"); }"),
    ("seen.rhai", "fn get(req) { `${kv::collection(\"c\").get_or(\"seen\", 0)}` }"),
    ("hello.rhai", "fn get(req) { \"hello\" }"),
    (
        "picloud.toml",
        "[[triggers]]\non = 'events.publish'\ntopic = 'posted'\nhandler = 'posted.rhai'",
    ),
];

/// Whatever is to be seen once something has come round.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server with a disk of a few MiB below its data directory, or as that.
struct Disk {
    server: Picloud,
    /// Where it is mounted, as the server sees it.
    point: PathBuf,
    namespace: &'static [&'static str],
    _temp: TempDir,
}

impl Disk {
    /// `None` where there is no such disk to be had.
    fn start(point: &str, args: &[&str]) -> Option<Self> {
        let namespace = namespace()?;
        let temp = TempDir::new().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        let (data, point) = (dir.join("data"), dir.join(point));
        fs::create_dir_all(&point).unwrap();
        let mut served = command();
        served.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).args(args);
        let mut inside = Command::new("unshare");
        inside.args(namespace).args(["sh", "-c"]);
        inside.arg("mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\"").arg(&point);
        inside.arg(served.get_program()).args(served.get_args()).env_clear();
        inside.envs(served.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.env("PATH", PATH);
        let from_here = |pid: u32| PathBuf::from(format!("/proc/{pid}/root{}", data.display()));
        let server = Picloud::start_as(inside, from_here);
        Some(Self { server, point, namespace, _temp: temp })
    }

    fn filler(&self) -> PathBuf {
        let (pid, point) = (self.server.pid(), self.point.display());
        format!("/proc/{pid}/root{point}/filler").into()
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 16, 1] {
            while file.write(&vec![b'x'; size]).is_ok_and(|written| written > 0) {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn remount(&self, option: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.server.pid().to_string()]);
        command.args(self.namespace.iter().filter(|flag| **flag != "--map-root-user"));
        command.args(["mount", "-o", &format!("remount,{option}")]).arg(&self.point);
        assert!(command.status().unwrap().success());
    }

    async fn status(&self, method: &str, path: &str) -> u16 {
        self.server.request("full.localhost", method, path, "x".repeat(1000)).await.status.into()
    }

    async fn number(&self, path: &str) -> u64 {
        self.server.get("full", path).await.text().parse().unwrap()
    }
}

/// How `unshare` makes a namespace in which something can be mounted: root's
/// own, or one in which whoever runs the tests is root.
fn namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let mounts = |way: &&&[&str]| {
        let mut tried = Command::new("unshare");
        tried.args(**way).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).env("PATH", PATH);
        tried.output().is_ok_and(|output| output.status.success())
    };
    let way = ways.iter().find(mounts).copied();
    if way.is_none() {
        let required = std::env::var_os("PICLOUD_REQUIRE_TMPFS").is_some();
        assert!(!required, "no tmpfs can be mounted, and PICLOUD_REQUIRE_TMPFS is set");
        eprintln!("skipped: no tmpfs can be mounted in a namespace here");
    }
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let Some(disk) = Disk::start("data", &[]) else { return };
    let server = &disk.server;
    server.deploy("full", FILES).await;
    assert_eq!(disk.status("POST", "/").await, 200);
    assert_eq!(disk.status("PUT", "/files").await, 200);

    disk.fill();
    let refused = server.request("full.localhost", "POST", "/", "").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(disk.status("PUT", "/files").await, 503);
    let deploy = server.try_deploy("full", &[("index.rhai", "fn get(req) { 1 }")]).await;
    assert_eq!(deploy.status, 503, "{deploy:?}");
    assert_eq!(server.api("PUT", "/apps/another", "{}").await.status, 503);
    assert_eq!(server.api("PUT", "/apps/full/kv/c/by-api", "1").await.status, 503);
    let ready = async || server.request("localhost", "GET", "/readyz", "").await.status;
    until("readiness fails", async || ready().await == 503).await;
    assert_eq!(server.request("localhost", "GET", "/healthz", "").await.status, 200);
    assert_eq!(server.get("full", "/hello").await.text(), "hello");
    assert_eq!(disk.number("/").await, 1);
    assert_eq!(disk.number("/files").await, 1000);

    disk.empty();
    until("it is ready again", async || ready().await == 200).await;
    let written = server.request("full.localhost", "POST", "/", "").await;
    assert_eq!((written.status.as_u16(), written.text()), (200, "2"), "{written:?}");
    assert_eq!(disk.status("PUT", "/files").await, 200);
    until("both events are delivered", async || disk.number("/seen").await == 2).await;
    assert_eq!(server.api("GET", "/apps/another", "").await.status, 404);
    server.deploy("full", &[("index.rhai", "fn get(req) { \"anew\" }")]).await;
    assert_eq!(server.get("full", "/").await.text(), "anew");
}

/// What else there is of a database lies with PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn with_postgres_a_full_disk_refuses_files_alone() {
    with_postgres("with_postgres_a_full_disk_refuses_files_alone", async |url| {
        let Some(disk) = Disk::start("data", &["--database-url", url]) else { return };
        refuses_files_alone(&disk, Disk::fill, Disk::empty).await;
    })
    .await;
}

/// A file system that has files open for writing cannot be told to be
/// read-only, so this is the files' own.
#[tokio::test(flavor = "multi_thread")]
async fn read_only_files_refuse_writes_until_they_are_writable() {
    let Some(disk) = Disk::start("data/files", &[]) else { return };
    refuses_files_alone(&disk, |disk| disk.remount("ro"), |disk| disk.remount("rw")).await;
}

async fn refuses_files_alone(disk: &Disk, broken: impl Fn(&Disk), mended: impl Fn(&Disk)) {
    disk.server.deploy("full", FILES).await;
    assert_eq!(disk.status("PUT", "/files").await, 200);
    broken(disk);
    assert_eq!(disk.status("PUT", "/files").await, 503);
    assert_eq!(disk.number("/files").await, 1000);
    assert_eq!(disk.status("POST", "/").await, 200);
    mended(disk);
    assert_eq!(disk.status("PUT", "/files").await, 200);
}

#[test]
fn a_data_directory_that_is_read_only_is_refused_with_a_word_on_it() {
    let Some(namespace) = namespace() else { return };
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    assert!(Picloud::start_in(&data, &[]).terminate().success());
    let mut inside = Command::new("unshare");
    inside.args(namespace).args(["sh", "-c"]).env("PATH", PATH);
    inside.arg("mount -o bind,ro \"$0\" \"$0\" && exec \"$@\"").arg(&data);
    inside.arg(command().get_program()).args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    let ended = run({
        inside.arg(&data);
        inside
    });
    assert_eq!(ended.code, 1, "{ended:?}");
    let says = |words: &str| ended.stderr.contains(words);
    assert!(says("Read-only file system") && says(data.to_str().unwrap()), "{ended:?}");
    assert!(Picloud::start_in(&data, &[]).terminate().success());
}
