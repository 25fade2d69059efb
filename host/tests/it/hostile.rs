//! Programs that do not behave: each ends with the outcome that says so, and
//! the next one runs as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use picloud_shared::{Budget, CompileError, Outcome, Program, Sandbox};

use crate::support::{Behaviour, Run, assert_unharmed, host};

async fn outcome(script: &str) -> Outcome {
    let run = Run::alone();
    let outcome = run.script(script).await.outcome;
    assert_unharmed(&run.host).await;
    outcome
}

#[tokio::test]
async fn an_infinite_loop_runs_out_of_fuel() {
    assert_eq!(outcome("loop {}").await, Outcome::OutOfFuel);
}

#[tokio::test]
async fn fuel_cannot_be_caught() {
    assert_eq!(outcome("loop { try { loop {} } catch { } }").await, Outcome::OutOfFuel);
}

#[tokio::test]
async fn growing_without_end_runs_out_of_memory() {
    let mut run = Run::alone();
    run.limits.fuel = u64::MAX / 2;
    for script in [
        "let s = \"x\"; loop { s += s; }",
        "let a = [1]; loop { a += a; }",
        "let b = blob(1000, 1); loop { b += b; }",
        "let m = #{}; let i = 0; loop { m[`key number ${i}`] = \"x\".len(); i += 1; m[`a${i}`] = blob(100000, 0); }",
    ] {
        let finished = run.script(script).await;
        assert_eq!(finished.outcome, Outcome::OutOfMemory, "{script}");
        assert!(finished.usage.memory_bytes <= run.limits.memory_bytes);
        assert_unharmed(&run.host).await;
    }
}

#[tokio::test]
async fn recursion_without_end_is_a_script_error() {
    assert!(matches!(outcome("fn f() { f() } f()").await, Outcome::ScriptError(_)));
    let mutual = "fn a(n) { b(n + 1) } fn b(n) { a(n + 1) } a(0)";
    assert!(matches!(outcome(mutual).await, Outcome::ScriptError(_)));
}

