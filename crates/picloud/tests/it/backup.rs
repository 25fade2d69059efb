//! Backups of whole servers, and what is made of them.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use picloud_store::testing::with_postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ended, Picloud, command, run};

const MANIFEST: &str = "name = \"shop\"\n[config]\nGREETING = \"hello\"\n\
    [[schedules]]\nname = \"yearly\"\ncron = \"0 4 1 1 *\"\nhandler = \"index.rhai#yearly\"\n\
    [[triggers]]\non = \"queue.message\"\nqueue = \"mail\"\nhandler = \"index.rhai#mail\"\n";

const SCRIPT: &str = r#"
fn post(req) {
    let left = kv::collection("c").incr("left");
    kv::collection("c").incr("right", -1);
    `${left}`
}
fn put(req) {
    files::bucket("b").put("a.txt", req.text());
    queue::named("mail").send(#{ n: 1 }, #{ delay: 86400 });
    kv::collection("c").set("soon", true, #{ ttl: 86400 });
}
fn get(req) {
    let entries = kv::collection("c");
    #{
        sum: entries.get_or("left", 0) + entries.get_or("right", 0),
        soon: entries.get("soon"),
        file: files::bucket("b").get("a.txt").as_string(),
        secret: secrets::get("KEY"),
        greeting: config::get("GREETING"),
    }
}
fn mail(message) {}
fn yearly(tick) {}
"#;

/// What is shown of a server; nothing changes when it is looked at.
const SHOWN: &[&str] = &[
    "/apps",
    "/apps/shop",
    "/apps/shop/domains",
    "/apps/shop/events",
    "/apps/shop/executions",
    "/apps/shop/kv/c",
    "/apps/shop/logs",
    "/apps/shop/members",
    "/apps/shop/queues",
    "/apps/shop/releases",
    "/apps/shop/releases/1/diff",
    "/apps/shop/schedules",
    "/apps/shop/secrets",
    "/audit",
    "/users",
    "/users/anna/limits",
];

/// Fills a server by all that its users have.
async fn fill(server: &Picloud) {
    let link = server.cli(["users", "invite", "--json"]).json()["link"].clone();
    let home = TempDir::new().unwrap();
    let mut join = server.cli_command();
    let password = home.path().join("password");
    fs::write(&password, "correct horse battery\n").unwrap();
    join.env("PICLOUD_CREDENTIALS", home.path().join("tokens"))
        .stdin(fs::File::open(&password).unwrap());
    join.args(["join", link.as_str().unwrap(), "--name", "anna"]);
    run(join).ok();
    server.deploy("shop", &[("index.rhai", SCRIPT), ("picloud.toml", MANIFEST)]).await;
    server.deploy("shop", &[("index.rhai", SCRIPT), ("picloud.toml", MANIFEST), ("n", "2")]).await;
    server.cli(["members", "set", "anna", "owner", "--app", "shop"]).ok();
    server.cli(["domains", "add", "shop.example", "--app", "shop"]).ok();
    let set = server.api("PUT", "/apps/shop/secrets/KEY", "s3cret").await;
    assert!(set.status.is_success(), "{set:?}");
    let put = server.request("shop.localhost", "PUT", "/", "the file's text").await;
    assert_eq!(put.status, 204, "{put:?}");
}

async fn shown(server: &Picloud) -> Vec<Value> {
    let mut shown = Vec::new();
    for path in SHOWN {
        let answer = server.api("GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let mut json = without_moments(answer.json());
        if let Some(items) = json["items"].as_array_mut() {
            // The backup itself has no outcome in it.
            items.retain(|item| item["action"] != "create_backup");
        }
        shown.push(json!({ *path: json }));
    }
    shown
}

/// Without what is said of this moment rather than of what is kept.
fn without_moments(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            *items = items.drain(..).map(without_moments).collect();
        }
        Value::Object(fields) => {
            // The port is the server's.
            fields.retain(|name, _| name != "url" && name != "last_used_at_ms");
            for value in fields.values_mut() {
                *value = without_moments(value.take());
            }
        }
        _ => {}
    }
    value
}

