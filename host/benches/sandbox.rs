//! What an invocation costs, stage by stage, against the naive way and against
//! Rhai without a sandbox. `cargo bench -p picloud-host`
//!
//! - `image/<script>/<stage>`: the script is in the image (what the host does)
//! - `naive/<script>`: engine built and script parsed in every instance
//! - `native/<script>`: Rhai in this process, engine and AST ready
//! - `build/<script>`: source to runnable image

#![expect(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

use std::fmt::Write;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picloud_host::Host;
use picloud_host::bench::Stages;
use picloud_shared::{Event, Program, Request};
use tokio::runtime::Runtime;

fn scripts() -> [(&'static str, String); 3] {
    let mut sixty = String::new();
    for i in 0..60 {
        writeln!(
            sixty,
            "fn step_{i}(n) {{ let total = 0; for k in 0..n {{ if k % 2 == 0 {{ total += k; }} \
             else {{ total -= 1; }} }} `step {i}: ${{total}}` }}"
        )
        .unwrap();
    }
    sixty.push_str("fn get(req) { step_7(3) }\n");
    [
        ("hello", r#"fn get(req) { "hello" }"#.to_owned()),
        (
            "kv",
            r#"fn get(req) { let c = kv::collection("c"); c.set("k", 1); c.get("k"); "done" }"#
                .to_owned(),
        ),
        ("sixty", sixty),
    ]
}

fn event() -> Event {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Event::Http(Request {
        method: "GET".into(),
        url: "http://hello.localhost:8080/".into(),
        path: "/".into(),
        host: "hello.localhost:8080".into(),
        ip: "127.0.0.1".into(),
        headers: vec![
            header("host", "hello.localhost:8080"),
            header("user-agent", "bench/1.0"),
            header("accept", "*/*"),
        ],
        ..Request::default()
    })
}

fn sandbox(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let host = Host::builder().slots(8).cache_dir(cache.path().join("code")).build().unwrap();
    let mut group = criterion.benchmark_group("sandbox");

    for (name, source) in scripts() {
        let program = Program::single("index.rhai", source);
        let image = async || host.bench_image(&program, event()).await.unwrap();
        for stage in ["total", "instantiate", "run", "drop"] {
            let pick = |stages: Stages| match stage {
                "instantiate" => stages.instantiate,
                "run" => stages.run,
                "drop" => stages.drop,
                _ => stages.total(),
            };
            group.bench_function(BenchmarkId::new(format!("image/{name}"), stage), |bencher| {
                bencher.to_async(&runtime).iter_custom(async |runs| {
                    let mut sum = Duration::ZERO;
                    for _ in 0..runs {
                        sum += pick(image().await);
                    }
                    sum
                });
            });
        }
        group.bench_function(BenchmarkId::new("naive", name), |bencher| {
            bencher.to_async(&runtime).iter_custom(async |runs| {
                let mut sum = Duration::ZERO;
                for _ in 0..runs {
                    sum += host.bench_naive(&program, event()).await.unwrap().total();
                }
                sum
            });
        });
        group.bench_function(BenchmarkId::new("build", name), |bencher| {
            bencher.to_async(&runtime).iter(async || host.bench_build(&program).await.unwrap());
        });
    }
    group.finish();
}

/// The same work without a sandbox: what Rhai itself costs.
fn native(criterion: &mut Criterion) {
    let engine = rhai::Engine::new();
    let mut group = criterion.benchmark_group("native");
    for (name, source) in scripts() {
        if name == "kv" {
            continue;
        }
        let ast = engine.compile(&source).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut scope = rhai::Scope::new();
                engine.call_fn::<rhai::Dynamic>(&mut scope, &ast, "get", (1_i64,)).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = sandbox, native
}
criterion_main!(benches);
