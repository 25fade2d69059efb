use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use picloud_manager_core::{Deployed, Error, Issue, Upload};
use picloud_shared::secrets::SecretStore as _;
use picloud_shared::{AppId, LimitOverrides, ReleaseNumber};
use serde_json::json;

use crate::fakes::{CAPS, World, files, remove, set, slug};

async fn deploy(world: &World, upload: Upload) -> Result<Deployed, Error> {
    world.manager.deploy(&world.shop().await, upload, "test").await
}

async fn issues(world: &World, upload: Upload) -> Vec<Issue> {
    match deploy(world, upload).await {
        Err(Error::Rejected(issues)) => issues,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_release_is_stored_and_answers() {
    let world = World::new().await;
    world.clock.0.store(7_000, SeqCst);
    let upload = files(&[
        ("index.rhai", "fn get(req) {}"),
        ("api.rhai", "fn remove(req) {}"),
        ("public/logo.svg", "<svg/>"),
        (
            "picloud.toml",
            "[[routes]]\npath = '/items/{id}'\nmethods = ['DELETE']\nhandler = 'api.rhai#remove'",
        ),
    ]);
    let deployed = deploy(&world, upload).await.unwrap();
    assert_eq!(
        serde_json::to_value(&deployed).unwrap(),
        json!({
            "release": { "number": 1, "created_at_ms": 7_000, "note": "test", "files": 4, "bytes": 117 },
            "routes": [
                { "methods": ["DELETE"], "path": "/items/{id}", "handler": "api.rhai#remove" },
                { "methods": [], "path": "/api", "handler": "api.rhai" },
                { "methods": [], "path": "/", "handler": "index.rhai" },
                { "methods": ["GET"], "path": "/logo.svg", "handler": "public/logo.svg" },
            ],
            "warnings": [],
        })
    );
    assert_eq!(world.active().await.unwrap().0, 1);
}

#[tokio::test]
async fn a_patch_changes_one_file_of_the_active_release() {
    let world = World::new().await;
    deploy(&world, set("hello.rhai", "1")).await.unwrap();
    deploy(&world, set("lib/a.rhai", "2")).await.unwrap();
    let (number, names) = world.active().await.unwrap();
    assert_eq!((number, names), (2, vec!["hello.rhai".to_owned(), "lib/a.rhai".to_owned()]));
    deploy(&world, remove("lib/a.rhai")).await.unwrap();
    assert_eq!(world.active().await.unwrap().1, ["hello.rhai"]);
    let error = deploy(&world, remove("lib/a.rhai")).await.unwrap_err();
    assert_eq!(error.to_string(), "the active release has no file lib/a.rhai");
    assert_eq!(error.code(), "not_found");
}

#[tokio::test]
async fn whatever_is_wrong_the_previous_release_stays() {
    let world = World::new().await;
    deploy(&world, set("index.rhai", "good")).await.unwrap();
    let before = world.active().await;
    let manifest = "[[routes]]\npath = '/x'\nhandler = 'index.rhai#gett'";
    for (upload, code) in [
        (set("index.rhai", "a\nlet x = !!"), "syntax_error"),
        (set("index.rhai", "(((("), "script_too_large"),
        (files(&[("[a].rhai", ""), ("[b].rhai", "")]), "route_conflict"),
        (set("[1].rhai", ""), "invalid_route"),
        (set("picloud.toml", "nam = 'x'"), "invalid_manifest"),
        (set("picloud.toml", manifest), "invalid_manifest"),
        (set("../index.rhai", ""), "invalid_path"),
        (files(&[("/index.rhai", "")]), "invalid_path"),
        (remove("none"), "not_found"),
        (set("big", &"x".repeat(2_001)), "release_too_large"),
        (set("big", &"x".repeat(2_001 - 4)), "release_too_large"),
        (
            Upload::Files((0..=CAPS.files).map(|n| (n.to_string(), Bytes::new())).collect()),
            "too_many_files",
        ),
        (
            Upload::Files(BTreeMap::from([("a.rhai".to_owned(), Bytes::from_static(b"\xff"))])),
            "not_utf8",
        ),
    ] {
        let shown = format!("{upload:?}");
        let error = deploy(&world, upload).await.expect_err(&shown);
        assert_eq!(error.code(), code, "{shown}: {error}");
        assert_eq!(world.active().await, before, "{shown}");
    }
    deploy(&world, set("big", &"x".repeat(2_000 - 4))).await.unwrap();
}

#[tokio::test]
async fn a_mistake_is_shown_where_it_is() {
    let world = World::new().await;
    let found =
        issues(&world, files(&[("a.rhai", "let a = 1;\nlet b = !!;\n"), ("b.rhai", "!!")])).await;
    assert_eq!(
        serde_json::to_value(&found).unwrap(),
        json!([
            {
                "code": "syntax_error", "message": "unexpected '!'",
                "file": "a.rhai", "line": 2, "column": 9,
                "excerpt": "  |\n2 | let b = !!;\n  |         ^",
            },
            {
                "code": "syntax_error", "message": "unexpected '!'",
                "file": "b.rhai", "line": 1, "column": 1,
                "excerpt": "  |\n1 | !!\n  | ^",
            },
        ])
    );
    assert_eq!(found[0].to_string(), "a.rhai:2:9: unexpected '!'");

    let manifest = "[[routes]]\npath = '/x'\nhandler = 'a.rhai#put'";
    let found = issues(
        &world,
        files(&[("a.rhai", "fn get() {} fn post() {}"), ("picloud.toml", manifest)]),
    )
    .await;
    assert_eq!(
        found[0].to_string(),
        "picloud.toml:3:11: a.rhai has no function put; it has get, post"
    );
    assert_eq!(
        found[0].excerpt.as_deref(),
        Some("  |\n3 | handler = 'a.rhai#put'\n  |           ^")
    );
}

#[tokio::test]
async fn a_librarys_mistake_is_told_once() {
    let world = World::new().await;
    let uses = "import \"lib/x\" as x;";
    let found =
        issues(&world, files(&[("a.rhai", uses), ("b.rhai", uses), ("lib/x.rhai", "!!")])).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].file.as_deref(), Some("lib/x.rhai"));
}

