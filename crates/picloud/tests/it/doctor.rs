//! `picloud doctor`, on installs that are well and on such that are not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ended, Picloud, command, run};

/// `picloud doctor --json` with this server's data directory.
fn doctor(server: &Picloud, token: &str) -> Ended {
    let mut command = command();
    command.args(["doctor", "--json", "--server", &server.url(""), "--token", token]);
    command.arg("--data-dir").arg(server.data_dir());
    run(command)
}

/// The check of this name.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let named = checks.iter().find(|check| check["name"] == name);
    named.unwrap_or_else(|| panic!("there is no check {name}: {report:#}"))
}

/// The names of the checks that found a problem.
fn problems(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap().iter();
    let wrong = checks.filter(|check| check["state"] == "problem");
    wrong.map(|check| check["name"].as_str().unwrap()).collect()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn an_install_that_is_well_has_no_problem() {
    let server = Picloud::start(&[]);
    server.deploy("hello", &[("index.rhai", "1")]).await;
    let ended = doctor(&server, &server.token());
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = ended.json();
    assert_eq!(report["problems"], 0);
    let well = ["server", "ready", "version", "connection", "clock", "credentials", "apps-dns"];
    for name in well.iter().chain(&["data-dir", "process", "master-key", "admin-token"]) {
        assert_eq!(check(&report, name)["state"], "ok", "{report:#}");
    }
    // How these are depends on the machine.
    for name in ["file-system", "space", "inodes", "open-files", "memory"] {
        check(&report, name);
    }
    let found = check(&report, "process")["found"].as_str().unwrap();
    assert_eq!(found, format!("the process {} has the directory", server.pid()));

    let text = server.cli(["doctor"]).ok();
    assert!(text.contains("ok       credentials   the operator"), "{text}");
    assert!(text.contains("\nproblems: 0, "), "{text}");
    let ready = server.cli(["doctor", "--ready"]).ok();
    assert_eq!(ready.lines().count(), 3, "{ready}");
}

#[tokio::test]
async fn whoever_may_read_the_keys_is_noticed() {
    let server = Picloud::start(&[]);
    chmod(server.data_dir(), 0o755);
    chmod(&server.data_dir().join("master.key"), 0o644);
    chmod(&server.data_dir().join("admin-token"), 0o640);
    let ended = doctor(&server, &server.token());
    assert_eq!(ended.code, 1, "{ended:?}");
    let report = ended.json();
    assert_eq!(problems(&report), ["data-dir", "master-key", "admin-token"]);
    let advice = |name| check(&report, name)["advice"].as_str().unwrap();
    assert_eq!(advice("data-dir"), format!("chmod 700 {}", server.data_dir().display()));
    assert!(advice("master-key").starts_with("chmod 600 "), "{report:#}");

    // What the doctor says, done, is the cure.
    chmod(server.data_dir(), 0o700);
    chmod(&server.data_dir().join("master.key"), 0o600);
    chmod(&server.data_dir().join("admin-token"), 0o600);
    assert_eq!(doctor(&server, &server.token()).code, 0);
}

#[tokio::test]
async fn a_token_that_is_refused_is_a_problem_and_what_to_do_is_said() {
    let server = Picloud::start(&[]);
    let ended = doctor(&server, "pic_nobodys");
    assert_eq!(ended.code, 1, "{ended:?}");
    let report = ended.json();
    assert_eq!(problems(&report), ["credentials"]);
    let advice = check(&report, "credentials")["advice"].as_str().unwrap();
    assert!(advice.contains("picloud login"), "{advice}");
}

#[tokio::test]
async fn a_server_that_has_stopped_is_a_problem_and_its_directory_is_looked_at_nonetheless() {
    let mut server = Picloud::start(&[]);
    let token = server.token();
    assert!(server.terminate().success());
    let ended = doctor(&server, &token);
    assert_eq!(ended.code, 1, "{ended:?}");
    let report = ended.json();
    assert_eq!(problems(&report), ["server"]);
    let found = check(&report, "server")["found"].as_str().unwrap();
    assert!(found.starts_with("cannot reach "), "{found}");
    assert_eq!(check(&report, "process")["found"], "no process has the directory");
    assert_eq!(check(&report, "master-key")["state"], "ok");

    assert_eq!(server.cli(["doctor", "--ready"]).code, 1);
    fs::write(server.data_dir().join("master.key"), "damaged").unwrap();
    let report = doctor(&server, &token).json();
    assert_eq!(problems(&report), ["server", "master-key"]);
}
