//! The server under load, against a bare axum in the same run:
//! `cargo bench -p picloud --bench http`
//!
//! Everything that is compared runs as a process of its own on loopback, in
//! alternating rounds; the medians of the rounds are printed as a table. The
//! client is a keep-alive HTTP/1.1 loop per connection, with as little work of
//! its own as will do, for it shares the cores.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails should stop; its figures are far from 2^52"
)]

#[path = "http/load.rs"]
mod load;
#[path = "http/process.rs"]
#[expect(dead_code, reason = "shared with other benchmarks")]
mod process;

use std::time::{Duration, Instant};

use load::{Load, Round, request};
use process::Server;

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
/// Seconds over which the CPU of an idle server is watched.
const IDLE: Duration = Duration::from_mins(1);

const HELLO: &str = r#"fn get(req) { "hello" }"#;
const KV: &str = r#"
    fn get(req) { kv::collection("c").get(req.query.key) }
    fn post(req) { kv::collection("c").incr(req.query.key) }
"#;

fn main() -> anyhow::Result<()> {
    // Started by `cargo test --benches` there is nothing to measure.
    if std::env::args().any(|arg| arg == "--bare-axum") {
        return process::bare_axum();
    }
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let bare = Server::bare_axum()?;
    let temp = tempfile::tempdir()?;
    // The first start compiles the guest; the second finds it compiled.
    drop(Server::picloud(temp.path())?);
    let picloud = Server::picloud(temp.path())?;

    picloud.upload("hello", HELLO).await?;
    picloud.upload("kv", KV).await?;
    // Its limits would be measured instead.
    for app in ["hello", "kv"] {
        picloud.unlimit(app, 2 * CONNECTIONS).await?;
    }

    let hello = |host: &'static str| move |_: usize| vec![request("GET /", host, &[], "")];
    let kv = |method: &'static str| {
        move |i: usize| vec![request(&format!("{method} /?key=k{i}"), "kv.localhost", &[], "")]
    };
    let mut loads = [
        Load::new("bare axum, hello", bare.port, hello("localhost")),
        Load::new("hello", picloud.port, hello("hello.localhost")),
        Load::new("KV increment, distinct keys", picloud.port, kv("POST")),
        Load::new("KV get", picloud.port, kv("GET")),
    ];
    for round in 0..=ROUNDS {
        for load in &mut loads {
            let measured = load.round(CONNECTIONS, ROUND).await?;
            // The first round warms up.
            if round > 0 {
                load.rounds.push(measured);
            }
        }
    }

    println!("\n{CONNECTIONS} connections, median of {ROUNDS} rounds of {} s\n", ROUND.as_secs());
    println!("| | requests/s | of bare axum | p50 | p99 | p99/p50 |");
    println!("|---|---|---|---|---|---|");
    let base = Round::median(&loads[0].rounds).per_second;
    for load in &loads {
        let Round { per_second, p50, p99 } = Round::median(&load.rounds);
        let (p50, p99) = (p50.as_secs_f64(), p99.as_secs_f64());
        println!(
            "| {} | {per_second:.0} | {:.0} % | {:.2} ms | {:.2} ms | {:.1} |",
            load.name,
            100.0 * per_second / base,
            p50 * 1e3,
            p99 * 1e3,
            p99 / p50
        );
    }
    drop(bare);

    contention(&picloud).await?;
    println!("\nstart with the guest compiled: {} ms", picloud.ready_after.as_millis());
    drop(picloud);
    memory_and_idleness().await
}

/// Two hundred updates of one key at once.
async fn contention(picloud: &Server) -> anyhow::Result<()> {
    let started = Instant::now();
    let posts = (0..200).map(|_| picloud.post("kv", "/?key=contended"));
    let answers = futures_util::future::try_join_all(posts).await?;
    let elapsed = started.elapsed();
    let count = answers.iter().filter_map(|text| text.parse::<u64>().ok()).max();
    println!("\n200 concurrent increments of one key: {count:?} after {} ms", elapsed.as_millis());
    Ok(())
}

async fn memory_and_idleness() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    drop(Server::picloud(temp.path())?);
    let picloud = Server::picloud(temp.path())?;
    println!("\nRSS after the start: {} MB", picloud.rss_mb()?);
    for i in 0..100 {
        let app = format!("app{i}");
        picloud.upload(&app, &format!("fn get(req) {{ \"hello from {i}\" }}")).await?;
        anyhow::ensure!(picloud.get(&app, "/").await? == format!("hello from {i}"));
    }
    println!("RSS with 100 scripts deployed and called: {} MB", picloud.rss_mb()?);

    let before = picloud.cpu_seconds()?;
    tokio::time::sleep(IDLE).await;
    let used = picloud.cpu_seconds()? - before;
    println!("CPU of the idle server over {} s: {used:.2} s", IDLE.as_secs());

    picloud.upload("bomb", r#"let s = "x"; loop { s += s; }"#).await?;
    picloud.unlimit("bomb", 16).await?;
    // No more at once than the app may run, or some would be refused.
    for _ in 0..100 {
        let bombs = (0..10).map(|_| picloud.status("bomb", "/"));
        let statuses = futures_util::future::try_join_all(bombs).await?;
        anyhow::ensure!(statuses.iter().all(|status| *status == 500), "{statuses:?}");
    }
    println!("RSS after 1,000 memory bombs: {} MB", picloud.rss_mb()?);
    Ok(())
}
