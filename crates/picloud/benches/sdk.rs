//! What the SDK costs, on the real server: `cargo bench -p picloud --bench sdk`
//!
//! A script does a thing as often as its request says. What one of them costs
//! is the difference between many and none, divided by how many; the median of
//! the rounds is printed, and beside it what the same loop costs without the
//! thing.

#![expect(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark that fails should stop; its figures are far from 2^52"
)]

#[path = "http/process.rs"]
#[expect(dead_code, reason = "shared with other benchmarks")]
mod process;

use std::time::{Duration, Instant};

use process::Server;

const ROUNDS: usize = 41;
/// Files, each of as many bytes as a request may have.
const FILES: usize = 100;
const FILE_BYTES: usize = 1 << 20;

const SCRIPT: &str = r#"
const ENTRIES = kv::collection("c");
const ROW = #{ name: "A name & more", price: 12.5, tags: ["one", "two", "three"], in_stock: true };

fn get(req) {
    let n = parse_int(req.query.n);
    switch req.query.what {
        "loop" => for i in 0..n { app::slug(); },
        "host call" => for i in 0..n { config::get("NONE"); },
        "kv loop" => for i in 0..n { `k${i}`; },
        "kv get" => for i in 0..n { ENTRIES.get(`k${i}`); },
        "template" => {
            let rows = [];
            for i in 0..50 { rows.push(ROW); }
            for i in 0..n { template::render("rows.html", #{ rows: rows }); }
        },
        "parse" => { let text = document(); for i in 0..n { json::parse(text); } },
        "stringify" => { let value = json::parse(document()); for i in 0..n { json::stringify(value); } },
        "sizes" => {
            let rows = [];
            for i in 0..50 { rows.push(ROW); }
            return [document().len, template::render("rows.html", #{ rows: rows }).len];
        },
    }
    ()
}

fn post(req) {
    for i in 0..1000 { ENTRIES.set(`k${i}`, #{ n: i, text: "some text" }); }
    ()
}

fn document() {
    let rows = [];
    for i in 0..600 { rows.push(ROW); }
    json::stringify(rows)
}
"#;

const TEMPLATE: &str = "<table>\n{% for row in rows %}<tr><td>{{ row.name }}</td>\
    <td>{{ row.price }}</td><td>{{ row.tags|join(', ') }}</td>\
    <td>{% if row.in_stock %}yes{% else %}no{% endif %}</td></tr>\n{% endfor %}</table>\n";

const FILES_SCRIPT: &str = r#"
fn put(req) { files::bucket("b").put(req.query.name, req.bytes()); () }
fn get(req) { response::redirect(files::bucket("b").url(req.query.name)) }
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
    // The first start compiles the guest, and keeps memory that took.
    drop(Server::picloud(temp.path())?);
    let picloud = Server::picloud(temp.path())?;
    picloud.upload_file("sdk", "templates/rows.html", TEMPLATE).await?;
    picloud.upload("sdk", SCRIPT).await?;
    picloud.unlimit("sdk", 16).await?;
    picloud.post("sdk", "/").await?;

    println!("medians of {ROUNDS} rounds\n\n| | each |\n|---|---|");
    let idle = cost(&picloud, "loop", 5_000).await?;
    let call = cost(&picloud, "host call", 5_000).await?;
    println!("| function of the guest's own | {} |", micros(idle));
    println!("| host call that does nothing | {} |", micros(call));
    println!("| **the difference** | {} |", micros(call.saturating_sub(idle)));
    let idle = cost(&picloud, "kv loop", 1_000).await?;
    let get = cost(&picloud, "kv get", 1_000).await?;
    println!("| KV get, another key each time | {} |", micros(get.saturating_sub(idle)));

    let sizes = picloud.get("sdk", "/?what=sizes&n=0").await?;
    let sizes: Vec<f64> = serde_json::from_str(&sizes)?;
    for (what, bytes, times) in
        [("template", sizes[1], 20), ("parse", sizes[0], 20), ("stringify", sizes[0], 20)]
    {
        let each = cost(&picloud, what, times).await?;
        let speed = bytes / each.as_secs_f64() / 1e6;
        println!("| {what}, {:.0} KB | {}, {speed:.0} MB/s |", bytes / 1e3, micros(each));
    }
    drop(picloud);
    files().await
}

/// What one of `times` costs.
async fn cost(picloud: &Server, what: &str, times: u32) -> anyhow::Result<Duration> {
    let what = what.replace(' ', "%20");
    let mut costs = Vec::new();
    for round in 0..=ROUNDS {
        let mut took = [Duration::ZERO; 2];
        for (took, n) in took.iter_mut().zip([0, times]) {
            let started = Instant::now();
            let status = picloud.status("sdk", &format!("/?what={what}&n={n}")).await?;
            *took = started.elapsed();
            anyhow::ensure!(status == 204, "{what} {n}: {status}");
        }
        // The first round warms up.
        if round > 0 {
            costs.push(took[1].saturating_sub(took[0]) / times);
        }
    }
    costs.sort_unstable();
    Ok(costs[costs.len() / 2])
}

fn micros(duration: Duration) -> String {
    format!("{:.2} µs", duration.as_secs_f64() * 1e6)
}

/// Files up and down again, and what the server keeps of that in memory.
async fn files() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    drop(Server::picloud(temp.path())?);
    let picloud = Server::picloud(temp.path())?;
    picloud.upload("files", FILES_SCRIPT).await?;
    picloud.unlimit("files", 16).await?;
    let file = |i: usize| -> Vec<u8> {
        (0..FILE_BYTES).map(|at| (at * 31 + i).to_le_bytes()[0]).collect()
    };
    picloud.put("files", "/?name=warm", file(FILES)).await?;
    picloud.download("files", "/?name=warm").await?;
    let before = picloud.rss_mb()?;

    let started = Instant::now();
    for i in 0..FILES {
        picloud.put("files", &format!("/?name=f{i}"), file(i)).await?;
    }
    let up = started.elapsed().as_secs_f64();
    let uploaded = picloud.rss_mb()?;
    let started = Instant::now();
    for i in 0..FILES {
        let found = picloud.download("files", &format!("/?name=f{i}")).await?;
        anyhow::ensure!(found == file(i), "file {i} is another one");
    }
    let down = started.elapsed().as_secs_f64();
    let after = picloud.rss_mb()?;
    let mb = (FILES * FILE_BYTES) as f64 / 1e6;
    println!(
        "\n{FILES} files of {FILE_BYTES} bytes: up {:.0} MB/s, down {:.0} MB/s\n\
         RSS {before} MB before, {uploaded} MB after the uploads, {after} MB after the downloads",
        mb / up,
        mb / down,
    );
    Ok(())
}
