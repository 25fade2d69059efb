//! The control plane over HTTP.

use serde_json::json;

use crate::support::Picloud;

#[tokio::test]
async fn an_uploaded_script_is_live_at_once_and_each_upload_replaces_it() {
    let server = Picloud::start(&[]);
    for greeting in ["hello", "good morning"] {
        let script = format!("\"{greeting}\"");
        let answer = server.api("PUT", "/apps/hi/scripts/hello.rhai", script).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let deployed = answer.json();
        assert_eq!(deployed["url"], server.app_url("hi"));
        assert_eq!(server.get("hi", "/").await.text(), greeting);
        assert_eq!(server.get("hi", "/hello").await.text(), greeting);
    }
    let source = server.api("GET", "/apps/hi/scripts/hello.rhai", "").await;
    assert_eq!(source.text(), "\"good morning\"");
    assert_eq!(server.get("r1--hi", "/").await.text(), "hello", "an old release has its preview");
    assert_eq!(server.get("r9--hi", "/").await.status, 404);
}

#[tokio::test]
async fn releases_are_listed_and_brought_back() {
    let server = Picloud::start(&[]);
    for n in 1..=3 {
        server.deploy("hi", &[("index.rhai", &format!("\"release {n}\""))]).await;
    }
    let page = server.api("GET", "/apps/hi/releases?limit=2", "").await.json();
    let numbers = |page: &serde_json::Value| -> Vec<i64> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["number"].as_i64().unwrap()).collect()
    };
    assert_eq!((numbers(&page), &page["next"]), (vec![3, 2], &json!(2)));
    let last = server.api("GET", "/apps/hi/releases?limit=2&after=2", "").await.json();
    assert_eq!((numbers(&last), &last["next"]), (vec![1], &json!(null)));

    let back = server.api("POST", "/apps/hi/releases/1/activate", "").await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(server.get("hi", "/").await.text(), "release 1");
    let detail = server.api("GET", "/apps/hi/releases/1", "").await.json();
    assert_eq!(
        (&detail["active"], &detail["paths"][0]["path"]),
        (&json!(true), &json!("index.rhai"))
    );
    assert_eq!(server.api("POST", "/apps/hi/releases/9/activate", "").await.status, 404);
}

