//! Every limit, from both sides.

use std::time::Duration;

use picloud_shared::{Budget, Outcome};

use crate::support::{Run, text};

#[tokio::test]
async fn fuel_is_counted_and_bounded() {
    let script = "let n = 0; for i in 0..10000 { n += i; } n";
    let used = Run::default().script(script).await.usage.fuel;
    assert!(used > 100_000, "{used}");
    let mut run = Run::default();
    run.limits.fuel = used;
    assert_eq!(text(&run.script(script).await), "49995000");
    run.limits.fuel = used / 2;
    assert_eq!(run.script(script).await.outcome, Outcome::OutOfFuel);
}

#[tokio::test]
async fn host_calls_are_counted_to_the_last() {
    let mut run = Run::default();
    run.limits.host_calls = 10;
    let calls =
        |n: u32| format!("for i in 0..{n} {{ kv::collection(\"c\").get(\"k\"); }} \"done\"");
    let finished = run.script(&calls(10)).await;
    assert_eq!(text(&finished), "done");
    assert_eq!(finished.usage.host_calls, 10);
    let over = run.script(&calls(11)).await.outcome;
    assert_eq!(over, Outcome::BudgetExceeded(Budget::HostCalls));
}

#[tokio::test]
async fn bytes_moved_are_counted_both_ways() {
    let mut run = Run::default();
    run.limits.host_bytes = 10_000;
    let script = "let v = \"x\"; v.pad(3000, 'x'); let c = kv::collection(\"c\"); c.set(\"k\", v);";
    let once = format!("{script} c.get(\"k\").len()");
    assert_eq!(text(&run.script(&once).await), "3000");
    let often = format!("{script} for i in 0..3 {{ c.get(\"k\"); }} 1");
    let outcome = run.script(&often).await.outcome;
    assert_eq!(outcome, Outcome::BudgetExceeded(Budget::HostBytes));
}

#[tokio::test]
async fn memory_is_bounded_by_the_apps_limit() {
    let script = "let b = blob(8000000, 1); b.len()";
    let mut run = Run::default();
    assert_eq!(text(&run.script(script).await), "8000000");
    run.limits.memory_bytes = 4 << 20;
    assert_eq!(run.script(script).await.outcome, Outcome::OutOfMemory);
}

#[tokio::test]
async fn a_limit_below_the_image_itself_is_out_of_memory() {
    let mut run = Run::default();
    run.limits.memory_bytes = 64 << 10;
    assert_eq!(run.script("1").await.outcome, Outcome::OutOfMemory);
}

#[tokio::test]
async fn growth_past_what_the_pool_has_is_out_of_memory() {
    let mut run = Run::default();
    run.limits.memory_bytes = u64::MAX;
    run.limits.fuel = u64::MAX / 2;
    assert_eq!(run.script("blob(1200000000, 0).len()").await.outcome, Outcome::OutOfMemory);
}

#[tokio::test]
async fn an_error_is_bounded_whatever_was_thrown() {
    let throw = "let s = \"x\"; s.pad(600000, '…'); throw #{ code: s, message: s }";
    for script in [throw, "let s = \"x\"; s.pad(600000, '…'); throw s"] {
        let Outcome::ScriptError(error) = Run::default().script(script).await.outcome else {
            panic!("it throws")
        };
        assert!(error.message.len() <= 4096 && error.message.ends_with('…'));
        assert!(error.message.starts_with('x'));
        assert!(error.code.is_none_or(|code| code.len() <= 64));
    }
}

#[tokio::test]
async fn the_deadline_counts_the_building_of_the_image() {
    let mut program = "let n = 0;\n".to_owned();
    program.push_str(&"n += 1;\n".repeat(20_000));
    let run = Run { deadline: Duration::from_millis(1), ..Run::default() };
    assert_eq!(run.script(&program).await.outcome, Outcome::TimedOut);
    assert!(!matches!(Run::default().script(&program).await.outcome, Outcome::TimedOut));
}