#[tokio::test]
async fn issues_are_not_told_without_end() {
    let world = World::new().await;
    let found = issues(&world, set("a.rhai", &"!!\n".repeat(500))).await;
    assert_eq!(found.len(), 50);
}

#[tokio::test]
async fn what_is_perhaps_not_meant_is_a_warning() {
    let world = World::new().await;
    let limits = LimitOverrides { fuel: Some(100), ..LimitOverrides::default() };
    world.manager.set_limits(&world.shop().await, limits).await.unwrap();
    let manifest = "[limits]\nfuel = 101\n[[triggers]]\non = 'kv.set'\nhandler = 'lib/a.rhai'";
    let release = files(&[("picloud.toml", manifest), ("lib/a.rhai", "fn on_event(e) { }")]);
    let deployed = deploy(&world, release).await.unwrap();
    assert_eq!(
        deployed.warnings,
        [
            "nothing in this release answers a request",
            "picloud.toml: [limits] can only lower the app's limits",
        ]
    );
    let manifest = "[limits]\nfuel = 100";
    let deployed =
        deploy(&world, files(&[("a.rhai", ""), ("picloud.toml", manifest)])).await.unwrap();
    assert!(deployed.warnings.is_empty(), "{:?}", deployed.warnings);
}

#[tokio::test]
async fn a_rule_that_nobody_can_meet_or_that_is_about_nothing_is_a_warning() {
    let world = World::new().await;
    let rule = |path, secret| {
        format!("[[ingress.rules]]\npath = '{path}'\nauth = 'token'\nsecret = '{secret}'\n")
    };
    let manifest = rule("/a", "MISSING") + &rule("/{*b}", "MISSING") + &rule("/c", "THERE");
    let manifest = manifest + "body_bytes = 1_048_577";
    let name = "THERE".parse().unwrap();
    world.store.set(AppId(1), &name, &[], 0).await.unwrap();
    let release = files(&[("a.rhai", ""), ("picloud.toml", &manifest)]);
    let deployed = deploy(&world, release).await.unwrap();
    assert_eq!(
        deployed.warnings,
        [
            "picloud.toml: no path of the app is under the rule for /c",
            "picloud.toml: `body_bytes` can only lower request_body_bytes",
            "picloud.toml: there is no secret MISSING yet, so a rule of [ingress] lets nobody in",
        ]
    );
}

