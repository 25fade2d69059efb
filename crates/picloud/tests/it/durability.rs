//! Bad days: the process is killed, or told to stop, or started twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;

use crate::support::{PATIENCE, Picloud, command, run};

const COUNTER: &str = "fn post(req) { `${kv::collection(\"c\").incr(req.query.key)}` }
    fn get(req) { `${kv::collection(\"c\").get_or(req.query.key, 0)}` }";

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_increments_loses_no_acknowledged_one() {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    let acknowledged = Arc::new([const { AtomicU64::new(0) }; 8]);
    for round in 0..5 {
        let mut server = Picloud::start_in(&data, &[]);
        if round == 0 {
            server.deploy("count", &[("index.rhai", COUNTER)]).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let client = picloud::client::http(false).build().unwrap();
        let writers: Vec<_> = (0..8)
            .map(|key| {
                let (client, stop) = (client.clone(), Arc::clone(&stop));
                let (acknowledged, url) =
                    (Arc::clone(&acknowledged), server.url(&format!("/?key=k{key}")));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let post = client.post(&url).header("host", "count.localhost");
                        let Ok(answer) = post.send().await else { break };
                        if answer.status() != 200 {
                            break;
                        }
                        let Ok(count) = answer.text().await else { break };
                        acknowledged[key].fetch_max(count.parse().unwrap(), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // Killed once a few hundred have been acknowledged, at whatever moment that is.
        let target = (round + 1) * 300;
        while acknowledged.iter().map(|n| n.load(Ordering::Relaxed)).sum::<u64>() < target {
            tokio::task::yield_now().await;
        }
        server.kill9();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
    }
    let server = Picloud::start_in(&data, &[]);
    for (key, acknowledged) in acknowledged.iter().enumerate() {
        let stored = server.get("count", &format!("/?key=k{key}")).await;
        let stored: u64 = stored.text().parse().unwrap();
        let acknowledged = acknowledged.load(Ordering::Relaxed);
        // One more may have been committed and not answered, each time.
        assert!(
            (acknowledged..=acknowledged + 5).contains(&stored),
            "{key}: {stored}, {acknowledged}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_finished_when_the_server_stops() {
    let mut server = Picloud::start(&[]);
    let slow = "fn get(req) { let n = 0; for i in 0..3000000 { n += i; } `${n}` }";
    server.deploy("slow", &[("index.rhai", slow)]).await;
    let limits = r#"{ "limits": { "fuel": 100000000000 } }"#;
    assert_eq!(server.api("PUT", "/apps/slow", limits).await.status, 200);
    let client = picloud::client::http(false).build().unwrap();
    let get = client.get(server.url("/")).header("host", "slow.localhost");
    let request = tokio::spawn(async move { get.send().await.unwrap().text().await.unwrap() });
    // Stopped once the request runs.
    loop {
        let metrics = server.request("localhost", "GET", "/metrics", "").await;
        if metrics.text().contains("picloud_executions_running 1") {
            break;
        }
    }
    assert!(server.terminate().success());
    assert_eq!(request.await.unwrap(), "4499998500000");
}

/// Clients on kept connections and on new ones, and one of the API, until
/// nobody listens any more.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_when_the_server_stops_under_load() {
    let mut server = Picloud::start(&[]);
    server.deploy("count", &[("index.rhai", COUNTER)]).await;
    let limits = r#"{ "limits": { "requests_per_s": 100000, "requests_burst": 100000 } }"#;
    assert_eq!(server.api("PUT", "/apps/count", limits).await.status, 200);
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..24)
        .map(|n| {
            let kept = usize::from(n % 3 != 0);
            let client = picloud::client::http(false).pool_max_idle_per_host(kept);
            let client = client.timeout(PATIENCE).build().unwrap();
            let request = if n % 8 == 7 {
                client.get(server.url("/api/v1/apps")).bearer_auth(server.token())
            } else {
                client.post(server.url("/?key=a")).header("host", "count.localhost")
            };
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                loop {
                    match request.try_clone().unwrap().send().await {
                        Err(error) if error.is_connect() => return,
                        answer => {
                            let answer = answer.unwrap().error_for_status().unwrap();
                            answer.bytes().await.unwrap();
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    while answered.load(Ordering::Relaxed) < 500 {
        tokio::task::yield_now().await;
    }
    assert!(server.terminate().success());
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_deployed_and_written_is_there_after_a_restart() {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    let mut first = Picloud::start_in(&data, &[]);
    first.deploy("count", &[("index.rhai", COUNTER)]).await;
    for _ in 0..3 {
        first.request("count.localhost", "POST", "/?key=a", "").await;
    }
    let token = first.token();
    assert!(first.terminate().success());
    let second = Picloud::start_in(&data, &[]);
    assert_eq!(second.token(), token);
    assert_eq!(second.get("count", "/?key=a").await.text(), "3");
    let executions = second.api("GET", "/apps/count/executions", "").await.json();
    assert_eq!(executions["items"].as_array().unwrap().len(), 4);
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_harms_nothing() {
    let server = Picloud::start(&[]);
    let mut second = command();
    second.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(server.data_dir());
    let ended = run(second);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("in use by another picloud"), "{}", ended.stderr);
    assert_eq!(server.cli(["apps"]).code, 0);
}
