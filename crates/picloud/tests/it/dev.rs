//! `picloud dev`: an app that follows its files.

use std::fs;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::Picloud;

#[tokio::test]
async fn every_save_is_live_and_a_mistake_leaves_the_last_release() {
    let folder = TempDir::new().unwrap();
    let index = folder.path().join("index.rhai");
    fs::write(folder.path().join("picloud.toml"), "name = \"my-app\"").unwrap();
    fs::write(&index, "\"one\"").unwrap();
    let mut dev = Picloud::dev(folder.path(), &[]);
    let url = dev.line(|line| line.starts_with("my-app: "));
    assert_eq!(url, format!("my-app: {}", dev.app_url("my-app")));
    assert!(dev.line(|line| line.contains("index.rhai")).trim_start().starts_with("any  /"));
    assert_eq!(dev.get("my-app", "/").await.text(), "one");
    let request = dev.line(|line| line.contains("GET /"));
    assert!(request.contains(" 200   GET / "), "{request}");

    fs::write(&index, "log::warn(\"asked\");\n\"two\"").unwrap();
    dev.line(|line| line.ends_with("deployed my-app release 2"));
    assert_eq!(dev.get("my-app", "/").await.text(), "two");
    assert!(dev.line(|line| line.contains("asked")).contains(" WARN  asked"));

    fs::write(&index, "let x = ;").unwrap();
    dev.line(|line| line.starts_with("error[syntax_error]: "));
    assert_eq!(dev.line(|line| line.contains("-->")), " --> index.rhai:1:9");
    dev.line(|line| line.contains("let x = ;"));
    dev.line(|line| line.starts_with("not deployed"));
    assert_eq!(dev.get("my-app", "/").await.text(), "two");

    // A new file is a new route, and data survives all of it.
    fs::write(folder.path().join("count.rhai"), "kv::collection(\"c\").incr(\"n\")").unwrap();
    fs::write(&index, "1;\nthrow \"oh no\"").unwrap();
    dev.line(|line| line.ends_with("deployed my-app release 3"));
    dev.line(|line| line.contains("/count"));
    assert_eq!(dev.get("my-app", "/count").await.text(), "1");
    assert_eq!(dev.get("my-app", "/count").await.text(), "2");
    assert_eq!(dev.get("my-app", "/").await.status, 500);
    assert!(dev.line(|line| line.contains("oh no")).starts_with("error"));
    assert_eq!(dev.line(|line| line.contains("-->")), " --> index.rhai:2:1");
    dev.line(|line| line == "2 | throw \"oh no\"");

    dev.signal(Signal::INT);
    assert!(dev.wait().success());
    assert!(folder.path().join(".picloud").is_dir());

    let dev = Picloud::dev(folder.path(), &[]);
    assert_eq!(dev.get("my-app", "/count").await.text(), "3");
}

#[tokio::test]
async fn a_single_file_is_enough_and_no_token_is_asked_for() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("hello.rhai");
    fs::write(&file, "let x = ;").unwrap();
    let mut dev = Picloud::dev(&file, &["--app", "other-name"]);
    dev.line(|line| line.starts_with("other-name: "));
    dev.line(|line| line.starts_with("not deployed"));
    assert_eq!(dev.cli(["apps", "--json"]).json()["items"][0]["slug"], "other-name");

    // Editors write a new file and put it in the old one's place.
    let temporary = folder.path().join(".hello.rhai.tmp");
    fs::write(&temporary, "\"hello\"").unwrap();
    fs::rename(&temporary, &file).unwrap();
    dev.line(|line| line.ends_with("deployed other-name release 1"));
    assert_eq!(dev.get("other-name", "/").await.text(), "hello");
}

#[test]
fn everything_is_told_as_json_too() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("index.rhai"), "1").unwrap();
    let listen = ["dev", folder.path().to_str().unwrap(), "--listen", "127.0.0.1:0", "--json"];
    let mut child = crate::support::command()
        .args(listen)
        .args(["--app", "ab"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<serde_json::Value> = std::io::BufRead::lines(stdout)
        .take(2)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines[0]["ready"].as_str().unwrap().starts_with("http://localhost:"), "{lines:?}");
    assert_eq!(lines[0]["app"], "ab");
    assert_eq!(lines[1]["deployed"]["routes"][0]["path"], "/");
}
