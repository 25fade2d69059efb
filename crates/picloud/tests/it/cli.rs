//! The commands, as a person types them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Picloud, command, run};

/// An app's folder with a script per path.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, contents) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    folder
}

fn arg(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

#[tokio::test]
async fn a_folder_is_deployed_called_and_rolled_back() {
    let server = Picloud::start(&[]);
    let app = folder(&[
        ("picloud.toml", "name = \"greeter\""),
        ("index.rhai", "import \"lib/greet\" as greet;\ngreet::hello(\"one\")"),
        ("lib/greet.rhai", "fn hello(who) { \"hello \" + who }"),
        (".env", "SECRET=1"),
    ]);
    let text = server.cli(["deploy", arg(&app)]).ok();
    assert!(text.starts_with("deployed greeter release 1\n"), "{text}");
    assert!(text.contains(&server.app_url("greeter")), "{text}");
    assert!(text.contains("any  /  index.rhai"), "{text}");
    assert_eq!(server.get("greeter", "/").await.text(), "hello one");

    fs::write(app.path().join("index.rhai"), "\"two\"").unwrap();
    let deployed = server.cli(["deploy", arg(&app), "--json", "--note", "second"]).json();
    assert_eq!(deployed["release"], 2);
    assert_eq!(server.get("greeter", "/").await.text(), "two");

    let releases = server.cli(["releases", "--app", "greeter", "--json"]).json();
    assert_eq!(releases["items"][0]["note"], "second");
    assert_eq!(releases["items"][0]["active"], true);
    assert_eq!(releases["items"][1]["number"], 1);
    let text = server.cli(["releases", "show", "1", "--app", "greeter"]).ok();
    assert!(text.contains("lib/greet.rhai") && !text.contains(".env"), "{text}");

    let text = server.cli(["rollback", "--app", "greeter"]).ok();
    assert!(text.starts_with("active greeter release 1\n"), "{text}");
    assert_eq!(server.get("greeter", "/").await.text(), "hello one");
    let ended = server.cli(["rollback", "--app", "greeter"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("there is no release of greeter before 1"), "{ended:?}");
    server.cli(["rollback", "2", "--app", "greeter"]).ok();
    assert_eq!(server.get("greeter", "/").await.text(), "two");
}

#[tokio::test]
async fn a_mistake_is_shown_with_its_line_and_changes_nothing() {
    let server = Picloud::start(&[]);
    let app = folder(&[("index.rhai", "\"right\"")]);
    server.cli(["deploy", arg(&app), "--app", "ab"]).ok();
    fs::write(app.path().join("index.rhai"), "let a = 1;\nlet x = ;\n").unwrap();

    let ended = server.cli(["deploy", arg(&app), "--app", "ab"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.contains("--> index.rhai:2:9"), "{ended:?}");
    assert!(ended.stderr.contains("2 | let x = ;\n  |         ^"), "{ended:?}");
    assert_eq!(server.get("ab", "/").await.text(), "right");

    let ended = server.cli(["deploy", arg(&app), "--app", "ab", "--json"]);
    assert_eq!(ended.code, 1);
    let error = &ended.json()["error"];
    assert_eq!((&error["status"], &error["code"]), (&json!(422), &json!("syntax_error")));
    assert_eq!(
        (&error["errors"][0]["line"], &error["errors"][0]["column"]),
        (&json!(2), &json!(9))
    );

    // What is wrong with the manifest is found before anything is uploaded.
    fs::write(app.path().join("picloud.toml"), "nmae = \"ab\"").unwrap();
    let ended = server.cli(["deploy", arg(&app)]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("did you mean `name`?"), "{ended:?}");
    assert!(ended.stderr.contains("--> picloud.toml:1:1"), "{ended:?}");
}

#[tokio::test]
async fn a_single_script_is_an_app_named_after_its_file() {
    let server = Picloud::start(&[]);
    let app = folder(&[("Hello World.rhai", "\"hi\"")]);
    let file = app.path().join("Hello World.rhai");
    let deployed = server.cli(["deploy", file.to_str().unwrap(), "--json"]).json();
    assert_eq!(deployed["app"], "hello-world");
    assert_eq!(server.get("hello-world", "/").await.text(), "hi");
}

#[tokio::test]
async fn a_call_shows_the_body_and_apart_from_it_how_it_went() {
    let server = Picloud::start(&[]);
    let script = r#"
        fn get(req) { log::info("asked\u001b[2J", #{ by: req.query.by }); "body \x1b[1m" }
        fn post(req) { response::json(req.json()).status(201).header("x-kind", req.headers["x-kind"]) }
        fn put(req) { throw "oh no" }
        fn patch(req) { response::bytes(req.bytes()) }
        fn delete(req) { loop {} }
    "#;
    server.deploy("ab", &[("index.rhai", script)]).await;
    let invoke = |args: &[&str]| server.cli([&["invoke", "--app", "ab"], args].concat());

    let ended = invoke(&["/?by=me"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "body \u{1b}[1m"));
    assert!(ended.stderr.starts_with("200 text/plain; charset=utf-8\nexecution "), "{ended:?}");
    assert!(ended.stderr.contains("asked\\u{1b}[2J {\"by\":\"me\"}"), "{ended:?}");
    assert!(ended.stderr.contains("fuel "), "{ended:?}");

    let posted = invoke(&["/", "-d", "{\"a\": [1]}", "-H", "X-Kind: test", "--json"]).json();
    assert_eq!((&posted["status"], &posted["body"]), (&json!(201), &json!("{\"a\":[1]}")));
    assert!(posted["headers"].as_array().unwrap().contains(&json!(["x-kind", "test"])));
    assert_eq!(posted["execution"]["outcome"], "ok");

    let thrown = invoke(&["/", "-X", "put"]);
    assert_eq!((thrown.code, thrown.stdout.as_str()), (1, ""));
    assert!(
        thrown.stderr.contains("oh no") && thrown.stderr.contains("--> index.rhai:4:"),
        "{thrown:?}"
    );

    let endless = invoke(&["/", "-X", "DELETE"]);
    assert_eq!(endless.code, 1);
    assert!(endless.stderr.contains("error: the script ran out of fuel"), "{endless:?}");

    let file = TempDir::new().unwrap();
    let path = file.path().join("bytes");
    fs::write(&path, [0xff, 0, 1]).unwrap();
    let mut command = server.cli_command();
    command.args(["invoke", "--app", "ab", "/", "-X", "PATCH", "-d"]);
    let output = command.arg(format!("@{}", path.display())).output().unwrap();
    assert_eq!(output.stdout, [0xff, 0, 1], "{output:?}");

    let missing = invoke(&["/missing"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("error["), "{missing:?}");
}

#[tokio::test]
async fn logs_and_executions_are_listed_and_followed() {
    let server = Picloud::start(&[]);
    let script = r#"log::debug("d"); log::warn("w " + req.query.n, #{ n: 1 }); if req.query.n == "bad" { throw "no" } 1"#;
    server.deploy("ab", &[("index.rhai", script)]).await;
    server.get("ab", "/?n=1").await;

    let text = server.cli(["logs", "--app", "ab"]).ok();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(" DEBUG d") && lines[1].ends_with(" WARN  w 1 {\"n\":1}"), "{text}");
    let text = server.cli(["logs", "--app", "ab", "--level", "warn", "--json"]).ok();
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&json!("warn"), &json!("w 1")));

    let id = line["execution"].as_str().unwrap();
    let shown = server.cli(["executions", "show", id, "--app", "ab"]).ok();
    assert!(shown.starts_with("GET /  ok, status 200\n  index.rhai of release 1\n"), "{shown}");
    let executions = server.cli(["executions", "--app", "ab", "--json"]).json();
    assert_eq!(executions["items"][0]["id"], id);

    let mut command = server.cli_command();
    command.args(["logs", "--app", "ab", "-f", "-n", "1", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["message"], "w 1");
    // The stored line has come, so what happens from now on is followed.
    server.get("ab", "/?n=bad").await;
    assert_eq!(next()["message"], "d");
    assert_eq!(next()["message"], "w bad");
    let error = next();
    assert_eq!(error["level"], "error");
    assert!(error["message"].as_str().unwrap().contains("index.rhai:1:"), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn entries_are_set_read_listed_and_deleted() {
    let server = Picloud::start(&[]);
    server.deploy("ab", &[("index.rhai", "kv::collection(\"c\").get(req.query.key)")]).await;
    let kv = |args: &[&str]| server.cli([&["kv", "--app", "ab"], args].concat());

    for key in ["plain", "a/../b?c#d %2F", "ä\u{1f980}", "-"] {
        kv(&["set", "c", "--", key, "{\"n\": 1}"]).ok();
        assert_eq!(kv(&["get", "c", "--", key]).json(), json!({ "n": 1 }), "{key}");
        assert_eq!(kv(&["get", "c", "--json", "--", key]).json()["key"], key);
    }
    assert_eq!(server.get("ab", "/?key=plain").await.json(), json!({ "n": 1 }));
    kv(&["set", "other", "k", "\"text\"", "--ttl", "3600"]).ok();
    let entry = kv(&["get", "other", "k", "--json"]).json();
    assert_eq!(entry["value"], "text");
    assert!(entry["expires_at_ms"].as_u64().is_some(), "{entry}");

    let text = kv(&["list"]).ok();
    assert!(text.contains("c           4\n") && text.contains("other       1\n"), "{text}");
    let page = kv(&["list", "c", "-n", "2"]);
    assert_eq!(page.stdout, "-  {\"n\":1}\na/../b?c#d %2F  {\"n\":1}\n");
    assert!(page.stderr.contains("--after"), "{page:?}");
    let rest = kv(&["list", "c", "--after", "a/../b?c#d %2F", "--prefix", "pl", "--json"]).json();
    assert_eq!(rest["items"], json!([{ "key": "plain", "value": { "n": 1 } }]));

    kv(&["delete", "c", "plain"]).ok();
    for verb in ["get", "delete"] {
        let ended = kv(&[verb, "c", "plain"]);
        assert_eq!(ended.code, 1);
        assert!(ended.stderr.contains("there is no such entry"), "{ended:?}");
    }
    let ended = kv(&["set", "c", "k", "hello"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("'\"hello\"'"), "{ended:?}");
}

#[tokio::test]
async fn apps_are_made_shown_and_deleted() {
    let server = Picloud::start(&[]);
    assert!(server.cli(["apps"]).stderr.contains("there is no app yet"));
    let text = server.cli(["apps", "create", "ab"]).ok();
    assert!(text.contains("nothing deployed yet"), "{text}");
    server.deploy("cd", &[("index.rhai", "1")]).await;
    let apps = server.cli(["apps", "list", "--json"]).json();
    assert_eq!(
        (&apps["items"][0]["slug"], &apps["items"][1]["slug"]),
        (&json!("ab"), &json!("cd"))
    );
    assert!(server.cli(["apps", "show", "cd"]).ok().contains("release 1"));

    let ended = server.cli(["apps", "delete", "cd"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("--yes"), "{ended:?}");
    assert_eq!(server.cli(["apps", "delete", "cd", "--yes", "--json"]).json()["deleted"], "cd");
    assert_eq!(server.get("cd", "/").await.status, 404);
    let ended = server.cli(["apps", "show", "cd", "--json"]);
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (1, &json!("not_found")));
}

#[tokio::test]
async fn every_template_is_an_app_that_answers() {
    let server = Picloud::start(&[]);
    let root = TempDir::new().unwrap();
    for (template, method, path, body) in [
        ("hello", "GET", "/?name=Ann", ""),
        ("guestbook", "GET", "/", ""),
        ("shortlink", "POST", "/", r#"{"url": "https://example.org/"}"#),
        ("json-api", "GET", "/todos", ""),
        ("counter", "GET", "/", ""),
    ] {
        let name = format!("my-{template}");
        let mut command = command();
        command.current_dir(&root).args(["init", &name, "--template", template]);
        let text = run(command).ok();
        assert!(text.contains("picloud.toml") && text.contains("picloud dev"), "{text}");
        let mut command = server.cli_command();
        command.current_dir(root.path().join(&name)).arg("deploy");
        run(command).ok();
        let answer = server.request(&format!("{name}.localhost"), method, path, body).await;
        assert!(answer.status.is_success(), "{template}: {answer:?}");
    }
    let mut command = command();
    command.current_dir(&root).args(["init", "My App"]);
    let ended = run(command);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("did you mean my-app?"), "{ended:?}");
}

#[test]
fn who_may_not_is_told_how_to() {
    let server = Picloud::start(&[]);
    let mut command = command();
    command.args(["--server", &server.url(""), "--token", "wrong-token", "apps"]);
    let ended = run(command);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("error[unauthorized]"), "{ended:?}");
    assert!(ended.stderr.contains("PICLOUD_TOKEN"), "{ended:?}");
}

#[test]
fn a_server_on_this_machine_is_used_without_ado() {
    let root = TempDir::new().unwrap();
    let server = Picloud::start_in(&root.path().join("picloud-data"), &[]);
    let mut command = command();
    command.current_dir(&root).env("PICLOUD_SERVER", server.url("")).arg("apps");
    run(command).ok();
}

#[test]
fn a_server_that_is_not_there_is_told_as_such() {
    let mut server = Picloud::start(&[]);
    let url = server.url("");
    server.kill9();
    let run = |json: bool| {
        let mut command = command();
        command.args(["--server", &url, "apps"]).args(json.then_some("--json"));
        run(command)
    };
    let ended = run(false);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains(&format!("cannot reach {url}: is `picloud serve`")), "{ended:?}");
    assert_eq!(run(true).json()["error"]["code"], "unreachable");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [
        &["frobnicate"][..],
        &["deploy", "--app", "Not A Name"],
        &["invoke", "no-slash"],
        &["--server", "localhost:8080", "apps"],
        &["logs"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--max-concurrent-executions", "0"],
        &["dev", ".", "--listen", "0.0.0.0:0"],
        &[],
    ] {
        let mut command = command();
        let empty = TempDir::new().unwrap();
        command.current_dir(&empty).args(args);
        let ended = run(command);
        assert_eq!(ended.code, 2, "{args:?} {ended:?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{args:?} {ended:?}");
    }
    let mut command = command();
    command.args(["frobnicate", "--json"]);
    let ended = run(command);
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (2, &json!("usage")));
}

#[test]
fn the_configuration_file_is_read_and_flags_win_over_it() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("my.toml");
    let data_dir = root.path().join("from-file");
    let text = format!(
        "listen = \"127.0.0.1:1\"\nadmin_token = \"0123456789abcdef\"\ndata_dir = {data_dir:?}\n"
    );
    fs::write(&file, text).unwrap();
    let mut server =
        Picloud::start_in(&root.path().join("from-flag"), &["--config", file.to_str().unwrap()]);
    assert!(!data_dir.exists());
    let mut with_token = command();
    with_token.args(["--server", &server.url(""), "--token", "0123456789abcdef", "apps"]);
    run(with_token).ok();
    assert!(server.terminate().success());

    fs::write(root.path().join("picloud-server.toml"), "\nlisten_on = 1\n").unwrap();
    let mut command = command();
    command.current_dir(&root).arg("serve");
    let ended = run(command);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("picloud-server.toml:2: unknown field `listen_on`"), "{ended:?}");
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let server = Picloud::start(&[]);
    let root = TempDir::new().unwrap();
    let mut command = command();
    let listen = format!("127.0.0.1:{}", server.port());
    command.current_dir(&root).args(["serve", "--listen", &listen]);
    let ended = run(command);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("--listen 127.0.0.1:0"), "{ended:?}");
}