/// What the app says.
async fn said(server: &Picloud) -> Value {
    let answer = server.get("shop", "/").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn backup(server: &Picloud, file: &Path) {
    let text = server.cli(["backup".as_ref(), file.as_os_str()]).ok();
    assert!(text.starts_with("backed up to "), "{text}");
    assert!(text.contains(" 1 apps, 1 users, 2 releases, "), "{text}");
}

fn restore(file: &Path, data: &Path, more: &[&str]) -> Ended {
    let mut restore = command();
    restore.arg("restore").arg(file).arg("--data-dir").arg(data).args(more);
    run(restore)
}

/// The names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn as_str(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A filled server that has ended, its backup, and what it showed.
struct Origin {
    temp: TempDir,
    file: PathBuf,
    key: Vec<u8>,
    shown: Vec<Value>,
}

impl Origin {
    async fn new(args: &[&str]) -> Self {
        let temp = TempDir::new().unwrap();
        let (data, file) = (temp.path().join("origin"), temp.path().join("picloud.backup"));
        let mut server = Picloud::start_in(&data, args);
        fill(&server).await;
        backup(&server, &file);
        let shown = shown(&server).await;
        assert_eq!(said(&server).await["secret"], "s3cret");
        assert!(server.terminate().success());
        let key = fs::read(data.join("master.key")).unwrap();
        Self { temp, file, key, shown }
    }

    /// Restores the backup, starts a server with it, and compares.
    async fn check(&self, name: &str, args: &[&str]) -> Picloud {
        let data = self.temp.path().join(name);
        let ended = restore(&self.file, &data, args);
        assert!(ended.stderr.contains("the server does not start before it has the"), "{ended:?}");
        assert!(ended.ok().starts_with("restored 1 apps, 1 users, 2 releases, "));
        assert!(Picloud::try_start_in(&data, args, None).is_none(), "it has another key");
        fs::write(data.join("master.key"), &self.key).unwrap();
        let server = Picloud::start_in(&data, args);
        assert_eq!(shown(&server).await, self.shown);
        let said = said(&server).await;
        let expected = json!({
            "sum": 0, "soon": true, "file": "the file's text", "secret": "s3cret",
            "greeting": "hello",
        });
        assert_eq!(said, expected);
        server
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_to_either_database_from_either() {
    let name = "a_backup_is_restored_to_either_database_from_either";
    let sqlite = Origin::new(&[]).await;
    sqlite.check("sqlite", &[]).await;
    with_postgres(name, async |url| {
        sqlite.check("postgres", &["--database-url", url]).await;
    })
    .await;
    with_postgres(name, async |url| {
        let postgres = Origin::new(&["--database-url", url]).await;
        postgres.check("sqlite", &[]).await;
        with_postgres(name, async |url| {
            let args = ["--database-url", url];
            drop(postgres.check("postgres", &args).await);
            // There are apps in it now.
            let data = postgres.temp.path().join("postgres");
            let refused = restore(&postgres.file, &data, &args);
            assert_eq!(refused.code, 2, "{refused:?}");
            assert!(refused.stderr.contains("--force replaces all of it"), "{refused:?}");
            restore(&postgres.file, &data, &[&args[..], &["--force"]].concat()).ok();
            let server = Picloud::start_in(&data, &args);
            assert_eq!(said(&server).await["file"], "the file's text");
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_taken_while_others_write_is_of_one_moment() {
    let server = Arc::new(Picloud::start(&[]));
    fill(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = server.request("shop.localhost", "POST", "/", "").await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                }
            })
        })
        .collect();
    let temp = TempDir::new().unwrap();
    let key = fs::read(server.data_dir().join("master.key")).unwrap();
    for round in 0..3 {
        let file = temp.path().join(format!("{round}.backup"));
        backup(&server, &file);
        let data = temp.path().join(format!("{round}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("master.key"), &key).unwrap();
        restore(&file, &data, &[]).ok();
        let copy = Picloud::start_in(&data, &[]);
        assert_eq!(said(&copy).await["sum"], 0);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_whole_backup_is_refused_and_nothing_is_touched() {
    let origin = Origin::new(&[]).await;
    let sound = fs::read(&origin.file).unwrap();
    let data = origin.temp.path().join("origin");
    let before = names(&data);
    let database = fs::read(data.join("picloud.db")).unwrap();
    let bad = origin.temp.path().join("bad.backup");
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    for (bytes, why) in [
        (&sound[..sound.len() - 1], "damaged: it ends too early"),
        (&sound[..sound.len() / 2], "damaged: "),
        (&flipped, "damaged: "),
        (&b"hello"[..], "this is not a backup of PiCloud"),
        (&newer(&sound), "this backup has format 2, and this version of PiCloud reads format 1"),
    ] {
        fs::write(&bad, bytes).unwrap();
        let refused = restore(&bad, &data, &["--force"]);
        assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:?}");
        assert_eq!(names(&data), before);
        assert!(fs::read(data.join("picloud.db")).unwrap() == database);
    }
    // There is data, and nobody said that it is to go.
    let refused = restore(&origin.file, &data, &[]);
    assert!(refused.code == 2 && refused.stderr.contains("--force"), "{refused:?}");
    assert_eq!(names(&data), before);

    // A server runs on it.
    let mut server = Picloud::start_in(&data, &[]);
    let refused = restore(&origin.file, &data, &["--force"]);
    assert!(refused.stderr.contains("in use by another picloud"), "{refused:?}");
    assert_eq!(said(&server).await["file"], "the file's text");
    assert!(server.terminate().success());

    // What is replaced is kept.
    let ended = restore(&origin.file, &data, &["--force", "--json"]);
    let kept = ended.json()["kept"].as_str().map(PathBuf::from).unwrap();
    assert_eq!(kept, data.join("before-restore-1"));
    assert!(names(&kept).iter().any(|name| name == "picloud.db"));
}

/// The same, as if it was of the next format.
fn newer(backup: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(backup).read_to_string(&mut text).unwrap();
    let text = text.replacen("\"format\":1", "\"format\":2", 1);
    let mut bytes = Vec::new();
    let mut gzip = flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast());
    gzip.read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_at_any_point_is_none_or_is_finished() {
    let origin = Origin::new(&[]).await;
    let data = origin.temp.path().join("data");
    let mut server = Picloud::start_in(&data, &[]);
    server.deploy("theirs", &[("index.rhai", "1")]).await;
    assert!(server.terminate().success());
    let mut ends = 0;
    for passed in 0.. {
        let copy = origin.temp.path().join(format!("copy-{passed}"));
        fs::create_dir(&copy).unwrap();
        for name in ["picloud.db", "history.db"] {
            fs::copy(data.join(name), copy.join(name)).unwrap();
        }
        let mut killed = command();
        killed.env("FAILPOINTS", format!("restore.swap={passed}*off->return"));
        killed.arg("restore").arg(&origin.file).arg("--data-dir").arg(&copy).arg("--force");
        killed.stdout(Stdio::null()).stderr(Stdio::null());
        let ended = killed.status().unwrap();
        fs::write(copy.join("master.key"), &origin.key).unwrap();
        // Whoever opens the directory next finds the restored server, whole.
        let server = Picloud::start_in(&copy, &[]);
        assert_eq!(said(&server).await["file"], "the file's text");
        assert!(names(&copy).contains(&"before-restore-1".to_owned()));
        if ended.success() {
            break;
        }
        ends += 1;
        assert!(ends < 50);
    }
    assert!(ends > 5, "it was ended on {ends} points");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_a_backup_or_a_restore_and_leaves_nothing() {
    let origin = Origin::new(&[]).await;
    let limited = |args: &[&str], kib: u64| {
        let mut shell = std::process::Command::new("sh");
        let script = format!("ulimit -f {kib}; trap '' XFSZ; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_picloud")]).args(args);
        run(shell)
    };
    let data = origin.temp.path().join("full");
    let ended = limited(&["restore", as_str(&origin.file), "--data-dir", as_str(&data)], 20);
    assert!(ended.code == 1 && ended.stderr.contains("nothing was replaced"), "{ended:?}");
    assert!(!data.join("picloud.db").exists());

    let server = Picloud::start_in(&origin.temp.path().join("origin"), &[]);
    let folder = origin.temp.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let (url, token) = (server.url(""), server.token());
    let file = folder.join("a.backup");
    let args = ["backup", as_str(&file), "--server", &url, "--token", &token];
    let ended = limited(&args, 1);
    assert!(ended.code == 1 && ended.stderr.contains("cannot write"), "{ended:?}");
    assert_eq!(names(&folder), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_for_admins_one_at_a_time_and_ends_with_the_server() {
    let mut server = Picloud::start(&[]);
    server.deploy("big", &[("index.rhai", "1")]).await;
    let anonymous = server.send("POST", "/api/v1/backup", &[("host", "localhost")], "").await;
    assert_eq!(anonymous.status, 401, "{anonymous:?}");

    deploy_noise(&server, "big").await;
    let http = picloud::client::http(false).build().unwrap();
    let post = || http.post(server.url("/api/v1/backup")).bearer_auth(server.token());
    let mut slow = post().send().await.unwrap();
    assert_eq!(slow.status(), 200);
    assert_eq!(slow.headers()["content-type"], "application/gzip");
    let busy = post().send().await.unwrap();
    assert_eq!(busy.status(), 503);
    assert!(busy.text().await.unwrap().contains("another backup is being made"));
    server.signal(rustix::process::Signal::TERM);
    let broken = loop {
        match slow.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "an answer that ends early does not end well");
    assert!(server.wait().success());
}

/// Deploys more than waits on the way, so that whoever has it sent is sent to
/// until they have read.
async fn deploy_noise(server: &Picloud, app: &str) {
    let noise: Vec<u8> =
        (0..9 << 20).map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let archive = [("noise.bin".to_owned(), noise.into())].into();
    let archive = picloud_manager_core::archive::pack(&archive).unwrap();
    let deployed = server.api("POST", &format!("/apps/{app}/releases"), archive).await;
    assert_eq!(deployed.status, 201, "{deployed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_exports_or_imports_slowly_keeps_nobody_else_waiting() {
    let server = Picloud::start(&[]);
    let mut bearers = Vec::new();
    for name in ["alice", "bob"] {
        let token = server.account(name, "member").await;
        let bearer = format!("Bearer {token}");
        let headers = [("host", "localhost"), ("authorization", &*bearer)];
        for app in [format!("of-{name}"), format!("also-of-{name}")] {
            let script = format!("/api/v1/apps/{app}/scripts/index.rhai");
            assert_eq!(server.send("PUT", &script, &headers, "1").await.status, 201);
        }
        deploy_noise(&server, &format!("of-{name}")).await;
        bearers.push(bearer);
    }
    let http = picloud::client::http(false).build().unwrap();
    let export = async |owner: usize, app: &str| {
        let get = http.get(server.url(&format!("/api/v1/apps/{app}/export")));
        get.header("authorization", &bearers[owner]).send().await.unwrap()
    };
    let slow = export(0, "of-alice").await;
    assert_eq!(slow.status(), 200);
    let again = export(0, "also-of-alice").await;
    assert_eq!(
        (again.status(), &again.headers()["retry-after"]),
        (429.try_into().unwrap(), &"1".parse().unwrap())
    );
    // Nobody else waits for her, of the same app or another.
    assert_eq!(server.api("GET", "/apps/of-alice/export", "").await.status, 200);
    let bundle = export(1, "of-bob").await.bytes().await.unwrap();

    // A body that does not come to its end.
    let (pieces, body) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body =
        futures_util::stream::unfold(body, async |mut body| Some((body.recv().await?, body)));
    let import = |bearer: &str, app: &str, body: reqwest::Body| {
        let post = http.post(server.url(&format!("/api/v1/apps/{app}/import")));
        post.header("authorization", bearer).body(body).send()
    };
    let stuck = tokio::spawn(import(&bearers[0], "stuck", reqwest::Body::wrap_stream(body)));
    // More than waits on the way: the server has begun to take it.
    for _ in 0..32 {
        pieces.send(Ok(vec![0; 1 << 20])).await.unwrap();
    }
    let busy = import(&bearers[0], "more", bundle.clone().into()).await.unwrap();
    assert_eq!(busy.status(), 429);
    let other = import(&bearers[1], "other", bundle.into()).await.unwrap();
    assert_eq!(other.status(), 201, "{:?}", other.text().await);
    drop((pieces, slow));
    stuck.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_moves_to_another_instance_by_the_command_line() {
    let name = "an_app_moves_to_another_instance_by_the_command_line";
    let here = Picloud::start(&[]);
    fill(&here).await;
    let temp = TempDir::new().unwrap();
    let (bundle, phrase) = (temp.path().join("shop.picloud"), temp.path().join("phrase"));
    fs::write(&phrase, "correct horse battery\n").unwrap();
    let sealed = ["--passphrase-file", as_str(&phrase)];
    let export = ["app", "export", "shop", as_str(&bundle)];
    here.cli([&export[..], &sealed].concat()).ok();
    assert!(fs::read(&bundle).unwrap().starts_with(b"picloud sealed 1\n"));

    let import = ["app", "import", as_str(&bundle)];
    let refused = here.cli([&import[..], &sealed].concat());
    assert!(refused.code == 1 && refused.stderr.contains("the name shop is taken"), "{refused:?}");
    let refused = here.cli([&import[..], &["--as", "other"]].concat());
    assert!(refused.code == 2 && refused.stderr.contains("--passphrase-file"), "{refused:?}");
    let wrong = temp.path().join("wrong");
    fs::write(&wrong, "correct house battery\n").unwrap();
    let refused =
        here.cli([&import[..], &["--as", "other", "--passphrase-file", as_str(&wrong)]].concat());
    assert!(
        refused.code == 1 && refused.stderr.contains("the passphrase is another"),
        "{refused:?}"
    );

    let check = async |server: &Picloud, app: &str| {
        let args = [&import[..], &["--as", app], &sealed].concat();
        let imported = server.cli(args);
        assert!(imported.stderr.contains("its secrets have no values here; set them: KEY"));
        imported.ok();
        let set = server.api("PUT", &format!("/apps/{app}/secrets/KEY"), "new").await;
        assert!(set.status.is_success(), "{set:?}");
        let said = server.get(app, "/").await.json();
        let expected = json!({
            "sum": 0, "soon": true, "file": "the file's text", "secret": "new",
            "greeting": "hello",
        });
        assert_eq!(said, expected);
        assert_eq!(server.request(&format!("{app}.localhost"), "POST", "/", "").await.text(), "1");
        let schedules = server.api("GET", &format!("/apps/{app}/schedules"), "").await.json();
        assert_eq!(schedules["items"][0]["name"], "yearly");
    };
    check(&here, "beside").await;
    with_postgres(name, async |url| {
        let there = Picloud::start(&["--database-url", url]);
        check(&there, "shop").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_its_importers_and_within_what_they_may_use() {
    let server = Picloud::start(&[]);
    fill(&server).await;
    let temp = TempDir::new().unwrap();
    let bundle = temp.path().join("shop.picloud");
    server.cli(["apps", "export", "shop", as_str(&bundle)]).ok();
    let bytes = fs::read(&bundle).unwrap();
    let link = server.cli(["users", "invite", "--json"]).json()["link"].clone();
    let password = temp.path().join("password");
    fs::write(&password, "correct horse battery\n").unwrap();
    let bert = |args: &[&str]| {
        let mut command = command();
        command.env("PICLOUD_CREDENTIALS", temp.path().join("tokens"));
        command.stdin(fs::File::open(&password).unwrap());
        command.args(["--server", &format!("http://localhost:{}", server.port())]).args(args);
        run(command)
    };
    bert(&["join", link.as_str().unwrap(), "--name", "bert"]).ok();
    let refused = bert(&["apps", "export", "shop", as_str(&temp.path().join("mine"))]);
    assert!(refused.stderr.contains("there is no app shop"), "{refused:?}");
    let few = server.api("PUT", "/users/bert/limits", r#"{"file_bytes":5}"#).await;
    assert!(few.status.is_success(), "{few:?}");
    let refused = bert(&["apps", "import", as_str(&bundle), "--as", "mine"]);
    assert!(refused.stderr.contains("file storage"), "{refused:?}");
    server.api("PUT", "/users/bert/limits", "{}").await;
    bert(&["apps", "import", as_str(&bundle), "--as", "mine"]).ok();
    let members = server.api("GET", "/apps/mine/members", "").await.json();
    assert_eq!(members["items"].as_array().unwrap().len(), 1, "{members}");
    assert_eq!(members["items"][0]["role"], "owner");
    assert_eq!(server.api("GET", "/apps/mine/domains", "").await.json()["items"], json!([]));

    for bad in [&bytes[..bytes.len() - 9], b"hello", b""] {
        let refused = server.api("POST", "/apps/bad/import", bad.to_vec()).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert_eq!(refused.json()["code"], "invalid_bundle");
    }
    assert_eq!(server.api("GET", "/apps/bad", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_backup_is_restored_with_its_passphrase_alone() {
    let temp = TempDir::new().unwrap();
    let (file, phrase) = (temp.path().join("sealed.backup"), temp.path().join("phrase"));
    fs::write(&phrase, "correct horse battery\n").unwrap();
    let server = Picloud::start(&[]);
    fill(&server).await;
    let sealed = ["--passphrase-file", as_str(&phrase)];
    server.cli([&["backup", as_str(&file)][..], &sealed].concat()).ok();
    let data = temp.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::copy(server.data_dir().join("master.key"), data.join("master.key")).unwrap();
    fs::write(temp.path().join("wrong"), "wrong passphrase").unwrap();
    let refused = restore(&file, &data, &["--passphrase-file", as_str(&temp.path().join("wrong"))]);
    assert!(
        refused.code == 1 && refused.stderr.contains("the passphrase is another"),
        "{refused:?}"
    );
    assert_eq!(names(&data), ["master.key"]);
    restore(&file, &data, &sealed).ok();
    assert_eq!(said(&Picloud::start_in(&data, &[])).await["secret"], "s3cret");
}
