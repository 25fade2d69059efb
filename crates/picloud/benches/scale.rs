//! What an instance with many users and many apps has to do, against what it
//! would do without them: `cargo bench -p picloud --bench scale`,
//! or a part of it: `cargo bench -p picloud --bench scale -- api`, `logins`,
//! `apps`.
//!
//! Everything that is compared is measured in one run and turn by turn; the
//! figures are medians of the rounds.

#![expect(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark that fails should stop; its figures are far from 2^52"
)]

#[path = "http/load.rs"]
mod load;
#[path = "http/process.rs"]
#[expect(dead_code, reason = "shared with other benchmarks")]
mod process;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use load::{Load, Round, request};
use process::Server;

const ROUNDS: usize = 5;
/// A wave of logins takes long.
const WAVES: usize = 3;
const ROUND: Duration = Duration::from_secs(3);
const HELLO: &str = r#"fn get(req) { "hello" }"#;
const PASSWORD: &str = "correct horse battery";

/// Users who log in at the same time.
const LOGINS: usize = 500;
/// Connections that an app beside them answers: a visitor, and a crowd.
const NEIGHBOURS: [usize; 2] = [1, CONNECTIONS];
const APPS: usize = 10_000;
/// So many of them are called in turn, all of whose images stay in memory.
const IN_TURN: usize = 256;
/// Connections over which the many apps are made and called, and the most at
/// one time.
const CONNECTIONS: usize = 32;

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    // Started by `cargo test --benches` there is nothing to measure.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    arguments.retain(|argument| !argument.starts_with('-'));
    let is_wanted = |part| arguments.is_empty() || arguments.iter().any(|wanted| wanted == part);
    tokio::runtime::Runtime::new()?.block_on(async {
        if is_wanted("api") {
            api().await?;
        }
        if is_wanted("logins") {
            logins().await?;
        }
        if is_wanted("apps") {
            apps().await?;
        }
        Ok(())
    })
}

/// A server that finds the guest compiled.
fn started(data_dir: &Path) -> anyhow::Result<Server> {
    drop(Server::picloud(data_dir)?);
    Server::picloud(data_dir)
}

/// Calls with each kind of credential, one at a time.
async fn api() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let picloud = started(temp.path())?;
    picloud.upload("app0", HELLO).await?;
    let cookie = picloud.join("anna", PASSWORD).await?;
    picloud.add_member("app0", "anna").await?;
    let host = format!("127.0.0.1:{}", picloud.port);
    let origin = format!("http://{host}");
    let made = picloud
        .api(
            "POST",
            "/tokens",
            &[("cookie", &cookie), ("origin", &origin)],
            r#"{"name":"bench","scope":"deploy"}"#,
        )
        .await?;
    let made: serde_json::Value = serde_json::from_str(&made.text().await?)?;
    let token = format!("Bearer {}", made["secret"].as_str().context("a token")?);
    let operator = format!("Bearer {}", picloud.admin_token()?);

    let call = |line: &str, header: &str, value: &str, body: &str| {
        let text = request(line, &host, &[(header, value), ("Origin", &*origin)], body);
        move |_: usize| vec![text.clone()]
    };
    let show = |header, value| call("GET /api/v1/apps/app0", header, value, "");
    let set = |header, value| call("PUT /api/v1/apps/app0/kv/c/k", header, value, "1");
    let port = picloud.port;
    let mut loads = [
        Load::new("an app shown, the admin's token", port, show("Authorization", &operator)),
        Load::new("an app shown, a user's token", port, show("Authorization", &token)),
        Load::new("an app shown, a session", port, show("Cookie", &cookie)),
        Load::new("an entry set, the admin's token", port, set("Authorization", &operator)),
        Load::new("an entry set, a user's token", port, set("Authorization", &token)),
        Load::new("an entry set, a session", port, set("Cookie", &cookie)),
    ];
    take_turns(&mut loads, 1).await?;
    println!("\n| API call, one at a time | p50 | p99 |\n|---|---|---|");
    for load in &loads {
        let Round { p50, p99, .. } = Round::median(&load.rounds);
        println!("| {} | {} | {} |", load.name, ms(p50), ms(p99));
    }
    Ok(())
}

/// An app while nobody logs in, and while everybody does.
async fn logins() -> anyhow::Result<()> {
    let temp = tempfile::tempdir()?;
    let picloud = started(temp.path())?;
    picloud.upload("app0", HELLO).await?;
    picloud.unlimit("app0", 2 * CONNECTIONS).await?;
    for user in 0..LOGINS {
        picloud.join(&format!("user{user}"), PASSWORD).await?;
    }
    println!("\n| hello, connections | p50 alone | p99 alone | p50 beside {LOGINS} logins | p99 |");
    println!("|---|---|---|---|---|");
    for connections in NEIGHBOURS {
        let hello = || Load::new("hello", picloud.port, hellos(1));
        let (mut alone, mut beside, mut waves) = (hello(), hello(), Vec::new());
        alone.round(connections, ROUND).await?;
        for _ in 0..WAVES {
            alone.rounds.push(alone.round(connections, ROUND).await?);
            let (measured, wave) = beside.during(connections, wave(picloud.port)).await?;
            beside.rounds.push(measured);
            waves.push(wave?);
        }
        let (alone, beside) = (Round::median(&alone.rounds), Round::median(&beside.rounds));
        println!(
            "| {connections} | {} | {} | {} | {}, {:.1} x |",
            ms(alone.p50),
            ms(alone.p99),
            ms(beside.p50),
            ms(beside.p99),
            ratio(beside.p99, alone.p99),
        );
        waves.sort_unstable();
        let (all_in, refused) = waves[waves.len() / 2];
        println!(
            "all are logged in after {:.1} s, {refused} times one was told to come back later",
            all_in.as_secs_f64()
        );
    }
    Ok(())
}

