//! What one invocation leaves behind for another: nothing.

use picloud_shared::{Outcome, Program, Sandbox};

use crate::support::{Run, answer, host, text};

#[tokio::test]
async fn an_invocation_starts_from_the_image_and_nothing_else() {
    // `this` program keeps no state between its invocations, however it tries.
    let script = "fn get(req) { let seen = kv::collection(\"c\").get(\"k\"); `${seen == ()}` }";
    for _ in 0..3 {
        assert_eq!(answer(script).await, "true");
    }
}

/// A memory that was handed to another program must not show what the first
/// one left there. The reader allocates fresh memory and looks at all of it.
#[tokio::test]
async fn a_secret_of_one_invocation_is_never_seen_by_a_later_one() {
    let secret = "s3cr3t-0f-an0ther-app";
    let writer =
        format!("let parts = []; for i in 0..2000 {{ parts.push(\"{secret}\" + i); }} parts.len()");
    let reader = format!(
        "let b = blob(1000000, 0); let text = \"\"; \
         let clean = true; for i in 0..1000 {{ if b[i * 1000] != 0 {{ clean = false; }} }} \
         `${{clean}} ${{req.text().contains(\"{}\")}}`",
        &secret[..6]
    );
    for round in 0..200 {
        assert_eq!(answer(&writer).await, "2000");
        assert_eq!(answer(&reader).await, "true false", "round {round}");
    }
}

#[tokio::test]
async fn programs_with_equal_source_share_an_image_and_nothing_more() {
    let program = Program::single("index.rhai", r#"kv::collection("c").incr("n")"#);
    let (mine, yours) = (Run::default(), Run::default());
    for n in 1..=3 {
        assert_eq!(text(&mine.program(&program).await), n.to_string());
    }
    assert_eq!(text(&yours.program(&program).await), "1");
    assert!(host().compile(&program).await.is_ok());
}

#[tokio::test]
async fn a_trap_leaves_the_pool_as_it_was() {
    for _ in 0..200 {
        let outcome = Run::default().script("let s = \"x\"; loop { s += s; }").await.outcome;
        assert_eq!(outcome, Outcome::OutOfMemory);
    }
    assert_eq!(answer("\"still here\"").await, "still here");
}
