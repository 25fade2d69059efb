//! The compiled code on disk, the pool, hostile components.

use std::fs;
use std::time::Duration;

use picloud_host::{Host, SplitError, testing};
use picloud_shared::{Event, Limits, Outcome, Program, Request, Sandbox};

async fn works(host: &Host) -> bool {
    let finished = host
        .invoke(
            &Program::single("index.rhai", "40 + 2"),
            testing::invocation(),
            Event::Http(Request { method: "GET".into(), ..Request::default() }),
            testing::services(),
            &Limits::default(),
            Duration::from_secs(10),
        )
        .await;
    matches!(finished.outcome, Outcome::Ok(response) if &response.body[..] == b"42")
}

#[tokio::test]
async fn a_damaged_code_cache_is_compiled_anew() {
    let dir = tempfile::tempdir().unwrap();
    let build = || Host::builder().slots(1).cache_dir(dir.path().join("code")).build().unwrap();
    assert!(works(&build()).await);

    let code = fs::read_dir(dir.path().join("code"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "cwasm"))
        .unwrap();
    let good = fs::read(&code).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    for damaged in [flipped, good[..good.len() / 2].to_vec(), Vec::new(), b"garbage".to_vec()] {
        // Replaced, not overwritten: a running host has the file mapped.
        fs::remove_file(&code).unwrap();
        fs::write(&code, damaged).unwrap();
        assert!(works(&build()).await);
        assert_eq!(fs::read(&code).unwrap().len(), good.len(), "it is kept again");
    }
}

#[tokio::test]
async fn more_invocations_than_slots_wait_their_turn() {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/code-cache");
    let host = std::sync::Arc::new(Host::builder().slots(2).cache_dir(cache).build().unwrap());
    let runs: Vec<_> = (0..50)
        .map(|_| {
            let host = std::sync::Arc::clone(&host);
            tokio::spawn(async move { works(&host).await })
        })
        .collect();
    for run in runs {
        assert!(run.await.unwrap());
    }
    let stats = host.stats();
    assert_eq!((stats.instances, stats.memories, stats.stacks), (0, 0, 0));
}

#[test]
fn a_component_that_is_no_guest_is_refused_with_a_reason() {
    let refused = |wat: &str| {
        let bytes = wat::parse_str(wat).unwrap();
        let error = Host::builder().guest(bytes).build().err().expect("it is refused");
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    };
    assert!(refused("(component)").contains("no instance has a memory"));
    assert!(
        refused("(component (import \"wasi:clocks/wall-clock@0.2.0\" (instance)))").contains(
            &SplitError::ForbiddenImport("wasi:clocks/wall-clock@0.2.0".into()).to_string()
        )
    );
    let two = "(component (core module (memory 1)) (core module (memory 1)))";
    assert!(refused(two).contains("more than one memory"));
    let shared = "(component (core module (memory 1 1 shared)))";
    assert!(refused(shared).contains("not a plain 32-bit one"));
    let globals = r#"(component
        (core module $m
            (import "a" "b" (func)) (memory 1) (global (mut i32) (i32.const 1))
            (global (mut i64) (i64.const 1)) (func))
        (core module $a (func (export "b")))
        (core instance $ai (instantiate $a))
        (core instance (instantiate $m (with "a" (instance $ai)))))"#;
    assert!(refused(globals).contains("one mutable global"));
}