#[tokio::test]
async fn whoever_has_no_token_gets_nowhere() {
    let server = Picloud::start(&[]);
    server.deploy("hi", &[("index.rhai", "1")]).await;
    let client = picloud::client::http(false).build().unwrap();
    for (method, path) in [
        ("GET", "/apps"),
        ("GET", "/apps/hi"),
        ("PUT", "/apps/new"),
        ("DELETE", "/apps/hi"),
        ("PUT", "/apps/hi/scripts/a.rhai"),
        ("GET", "/apps/hi/scripts/index.rhai"),
        ("POST", "/apps/hi/releases"),
        ("GET", "/apps/hi/releases"),
        ("POST", "/apps/hi/releases/1/activate"),
        ("GET", "/apps/hi/releases/1/diff"),
        ("GET", "/apps/hi/executions"),
        ("GET", "/apps/hi/logs"),
        ("GET", "/apps/hi/kv"),
        ("GET", "/apps/hi/kv/c"),
        ("PUT", "/apps/hi/kv/c/k"),
        ("DELETE", "/apps/hi/kv/c/k"),
        ("POST", "/apps/hi/invoke"),
        ("GET", "/nothing"),
    ] {
        let url = server.url(&format!("/api/v1{path}"));
        for token in [None, Some("wrong"), Some("")] {
            let mut request = client.request(method.parse().unwrap(), &url);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
        // The token does not help another site's page.
        let foreign = client.request(method.parse().unwrap(), &url).bearer_auth(server.token());
        let answer = foreign.header("origin", "http://evil.localhost").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {path}");
    }
    assert_eq!(server.api("GET", "/apps/hi", "").await.status, 200);
    assert_eq!(server.api("GET", "/apps/new", "").await.status, 404);
}

#[tokio::test]
async fn an_apps_host_never_reaches_the_control_plane() {
    let server = Picloud::start(&[]);
    server.deploy("hi", &[("index.rhai", "1")]).await;
    for path in ["/api/v1/apps", "/metrics", "/healthz"] {
        assert_eq!(server.get("hi", path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn entries_go_through_the_same_rules_as_a_scripts() {
    let server = Picloud::start(&[]);
    let script = "fn get(req) { kv::collection(\"c\").get(req.query.key) }";
    server.deploy("hi", &[("index.rhai", script)]).await;
    let put = async |key: &str, body: &str| {
        server.api("PUT", &format!("/apps/hi/kv/c/{key}"), body.to_owned()).await.status.as_u16()
    };
    assert_eq!(put("a%2F..%2Fb", r#"{"n":1}"#).await, 204);
    assert_eq!(server.get("hi", "/?key=a/../b").await.json(), json!({ "n": 1 }));
    let shown = server.api("GET", "/apps/hi/kv/c/a%2F..%2Fb", "").await.json();
    assert_eq!(shown["value"], json!({ "n": 1 }));
    let listed = server.api("GET", "/apps/hi/kv/c?prefix=a", "").await.json();
    assert_eq!(listed["items"][0]["key"], "a/../b");

    assert_eq!(put("k", "not json").await, 400);
    assert_eq!(put("k", "\"\\u0000\"").await, 400);
    assert_eq!(put("%00", "1").await, 400);
    assert_eq!(put(&"k".repeat(513), "1").await, 400);
    assert_eq!(put("k", &format!("\"{}\"", "x".repeat(64 * 1024))).await, 413);
    assert_eq!(server.api("PUT", "/apps/hi/kv/a%20b/k", "1").await.status, 400);
    assert_eq!(server.api("DELETE", "/apps/hi/kv/c/a%2F..%2Fb", "").await.status, 204);
    assert_eq!(server.api("DELETE", "/apps/hi/kv/c/a%2F..%2Fb", "").await.status, 404);
}

#[tokio::test]
async fn limits_are_an_admins_to_set_and_take_effect_at_once() {
    let server = Picloud::start(&[]);
    // An empty loop would be left out when the script is compiled.
    let script = "let n = 0; for i in 0..10000 { n += i } \"done\"";
    server.deploy("hi", &[("index.rhai", script)]).await;
    assert_eq!(server.get("hi", "/").await.text(), "done");
    let lower = json!({ "limits": { "fuel": 100_000 } }).to_string();
    assert_eq!(server.api("PUT", "/apps/hi", lower).await.status, 200);
    assert_eq!(server.get("hi", "/").await.json()["code"], "out_of_fuel");
    let unknown = json!({ "limits": { "fule": 1 } }).to_string();
    let refused = server.api("PUT", "/apps/hi", unknown).await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["detail"].as_str().unwrap().contains("fule"));
}

#[tokio::test]
async fn executions_tell_what_ran_and_how_it_ended() {
    let server = Picloud::start(&[]);
    let script = "fn get(req) { log::warn(\"look\", #{ n: 1 }); throw \"broken\" }";
    server.deploy("hi", &[("index.rhai", script)]).await;
    server.get("hi", "/some?x=1").await;
    let failed = server.get("hi", "/").await.json();
    let executions = server.api("GET", "/apps/hi/executions", "").await.json();
    let execution = &executions["items"][0];
    assert_eq!(execution["id"], failed["execution"]);
    assert_eq!(execution["outcome"], "script_error");
    assert_eq!(execution["status"], 500);
    assert_eq!(execution["cause"], "GET /");
    assert_eq!(execution["error"]["message"], "broken");
    assert_eq!(execution["error"]["position"]["line"], 1);
    assert!(execution["usage"]["fuel"].as_u64().unwrap() > 1_000);
    let id = execution["id"].as_str().unwrap();
    let detail = server.api("GET", &format!("/apps/hi/executions/{id}"), "").await.json();
    assert_eq!(detail["logs"][0]["message"], "look");
    assert_eq!(server.api("GET", "/apps/hi/executions/nonsense", "").await.status, 404);
    // Another app does not find it.
    server.deploy("other", &[("index.rhai", "1")]).await;
    let path = format!("/apps/other/executions/{id}");
    assert_eq!(server.api("GET", &path, "").await.status, 404);
}

#[tokio::test]
async fn a_deleted_app_is_gone_and_its_name_starts_afresh() {
    let server = Picloud::start(&[]);
    let script = "fn get(req) { `${kv::collection(\"c\").incr(\"n\")}` }";
    server.deploy("hi", &[("index.rhai", script)]).await;
    assert_eq!(server.get("hi", "/").await.text(), "1");
    assert_eq!(server.api("DELETE", "/apps/hi", "").await.status, 204);
    assert_eq!(server.get("hi", "/").await.status, 404);
    assert_eq!(server.api("DELETE", "/apps/hi", "").await.status, 404);
    server.deploy("hi", &[("index.rhai", script)]).await;
    assert_eq!(server.get("hi", "/").await.text(), "1");
}

#[tokio::test]
async fn a_follower_of_logs_does_not_hold_up_the_end() {
    let mut server = Picloud::start(&[]);
    server.deploy("hi", &[("index.rhai", "log::info(\"seen\"); 1")]).await;
    server.get("hi", "/").await;
    let client = picloud::client::http(false).build().unwrap();
    let logs = client.get(server.url("/api/v1/apps/hi/logs?follow=true"));
    let mut logs = logs.bearer_auth(server.token()).send().await.unwrap();
    let line = logs.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&line).contains("seen"), "{line:?}");
    let started = std::time::Instant::now();
    assert!(server.terminate().success());
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(logs.chunk().await.unwrap(), None, "the stream has a proper end");
}

#[tokio::test]
async fn health_readiness_and_metrics_are_there() {
    let server = Picloud::start(&[]);
    for (path, text) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = server.request("localhost", "GET", path, "").await;
        assert_eq!((answer.status.as_u16(), answer.text().trim()), (200, text));
    }
    server.deploy("hi", &[("index.rhai", "1")]).await;
    server.get("hi", "/").await;
    let metrics = server.request("localhost", "GET", "/metrics", "").await;
    assert!(metrics.text().contains("picloud_executions_total{outcome=\"ok\"} 1"), "{metrics:?}");
}