#[tokio::test]
async fn a_handler_of_events_has_the_function_that_is_called() {
    let world = World::new().await;
    let manifest = "[[triggers]]\non = 'queue.message'\nqueue = 'q'\nhandler = 'a.rhai'\n\
                    [[schedules]]\ncron = '0 8 * * *'\nhandler = 'b.rhai#tick'";
    let release = |a, b| files(&[("picloud.toml", manifest), ("a.rhai", a), ("b.rhai", b)]);
    let found = issues(&world, release("fn on_event(e) { }", "fn on_schedule(t) { }")).await;
    let messages: Vec<_> = found.iter().map(|issue| issue.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "a.rhai has no function on_message; it has on_event",
            "b.rhai has no function tick; it has on_schedule",
        ]
    );
    let right = release("fn on_message(m) { }", "fn tick(t) { } fn get(req) { }");
    let deployed = deploy(&world, right).await.unwrap();
    let paths: Vec<_> = deployed.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/b"], "what is for events alone is no route");
}

#[tokio::test]
async fn triggers_that_can_go_in_circles_are_a_warning() {
    let world = World::new().await;
    let manifest = "[[triggers]]\non = 'events.publish'\ntopic = 't'\nhandler = 'a.rhai'";
    let circle = ("a.rhai", "fn on_event(e) { events::publish(\"t\", 1) } fn get(req) { }");
    let deployed = deploy(&world, files(&[("picloud.toml", manifest), circle])).await.unwrap();
    assert_eq!(
        deployed.warnings,
        ["picloud.toml: these triggers can set one another off without end: \
             events.publish t → a.rhai → events.publish t → a.rhai"]
    );
}

