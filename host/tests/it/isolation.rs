//! What one invocation leaves behind for another: nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use picloud_shared::{Event, Outcome, Program, Request, Sandbox};

use crate::support::{Run, answer, builder, host, text};

#[tokio::test]
async fn what_a_script_changes_is_gone_with_the_invocation() {
    let script = "import \"state\" as s; let m = s::list; m.push(1); \
                  let n = 0; let bump = || { n += 1; n }; bump.call(); \
                  `${bump.call()} ${m.len()} ${s::list.len()}`";
    let files = BTreeMap::from([
        ("index.rhai".to_owned(), script.to_owned()),
        ("state.rhai".to_owned(), "export const list = [];".to_owned()),
    ]);
    let program = Program::new("index.rhai", Arc::new(files));
    let event = || Event::Http(Request { method: "GET".into(), ..Request::default() });

    let first = host().memory_after(&program, event()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(text(&Run::default().program(&program).await), "2 1 0");
        let again = host().memory_after(&program, event()).await.unwrap();
        assert!(first == again, "every invocation leaves the same bytes");
    }
}

const SECRET: &str = "s3cr3t-0f-an0ther-app";

fn holds_the_secret(memory: &[u8]) -> bool {
    memory.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

/// The host has three memories (one for invocations, two for builds), and a
/// memory is kept for the program that used it last. So four others run after
/// each that writes the secret: one at least gets its memory.
#[tokio::test]
async fn no_byte_of_one_invocation_is_in_the_memory_of_a_later_one() {
    let host = builder().slots(1).build().unwrap();
    let secret = Run {
        request: Request { method: "GET".into(), body: SECRET.into(), ..Request::default() },
        ..Run::default()
    };
    let write = "let a = []; for i in 0..2000 { a.push(req.text() + i); }";
    let ends = Program::single("index.rhai", format!("{write} a.len()"));
    let traps = Program::single("index.rhai", format!("{write} loop {{ a += a; }}"));
    let readers: Vec<_> =
        (0..4).map(|n| Program::single("index.rhai", format!("blob({n}).len()"))).collect();

    let own = host.memory_after(&ends, Event::Http(secret.request.clone())).await.unwrap();
    assert!(holds_the_secret(&own), "a look at the memory finds what is there");

    for round in 0..10 {
        for writer in [&ends, &traps] {
            let outcome = secret.on(&host, writer).await.outcome;
            let expected = if writer.digest() == ends.digest() { "ok" } else { "out_of_memory" };
            assert_eq!(outcome.code(), expected);
            for reader in &readers {
                let event = Event::Http(Request { method: "GET".into(), ..Request::default() });
                let memory = host.memory_after(reader, event).await.unwrap();
                assert!(!holds_the_secret(&memory), "round {round}");
            }
        }
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
