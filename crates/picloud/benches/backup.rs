//! Requests while a gigabyte is backed up: `cargo bench -p picloud --bench backup`
//!
//! Half of the gigabyte is entries, half is files, neither compresses. Rounds
//! of requests beside a backup alternate with rounds without one; the medians
//! are printed.

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

use load::{Load, Round};
use process::Server;

const CONNECTIONS: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
/// Requests that fill the server, each with a file and entries of half a
/// megabyte each.
const FILLS: usize = 1024;

const SCRIPT: &str = r#"
    fn get(req) { kv::collection("c").get(req.query.key) }
    fn post(req) { kv::collection("c").incr(req.query.key) }
    fn put(req) {
        let body = req.bytes();
        let half = body.len / 2;
        files::bucket("b").put(req.query.n, body.extract(0, half));
        for i in 0..16 {
            let piece = body.extract(half + i * (half / 16), half / 16);
            kv::collection("big").set(req.query.n + "-" + i, base64::encode(piece));
        }
    }
"#;

fn main() -> anyhow::Result<()> {
    // Started by `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let picloud = Server::picloud(temp.path())?;
    picloud.upload("app", SCRIPT).await?;
    picloud.unlimit("app", 64).await?;
    for n in 0..FILLS {
        let body = (0..62_500).flat_map(|_| rand::random::<[u8; 16]>()).collect();
        picloud.put("app", &format!("/?n={n}"), body).await?;
    }
    let of = |method: &'static str| {
        move |i| vec![load::request(&format!("{method} /?key=k{i}"), "app.localhost", &[], "")]
    };
    let mut loads = [
        Load::new("KV get", picloud.port, of("GET")),
        Load::new("KV increment, durable", picloud.port, of("POST")),
    ];
    let mut beside: [Vec<Round>; 2] = Default::default();
    let (mut bytes, mut seconds) = (0, Vec::new());
    for round in 0..=ROUNDS {
        for (load, beside) in loads.iter_mut().zip(&mut beside) {
            let idle = load.round(CONNECTIONS, ROUND).await?;
            let started = Instant::now();
            let (busy, taken) = load.during(CONNECTIONS, picloud.backup()).await?;
            bytes = taken?;
            seconds.push(started.elapsed().as_secs_f64());
            // The first round warms up.
            if round > 0 {
                load.rounds.push(idle);
                beside.push(busy);
            }
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "\na backup of {} MB takes {:.1} s beside {CONNECTIONS} connections\n",
        bytes >> 20,
        seconds[seconds.len() / 2]
    );
    println!("| | p50 idle | p50 beside | p99 idle | p99 beside | p99 beside/idle |");
    println!("|---|---|---|---|---|---|");
    for (load, beside) in loads.iter().zip(&beside) {
        let (idle, busy) = (Round::median(&load.rounds), Round::median(beside));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "| {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.1} × |",
            load.name,
            ms(idle.p50),
            ms(busy.p50),
            ms(idle.p99),
            ms(busy.p99),
            ms(busy.p99) / ms(idle.p99)
        );
    }
    Ok(())
}