#[tokio::test]
async fn patches_at_the_same_time_are_all_kept() {
    let world = World::new().await;
    let shop = world.shop().await;
    let all: Vec<_> = (0..8)
        .map(|number| {
            let (manager, shop) = (world.manager.clone(), shop.clone());
            let upload = set(&format!("lib/{number}.rhai"), "1");
            tokio::spawn(async move { manager.deploy(&shop, upload, "test").await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    let (number, names) = world.active().await.unwrap();
    assert_eq!((number, names.len()), (8, 8));
}

#[tokio::test]
async fn a_conflict_is_tried_again_and_at_last_told() {
    let world = World::new().await;
    world.store.conflicts.store(3, SeqCst);
    deploy(&world, set("a.rhai", "1")).await.unwrap();
    world.store.conflicts.store(1_000, SeqCst);
    let error = deploy(&world, set("a.rhai", "2")).await.unwrap_err();
    assert_eq!(error.code(), "conflict");
    assert_eq!(world.active().await.unwrap().0, 1);
}

#[tokio::test]
async fn deploys_leave_the_machine_to_others() {
    let world = World::new().await;
    let scripts: Vec<(String, String)> =
        (0..9).map(|number| (format!("{number}.rhai"), "1".to_owned())).collect();
    let scripts: Vec<_> =
        scripts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let shop = world.shop().await;
    let all: Vec<_> = (0..4)
        .map(|_| {
            let (manager, shop) = (world.manager.clone(), shop.clone());
            let upload = files(&scripts);
            tokio::spawn(async move { manager.deploy(&shop, upload, "test").await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    assert_eq!(world.sandbox.most_running.load(SeqCst), 2);
}

#[tokio::test]
async fn a_failing_sandbox_is_not_the_scripts_fault() {
    let world = World::new().await;
    world.sandbox.broken.store(true, SeqCst);
    let error = deploy(&world, set("a.rhai", "1")).await.unwrap_err();
    assert_eq!(error.code(), "host_fault");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(world.active().await.is_none());
}

#[tokio::test]
async fn an_app_that_has_the_name_since_is_another_app() {
    let world = World::new().await;
    let shop = world.shop().await;
    world.manager.delete_app(&shop).await.unwrap();
    let deploy = || world.manager.deploy(&shop, set("a.rhai", "1"), "test");
    assert_eq!(deploy().await.unwrap_err().to_string(), "there is no app shop");
    world.manager.create_app(&slug("shop"), None).await.unwrap();
    assert_eq!(deploy().await.unwrap_err().to_string(), "there is no app shop");
    assert!(world.active().await.is_none());
}

#[tokio::test]
async fn an_earlier_release_comes_back() {
    let world = World::new().await;
    deploy(&world, set("a.rhai", "1")).await.unwrap();
    deploy(&world, set("b.rhai", "2")).await.unwrap();
    let back = world.manager.rollback(&world.shop().await, ReleaseNumber(1)).await.unwrap();
    assert_eq!(back.release.number, ReleaseNumber(1));
    assert_eq!(back.routes[0].path, "/a");
    assert_eq!(world.active().await.unwrap().1, ["a.rhai"]);
    // The next deploy takes a new number and starts from what is active.
    deploy(&world, set("c.rhai", "3")).await.unwrap();
    let (number, names) = world.active().await.unwrap();
    assert_eq!((number, names), (3, vec!["a.rhai".to_owned(), "c.rhai".to_owned()]));
    let error = world.manager.rollback(&world.shop().await, ReleaseNumber(9)).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("not_found", "there is no release 9"));
}

#[tokio::test]
async fn a_release_that_can_no_longer_run_does_not_come_back() {
    let world = World::new().await;
    deploy(&world, set("a.rhai", "1")).await.unwrap();
    deploy(&world, set("a.rhai", "2")).await.unwrap();
    world.sandbox.broken.store(true, SeqCst);
    world.manager.rollback(&world.shop().await, ReleaseNumber(1)).await.unwrap_err();
    assert_eq!(world.active().await.unwrap().0, 2);
}

#[tokio::test]
async fn a_draft_answers_nothing_until_it_is_activated() {
    let world = World::new().await;
    deploy(&world, set("a.rhai", "1")).await.unwrap();
    let Upload::Files(of_draft) = files(&[("a.rhai", "2")]) else { unreachable!() };
    let draft = deploy(&world, Upload::Draft(of_draft)).await.unwrap();
    assert_eq!(draft.release.number.0, 2);
    assert_eq!(world.active().await.unwrap().0, 1);
    world.manager.rollback(&world.shop().await, ReleaseNumber(2)).await.unwrap();
    assert_eq!(world.active().await.unwrap().0, 2);
    let Upload::Files(broken) = files(&[("a.rhai", "!!")]) else { unreachable!() };
    let refused = deploy(&world, Upload::Draft(broken)).await.unwrap_err();
    assert_eq!(refused.code(), "syntax_error");
}

#[tokio::test]
async fn a_check_says_what_a_deploy_would_and_stores_nothing() {
    let world = World::new().await;
    let app = world.shop().await;
    let check = async |upload| {
        let Upload::Files(files) = upload else { unreachable!() };
        world.manager.check(&app, &files).await
    };
    let fine = check(files(&[("a.rhai", "1")])).await.unwrap();
    assert!(fine.errors.is_empty() && fine.warnings.is_empty());
    let wrong = files(&[("a.rhai", "!!"), ("b.rhai", "1")]);
    let checked = check(wrong.clone()).await.unwrap();
    assert_eq!(checked.errors, issues(&world, wrong).await);
    let warned = check(files(&[("lib/a.rhai", "1")])).await.unwrap();
    assert_eq!(warned.warnings, ["nothing in this release answers a request"]);
    let manifest = check(files(&[("a.rhai", "1"), ("picloud.toml", "x = 1")])).await.unwrap();
    assert_eq!(manifest.errors[0].file.as_deref(), Some("picloud.toml"));
    let error = check(files(&[("../a.rhai", "1")])).await.unwrap_err();
    assert_eq!(error.code(), "invalid_path");
    assert_eq!(world.active().await, None);
}
