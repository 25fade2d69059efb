//! What the sandbox costs a script that computes: the same scripts in the
//! sandbox and natively, in one process and turn by turn, so that a noisy
//! machine is noisy for both. `cargo bench -p picloud-host --bench compute`
//!
//! The native side is the guest's own crate, with the same Rhai and the same
//! SDK, called as a library.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails should stop; its figures are far from 2^52"
)]

use std::time::{Duration, Instant};

use picloud_guest::{Script, model};
use picloud_host::{Host, testing};
use picloud_shared::{Event, Limits, Outcome, Program, Request, Sandbox};
use tokio::runtime::Runtime;

#[path = "../../guest/tests/it/fake.rs"]
#[expect(dead_code, reason = "these scripts ask nothing of the host that they need")]
mod fake;

const WORKLOADS: [(&str, &str); 5] = [
    ("loop", include_str!("compute/loop.rhai")),
    ("fib", include_str!("compute/fib.rhai")),
    ("strings", include_str!("compute/strings.rhai")),
    ("maps", include_str!("compute/maps.rhai")),
    ("json", include_str!("compute/json.rhai")),
];
const ROUNDS: usize = 31;
const ENOUGH: Duration = Duration::from_mins(1);

fn main() {
    // Started by `cargo test --benches` there is nothing to measure.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let runtime = Runtime::new().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let host = Host::builder().slots(1).cache_dir(cache.path().join("code")).build().unwrap();

    println!("medians of {ROUNDS} rounds\n");
    println!("| | native | sandbox | sandbox / native | fuel |");
    println!("|---|---|---|---|---|");
    for (name, source) in WORKLOADS {
        let native = Native::new(source);
        let sandbox = Sandboxed { host: &host, program: Program::single("main.rhai", source) };
        // The first round warms up, and makes sure that both compute the same.
        let (_, expected) = native.run();
        let (_, found, fuel) = runtime.block_on(sandbox.run());
        assert_eq!(found, expected, "{name}");

        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (native, _) = native.run();
            let (sandbox, _, again) = runtime.block_on(sandbox.run());
            assert_eq!(again, fuel, "{name}: the same run burns the same fuel");
            rounds.push((native.as_secs_f64(), sandbox.as_secs_f64()));
        }
        let native = median(rounds.iter().map(|(native, _)| *native));
        let sandbox = median(rounds.iter().map(|(_, sandbox)| *sandbox));
        let ratio = median(rounds.iter().map(|(native, sandbox)| sandbox / native));
        println!(
            "| {name} | {:.1} ms | {:.1} ms | {ratio:.2} | {:.0} M |",
            native * 1e3,
            sandbox * 1e3,
            fuel as f64 / 1e6,
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A script in this process.
struct Native(Script);

impl Native {
    fn new(source: &str) -> Self {
        Self(fake::compile(&fake::World::default(), source, &[]).0)
    }

    fn run(&self) -> (Duration, Vec<u8>) {
        let event = model::Event::Http(fake::request("GET"));
        let started = Instant::now();
        let response = self.0.handle(fake::invocation(), event).unwrap();
        (started.elapsed(), response.body)
    }
}

/// A script in the sandbox.
struct Sandboxed<'a> {
    host: &'a Host,
    program: Program,
}

impl Sandboxed<'_> {
    /// How long it took, what it answered, what it burnt.
    async fn run(&self) -> (Duration, Vec<u8>, u64) {
        let event = Event::Http(Request { method: "GET".into(), ..Request::default() });
        let limits = Limits { fuel: u64::MAX >> 1, ..Limits::default() };
        let (invocation, services) = (testing::invocation(), testing::services());
        let started = Instant::now();
        let finished =
            self.host.invoke(&self.program, invocation, event, services, &limits, ENOUGH).await;
        let elapsed = started.elapsed();
        let Outcome::Ok(response) = finished.outcome else { panic!("{:?}", finished.outcome) };
        (elapsed, response.body.to_vec(), finished.usage.fuel)
    }
}