#[tokio::test]
async fn a_loop_ends_at_its_deadline_even_with_fuel_left() {
    let mut run = Run { deadline: Duration::from_millis(50), ..Run::alone() };
    run.limits.fuel = u64::MAX / 2;
    run.compile("loop {}").await;
    assert_eq!(run.script("loop {}").await.outcome, Outcome::TimedOut);
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn a_storm_of_host_calls_ends_uncaught() {
    let mut run = Run::alone();
    run.limits.fuel = u64::MAX / 2;
    let storm = r#"let c = kv::collection("c"); loop { try { c.get("k"); } catch {} }"#;
    let finished = run.script(storm).await;
    assert_eq!(finished.outcome, Outcome::BudgetExceeded(Budget::HostCalls));
    assert_eq!(finished.usage.host_calls, run.limits.host_calls);
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn a_log_flood_is_cut_with_one_notice_and_ends_uncaught() {
    for line in ["\"x\"", "\"x\".len().to_string()", "big"] {
        let run = Run::alone();
        let flood = format!(
            "let big = \"x\"; big.pad(60000, 'x'); loop {{ try {{ log::info({line}); }} catch {{}} }}"
        );
        let outcome = run.script(&flood).await.outcome;
        assert!(matches!(outcome, Outcome::BudgetExceeded(_) | Outcome::OutOfFuel), "{outcome:?}");
        let lines = std::mem::take(&mut *run.log.0.lock().unwrap());
        let bytes: usize = lines.iter().map(|(_, message)| message.len()).sum();
        assert!(bytes as u64 <= run.limits.log_bytes + 200, "{bytes}");
        assert_eq!(lines.iter().filter(|(_, m)| m.starts_with("log cut here")).count(), 1);
        assert_unharmed(&run.host).await;
    }
}

#[tokio::test]
async fn a_giant_response_is_refused_whatever_its_size() {
    let mut run = Run::alone();
    run.limits.response_body_bytes = 1 << 20;
    // One byte over; over the slack of host calls; and just right.
    for (bytes, fits) in [((1 << 20) + 1, false), (20 << 20, false), (1 << 20, true)] {
        let finished = run.script(&format!("blob({bytes}, 65)")).await;
        if fits {
            assert!(matches!(finished.outcome, Outcome::Ok(_)), "{bytes}");
        } else {
            let expected = Outcome::BudgetExceeded(Budget::ResponseBytes);
            assert_eq!(finished.outcome, expected, "{bytes}");
        }
    }
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn what_is_too_large_to_parse_is_refused_inside_the_sandbox() {
    let nested = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let huge = "let x = 1;\n".repeat(1_000_000);
    let functions: Vec<_> = (0..100_000).map(|i| format!("fn f{i}() {{ {i} }}")).collect();
    let functions = functions.join("\n");
    let run = Run::alone();
    for script in [nested, huge, functions] {
        let error = run.host.compile(&Program::single("index.rhai", script)).await.unwrap_err();
        assert!(matches!(error, CompileError::Script(_) | CompileError::TooLarge(_)), "{error:?}");
        assert_unharmed(&run.host).await;
    }
}

#[tokio::test]
async fn what_a_script_must_not_do_does_not_exist() {
    for script in ["eval(\"1\")", "sleep(1)", "timestamp()"] {
        let program = Program::single("index.rhai", script);
        let refused = match host().compile(&program).await {
            Err(CompileError::Script(_)) => true,
            _ => matches!(outcome(script).await, Outcome::ScriptError(_)),
        };
        assert!(refused, "{script}");
    }
}

#[tokio::test]
async fn a_hanging_host_function_ends_at_the_deadline() {
    let run = Run { deadline: Duration::from_millis(20), ..Run::alone() };
    *run.kv.behaviour.lock().unwrap() = Behaviour::Hang;
    for script in [
        r#"kv::collection("c").get("k")"#,
        r#"kv::collection("c").set("k", 1)"#,
        r#"kv::collection("c").delete("k")"#,
        r#"kv::collection("c").list()"#,
        r#"kv::collection("c").count()"#,
        r#"kv::collection("c").clear()"#,
    ] {
        run.compile(script).await;
        assert_eq!(run.script(script).await.outcome, Outcome::TimedOut, "{script}");
    }
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn a_failing_store_ends_the_invocation_and_cannot_be_caught() {
    let run = Run::alone();
    *run.kv.behaviour.lock().unwrap() = Behaviour::Fail;
    let outcome =
        run.script(r#"try { kv::collection("c").get("k") } catch { "caught" }"#).await.outcome;
    assert!(matches!(outcome, Outcome::Unavailable(_)), "{outcome:?}");
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn a_panic_in_a_host_function_harms_nobody_else() {
    let run = Run::alone();
    *run.kv.behaviour.lock().unwrap() = Behaviour::Panic;
    let host = Arc::clone(&run.host);
    let panicked = tokio::spawn(async move { run.script(r#"kv::collection("c").get("k")"#).await });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_unharmed(&host).await;
}

#[tokio::test]
async fn an_invocation_dropped_on_the_way_leaves_nothing_behind() {
    let run = Run::alone();
    *run.kv.behaviour.lock().unwrap() = Behaviour::Hang;
    let script = r#"kv::collection("c").get("k")"#;
    run.compile(script).await;
    for after_us in [0, 10, 100, 1_000, 5_000] {
        let invocation = run.script(script);
        let dropped = tokio::time::timeout(Duration::from_micros(after_us), invocation).await;
        assert!(dropped.is_err());
    }
    assert_unharmed(&run.host).await;
}

#[tokio::test]
async fn values_nested_a_hundred_thousand_deep_harm_nobody() {
    let outcome = outcome("let a = []; for i in 0..100000 { a = [a]; } a = (); 1").await;
    assert!(matches!(outcome, Outcome::ScriptError(_) | Outcome::OutOfFuel), "{outcome:?}");
}