/// Every user logs in at once, from an address of their own, and comes back
/// when told to. How long it takes, and how often one was told.
async fn wave(port: u16) -> anyhow::Result<(Duration, usize)> {
    // On a thread of its own: its clients shall not keep the others waiting.
    let run = move || {
        let client = picloud::client::http(false).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (started, refused) = (Instant::now(), AtomicUsize::new(0));
        let logins = (0..LOGINS).map(|user| log_in(&client, port, user, &refused));
        runtime.block_on(futures_util::future::try_join_all(logins))?;
        anyhow::Ok((started.elapsed(), refused.into_inner()))
    };
    tokio::task::spawn_blocking(run).await?
}

async fn log_in(
    client: &reqwest::Client,
    port: u16,
    user: usize,
    refused: &AtomicUsize,
) -> anyhow::Result<()> {
    let address = format!("10.0.{}.{}", user / 250, user % 250 + 1);
    let login = serde_json::json!({ "name": format!("user{user}"), "password": PASSWORD });
    loop {
        let request = client.post(format!("http://127.0.0.1:{port}/api/v1/session"));
        let request = request.header("x-forwarded-for", &address).body(login.to_string());
        let answer = request.send().await?;
        if answer.status() != 429 {
            ensure!(answer.status().is_success(), "{}", answer.text().await?);
            return Ok(());
        }
        refused.fetch_add(1, Ordering::Relaxed);
        let after = answer.headers().get("retry-after").context("when to come back")?;
        tokio::time::sleep(Duration::from_secs(after.to_str()?.parse()?)).await;
    }
}

/// An instance with many apps, and one with one.
async fn apps() -> anyhow::Result<()> {
    let (one_dir, many_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    make_apps(&started(one_dir.path())?, 1).await?;
    make_apps(&started(many_dir.path())?, APPS).await?;
    println!("\n| apps | start | RSS then |\n|---|---|---|");
    for (apps, dir) in [(1, &one_dir), (APPS, &many_dir)] {
        let starts = (0..ROUNDS).map(|_| {
            let server = Server::picloud(dir.path())?;
            anyhow::Ok((server.ready_after, server.rss_mb()?))
        });
        let mut starts = starts.collect::<anyhow::Result<Vec<_>>>()?;
        starts.sort_unstable();
        let (after, rss) = starts[starts.len() / 2];
        println!("| {apps} | {} ms | {rss} MB |", after.as_millis());
    }

    let (one, many) = (Server::picloud(one_dir.path())?, Server::picloud(many_dir.path())?);
    let calls = (0..APPS).map(|app| {
        let many = &many;
        async move { ensure_hello(&many.get(&format!("app{app}"), "/").await?) }
    });
    let begun = Instant::now();
    stream::iter(calls).buffer_unordered(CONNECTIONS).try_collect::<Vec<()>>().await?;
    println!(
        "\nRSS after each of {APPS} apps was called once, {} in all: {} MB; with all images: {} MB",
        ms(begun.elapsed()),
        many.rss_mb()?,
        many.memory_mb()?
    );

    let mut loads = [
        Load::new("the only app", one.port, hellos(1)),
        Load::new("one app of many", many.port, hellos(1)),
        Load::new("256 of many apps in turn", many.port, hellos(IN_TURN)),
    ];
    for connections in NEIGHBOURS {
        for load in &mut loads {
            load.rounds.clear();
        }
        take_turns(&mut loads, connections).await?;
        println!("\n| hello, connections: {connections} | p50 | p99 | p50 of the only app's |");
        println!("|---|---|---|---|");
        let only = Round::median(&loads[0].rounds).p50;
        for load in &loads {
            let Round { p50, p99, .. } = Round::median(&load.rounds);
            println!("| {} | {} | {} | {:.2} x |", load.name, ms(p50), ms(p99), ratio(p50, only));
        }
    }
    for (name, server) in [("one app", &one), ("many", &many)] {
        let (rss, memory) = (server.rss_mb()?, server.memory_mb()?);
        println!("\nRSS after that, of {name}: {rss} MB; with all images: {memory} MB");
    }
    Ok(())
}

async fn make_apps(picloud: &Server, count: usize) -> anyhow::Result<()> {
    let makes = (0..count).map(|app| async move {
        // A script of its own: equal ones would share their image.
        let script = format!("fn get(req) {{ \"hello\" }} // {app}");
        picloud.upload(&format!("app{app}"), &script).await
    });
    stream::iter(makes).buffer_unordered(CONNECTIONS).try_collect::<Vec<()>>().await?;
    for app in 0..count.min(IN_TURN) {
        picloud.unlimit(&format!("app{app}"), 2 * CONNECTIONS).await?;
    }
    Ok(())
}

fn ensure_hello(answer: &str) -> anyhow::Result<()> {
    ensure!(answer == "hello", "{answer}");
    Ok(())
}

/// Calls of so many apps in turn, each connection from another one on.
fn hellos(apps: usize) -> impl Fn(usize) -> Vec<String> {
    move |connection| {
        let hello = |n| {
            let app = (connection * apps / CONNECTIONS + n) % apps;
            request("GET /", &format!("app{app}.localhost"), &[], "")
        };
        (0..apps).map(hello).collect()
    }
}

async fn take_turns(loads: &mut [Load], connections: usize) -> anyhow::Result<()> {
    for round in 0..=ROUNDS {
        for load in &mut *loads {
            let measured = load.round(connections, ROUND).await?;
            // The first round warms up.
            if round > 0 {
                load.rounds.push(measured);
            }
        }
    }
    Ok(())
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn ratio(time: Duration, to: Duration) -> f64 {
    time.as_secs_f64() / to.as_secs_f64()
}
