//! Events on the real server, from their publication to the committed effect of
//! their handler: `cargo bench -p picloud --bench events`

#![expect(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark that fails should stop; its figures are far from 2^52"
)]

#[path = "http/process.rs"]
#[expect(dead_code, reason = "shared with other benchmarks")]
mod process;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use process::Server;

const MANIFEST: &str = "
[[triggers]]
on = 'events.publish'
topic = 'set'
handler = 'set.rhai'
[[triggers]]
on = 'queue.message'
queue = 'set'
handler = 'set.rhai'
[[triggers]]
on = 'queue.message'
queue = 'poison'
handler = 'poison.rhai'
[[triggers]]
on = 'queue.message'
queue = 'slow'
handler = 'slow.rhai'
";
const INDEX: &str = "
    fn get(req) { kv::collection(\"c\").has(req.query.key) }
    fn post(req) { events::publish(\"set\", req.query.key); () }
    fn put(req) {
        let queue = queue::named(req.query.queue);
        for n in 0..parse_int(req.query.n) { queue.send(`${req.query.key}-${n}`); }
        ()
    }";
const SET: &str = "
    fn on_event(event) { kv::collection(\"c\").set(event.payload, true) }
    fn on_message(message) { kv::collection(\"c\").set(message.payload, true) }";
const POISON: &str = "fn on_message(message) { throw \"no\" }";
const SLOW: &str = "fn on_message(message) { let n = 0; loop { n += 1; } }";

/// One event every so often.
const PACE: Duration = Duration::from_millis(10);
const PACED: usize = 1_000;
const SUSTAINED: usize = 20_000;
const PUBLISHERS: usize = 32;
const BACKLOG: usize = 100_000;
const SCHEDULES: usize = 10_000;
const IDLE: Duration = Duration::from_mins(1);

fn main() -> anyhow::Result<()> {
    // Started by `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    // The first start compiles the guest, and keeps memory that took.
    drop(Server::picloud(temp.path())?);
    let picloud = Arc::new(Server::picloud(temp.path())?);
    for app in ["events", "other"] {
        deploy(&picloud, app).await?;
    }
    latency(&picloud, "warm").await?;
    println!("| {PACED} events, one every {} ms | p50 | p99 |\n|---|---|---|", PACE.as_millis());
    let (_, alone) = row(&picloud, "alone").await?;
    picloud.put("other", "/?queue=poison&key=p&n=900", Vec::new()).await?;
    let (_, poison) = row(&picloud, "beside 900 poison messages of another app").await?;
    picloud.put("other", "/?queue=slow&key=s&n=900", Vec::new()).await?;
    let (_, slow) = row(&picloud, "beside 900 messages whose handler burns all its fuel").await?;
    println!(
        "\np99 beside poison {:.1} x, beside slow handlers {:.1} x",
        poison.as_secs_f64() / alone.as_secs_f64(),
        slow.as_secs_f64() / alone.as_secs_f64()
    );
    drop(picloud);

    let temp = tempfile::tempdir()?;
    let picloud = Arc::new(Server::picloud(temp.path())?);
    deploy(&picloud, "events").await?;
    sustained(&picloud).await?;
    backlog(&picloud).await?;
    drop(picloud);
    idle_schedules().await?;
    ticks().await
}

async fn deploy(picloud: &Server, app: &str) -> anyhow::Result<()> {
    for (path, text) in
        [("set.rhai", SET), ("poison.rhai", POISON), ("slow.rhai", SLOW), ("index.rhai", INDEX)]
    {
        picloud.upload_file(app, path, text).await?;
    }
    picloud.upload_file(app, "picloud.toml", MANIFEST).await?;
    picloud.unlimit(app, 16).await
}

async fn row(picloud: &Arc<Server>, name: &str) -> anyhow::Result<(Duration, Duration)> {
    let (p50, p99) = latency(picloud, &name.replace(' ', "-")).await?;
    println!("| {name} | {:.1} ms | {:.1} ms |", p50.as_secs_f64() * 1e3, p99.as_secs_f64() * 1e3);
    Ok((p50, p99))
}

/// From the request that publishes to the first one that finds the effect.
async fn latency(picloud: &Arc<Server>, name: &str) -> anyhow::Result<(Duration, Duration)> {
    let mut pace = tokio::time::interval(PACE);
    let mut events = Vec::new();
    for n in 0..PACED {
        pace.tick().await;
        let (picloud, path) = (Arc::clone(picloud), format!("/?key={name}-{n}"));
        events.push(tokio::spawn(async move {
            let started = Instant::now();
            picloud.post("events", &path).await?;
            while picloud.get("events", &path).await? != "true" {
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            anyhow::Ok(started.elapsed())
        }));
    }
    let mut latencies = Vec::new();
    for event in events {
        latencies.push(event.await??);
    }
    latencies.sort_unstable();
    Ok((latencies[PACED / 2], latencies[PACED * 99 / 100]))
}

/// Publishes as fast as it is answered, and waits for the last effect.
async fn sustained(picloud: &Arc<Server>) -> anyhow::Result<()> {
    let before = delivered(picloud).await?;
    let started = Instant::now();
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let picloud = Arc::clone(picloud);
        tokio::spawn(async move {
            for n in 0..SUSTAINED / PUBLISHERS {
                picloud.post("events", &format!("/?key=sustained-{publisher}-{n}")).await?;
            }
            anyhow::Ok(())
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await??;
    }
    let published = started.elapsed();
    while delivered(picloud).await? < before + SUSTAINED {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let elapsed = started.elapsed();
    println!(
        "\n{SUSTAINED} events from {PUBLISHERS} connections: {:.0}/s end to end \
         (published in {:.1} s, the last effect after {:.1} s)",
        SUSTAINED as f64 / elapsed.as_secs_f64(),
        published.as_secs_f64(),
        elapsed.as_secs_f64()
    );
    Ok(())
}

/// Messages that come faster than they can be handled.
async fn backlog(picloud: &Arc<Server>) -> anyhow::Result<()> {
    const EACH: usize = 500;
    let (before, rss) = (delivered(picloud).await?, picloud.rss_mb()?);
    let started = Instant::now();
    for n in 0..BACKLOG / EACH {
        picloud.put("events", &format!("/?queue=set&key=b{n}&n={EACH}"), Vec::new()).await?;
    }
    let sent = started.elapsed();
    let left = BACKLOG - (delivered(picloud).await? - before);
    let mut peak = picloud.rss_mb()?;
    while delivered(picloud).await? < before + BACKLOG {
        tokio::time::sleep(Duration::from_millis(100)).await;
        peak = peak.max(picloud.rss_mb()?);
    }
    println!(
        "\n{BACKLOG} messages sent in {:.1} s, {left} waited then; all handled after {:.1} s\n\
         RSS {rss} MB before, {peak} MB at most",
        sent.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn idle_schedules() -> anyhow::Result<()> {
    const APPS: usize = 100;
    let temp = tempfile::tempdir()?;
    let picloud = Server::picloud(temp.path())?;
    for app in 0..APPS {
        let (app, mut manifest) = (format!("app{app}"), String::new());
        for n in 0..SCHEDULES / APPS {
            writeln!(
                manifest,
                "[[schedules]]\nname = 's{n}'\ncron = '0 0 1 1 *'\nhandler = 'tick.rhai'"
            )?;
        }
        picloud.upload_file(&app, "tick.rhai", "fn on_schedule(tick) { }").await?;
        picloud.upload_file(&app, "picloud.toml", &manifest).await?;
    }
    let before = picloud.cpu_seconds()?;
    tokio::time::sleep(IDLE).await;
    let used = picloud.cpu_seconds()? - before;
    println!(
        "\n{SCHEDULES} schedules, none due: {used:.2} s of CPU in {} s ({:.2} %)",
        IDLE.as_secs(),
        100.0 * used / IDLE.as_secs_f64()
    );
    Ok(())
}

/// How late a tick's handler begins.
async fn ticks() -> anyhow::Result<()> {
    const TICKS: usize = 20;
    let temp = tempfile::tempdir()?;
    let picloud = Server::picloud(temp.path())?;
    let tick = "fn on_schedule(tick) {
        kv::collection(\"late\").set(`${tick.scheduled_at}`, time::now() - tick.scheduled_at);
    }";
    let index = "fn get(req) { kv::collection(\"late\").list().items.map(|item| item.value) }";
    picloud.upload_file("ticks", "tick.rhai", tick).await?;
    picloud.upload_file("ticks", "index.rhai", index).await?;
    let manifest = "[[schedules]]\ncron = '* * * * * *'\nhandler = 'tick.rhai'";
    picloud.upload_file("ticks", "picloud.toml", manifest).await?;
    let late = loop {
        let late: Vec<u64> = serde_json::from_str(&picloud.get("ticks", "/").await?)?;
        if late.len() >= TICKS {
            break late;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (most, sum) = (late.iter().max(), late.iter().sum::<u64>());
    println!(
        "\n{} ticks, one a second: {:.1} ms late on average, {} ms at most",
        late.len(),
        sum as f64 / late.len() as f64,
        most.unwrap_or(&0)
    );
    Ok(())
}

/// Deliveries that are acknowledged.
async fn delivered(picloud: &Server) -> anyhow::Result<usize> {
    let metrics = picloud.metrics().await?;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("picloud_deliveries_total{outcome=\"ok\"} "));
    Ok(line.map_or(Ok(0), str::parse)?)
}
