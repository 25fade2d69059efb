//! Releases compared, over HTTP and on the command line.

use serde_json::{Value, json};

use crate::support::Picloud;

/// A server with the app `hi`, in two releases.
async fn two_releases() -> Picloud {
    let server = Picloud::start(&[]);
    let before = [
        ("index.rhai", "let a = 1;\nlet b = 2;\na + b\n"),
        ("old.rhai", "1"),
        ("picloud.toml", "[limits]\nfuel = 1_000_000"),
        ("public/same.css", "body {}"),
    ];
    server.deploy("hi", &before).await;
    let after = [
        ("index.rhai", "let a = 1;\nlet b = 3;\na + b\n"),
        ("new/[id].rhai", "1"),
        ("picloud.toml", "[egress]\nallow = ['api.example.org']\n[config]\nNAME = 'x'"),
        ("public/same.css", "body {}"),
        ("public/zero.bin", "\0"),
    ];
    server.deploy("hi", &after).await;
    server
}

#[tokio::test]
async fn two_releases_are_compared() {
    let server = two_releases().await;
    let diff = server.api("GET", "/apps/hi/releases/2/diff?from=1", "").await.json();
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    let files = diff["files"].as_array().unwrap();
    let seen: Vec<_> = files.iter().map(|file| (&file["path"], &file["change"])).collect();
    assert_eq!(
        json!(seen),
        json!([
            ["index.rhai", "changed"],
            ["new/[id].rhai", "added"],
            ["old.rhai", "removed"],
            ["picloud.toml", "changed"],
            ["public/zero.bin", "added"],
        ])
    );
    assert_eq!(
        files[0],
        json!({
            "path": "index.rhai",
            "change": "changed",
            "from_bytes": 28,
            "to_bytes": 28,
            "added_lines": 1,
            "removed_lines": 1,
            "diff": "--- a/index.rhai\n+++ b/index.rhai\n@@ -1,3 +1,3 @@\n let a = 1;\n\
                     -let b = 2;\n+let b = 3;\n a + b\n",
        })
    );
    assert_eq!(files[4]["omitted"], "binary");
    assert_eq!(
        diff["manifest"],
        json!({
            "routes": {
                "added": [{ "methods": [], "path": "/new/{id}", "handler": "new/[id].rhai" }],
                "removed": [{ "methods": [], "path": "/old", "handler": "old.rhai" }],
            },
            "egress": { "added": ["api.example.org"], "removed": [] },
            "ingress": { "added": [], "removed": [] },
            "limits": [{ "name": "fuel", "from": 1_000_000, "to": null }],
            "config": { "added": ["NAME"], "removed": [], "changed": [] },
        })
    );
}

#[tokio::test]
async fn the_active_release_is_what_another_is_compared_with() {
    let server = two_releases().await;
    let from = async |path: &str| server.api("GET", path, "").await.json();
    let back = from("/apps/hi/releases/1/diff").await;
    assert_eq!((&back["from"], &back["to"]), (&json!(2), &json!(1)));
    assert_eq!(back["manifest"]["egress"]["removed"], json!(["api.example.org"]));
    let same = from("/apps/hi/releases/2/diff").await;
    assert_eq!((&same["from"], &same["files"]), (&json!(2), &json!([])));
    for (path, status) in [
        ("/apps/hi/releases/9/diff", 404),
        ("/apps/hi/releases/1/diff?from=9", 404),
        ("/apps/none/releases/1/diff", 404),
        ("/apps/hi/releases/1/diff?from=x", 400),
        ("/apps/hi/releases/1/diff?form=2", 400),
        ("/apps/hi/releases/x/diff", 400),
    ] {
        assert_eq!(server.api("GET", path, "").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn the_command_shows_the_difference() {
    let server = two_releases().await;
    let diff = |args: &[&str]| server.cli([&["releases", "diff", "--app", "hi"], args].concat());
    let text = diff(&["1", "2"]).ok();
    assert!(text.starts_with("release 1 → 2\n"), "{text}");
    for part in [
        "5 files, 6 lines added, 4 removed",
        "Routes\n+ any  /new/{id}  new/[id].rhai\n- any  /old  old.rhai",
        "Hosts that scripts may call\n+ api.example.org",
        "~ fuel: 1,000,000 → the app's",
        "-let b = 2;\n+let b = 3;\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let stat = diff(&["1", "2", "--stat"]).ok();
    assert!(stat.contains("5 files") && !stat.contains("let b"), "{stat}");
    let back = diff(&["1"]).ok();
    assert!(back.starts_with("release 2 → 1\n") && back.contains("- api.example.org"), "{back}");

    let json = diff(&["1", "2", "--json"]).json();
    let api = server.api("GET", "/apps/hi/releases/2/diff?from=1", "").await.json();
    assert_eq!(json, api);
    assert_eq!(diff(&["1", "2", "--json", "--stat"]).json()["files"][0]["diff"], Value::Null);
    let missing = diff(&["1", "9"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("there is no release 9"), "{missing:?}");
    for wrong in [&[][..], &["0"], &["1", "2", "3"], &["x"]] {
        assert_eq!(diff(wrong).code, 2, "{wrong:?}");
    }
}
