//! Programs that behave.

use std::collections::BTreeMap;
use std::sync::Arc;

use picloud_shared::receipt::Service;
use picloud_shared::{CompileError, Finished, Level, Outcome, Program, Request, Sandbox, Usage};

use crate::support::{Run, answer, builder, host, text};

#[tokio::test]
async fn a_body_answers_with_its_value() {
    assert_eq!(answer(r#""hello " + "world""#).await, "hello world");
    assert_eq!(answer("#{ a: 1 }").await, r#"{"a":1}"#);
}

#[tokio::test]
async fn a_function_answers_its_method_with_the_request() {
    let request = Request {
        method: "POST".into(),
        query: "name=you".into(),
        headers: vec![("content-type".into(), "text/plain".into())],
        params: vec![("id".into(), "7".into())],
        body: "a body".into(),
        ..Request::default()
    };
    let run = Run { request, ..Run::default() };
    let script = r#"
        fn post(req) {
            `${req.query.name} ${req.params.id} ${req.headers["Content-Type"]} ${req.text()}`
        }
    "#;
    assert_eq!(text(&run.script(script).await), "you 7 text/plain a body");
}

#[tokio::test]
async fn kv_and_log_reach_the_services_they_were_given() {
    let run = Run::default();
    let finished = run
        .script(
            r#"let c = kv::collection("c"); c.set("k", #{ n: 1 }); log::warn("hi"); c.get("k").n"#,
        )
        .await;
    assert_eq!(text(&finished), "1");
    assert_eq!(run.log.0.lock().unwrap().as_slice(), [(Level::Warn, "hi".to_owned())]);
    assert_eq!(run.kv.entries.lock().unwrap().len(), 1);
    let usage = finished.usage;
    let calls: Vec<_> = usage.calls.iter().collect();
    assert_eq!((usage.host_calls, calls), (3, vec![(Service::Kv, 2), (Service::Log, 1)]));
    // The value that `get` gave, beside what was sent.
    assert_eq!((usage.received_bytes, usage.host_bytes), (7, 7 + 9 + 2 + 2));
}

#[tokio::test]
async fn only_the_first_to_run_a_script_waits_for_its_compilation() {
    let run = Run::default();
    let script = "let compiled_once = 1; compiled_once";
    let first = run.script(script).await.usage;
    let second = run.script(script).await.usage;
    assert!(first.compile_us > 0 && second.compile_us == 0, "{first:?} {second:?}");
    assert_eq!(first.fuel, second.fuel);
}

#[tokio::test]
async fn an_error_names_file_line_and_stack_across_modules() {
    let files = BTreeMap::from([
        (
            "index.rhai".to_owned(),
            "import \"lib/a\" as a;\nfn get(req) {\n  a::run()\n}".to_owned(),
        ),
        ("lib/a.rhai".to_owned(), "fn run() {\n\n  throw \"broken\"\n}".to_owned()),
    ]);
    let program = Program::new("index.rhai", Arc::new(files));
    let info = host().compile(&program).await.unwrap();
    assert_eq!(info.functions, ["get"]);
    assert_eq!(info.imports, ["lib/a.rhai"]);

    let Outcome::ScriptError(error) = Run::default().program(&program).await.outcome else {
        panic!("it throws")
    };
    assert_eq!(error.message, "broken");
    let position = error.position.unwrap();
    assert_eq!((position.file.as_str(), position.line), ("lib/a.rhai", 3));
    assert!(error.stack.iter().any(|frame| frame.function == "get"), "{:?}", error.stack);
}

#[tokio::test]
async fn a_syntax_error_is_found_when_compiling_and_not_remembered() {
    let broken = Program::single("index.rhai", "let x = ;");
    for _ in 0..2 {
        let Err(CompileError::Script(errors)) = host().compile(&broken).await else {
            panic!("it does not compile")
        };
        let position = errors[0].position.as_ref().unwrap();
        assert_eq!((position.file.as_str(), position.line, position.column), ("index.rhai", 1, 9));
    }
}

#[tokio::test]
async fn the_same_invocation_gives_the_same_answer_and_the_same_fuel() {
    let script =
        "let s = 0; for i in 0..1000 { s += random::int(0, 1000) } `${s} ${random::uuid()}`";
    let first = Run::default().script(script).await;
    let again = Run::default().script(script).await;
    assert_eq!(first.outcome, again.outcome);
    // The first waits for the script's compilation.
    let usage = |finished: &Finished| Usage { compile_us: 0, ..finished.usage };
    assert_eq!(usage(&first), usage(&again));
    let other = Run { seed: [1; 4], ..Run::default() }.script(script).await;
    assert_ne!(first.outcome, other.outcome);
}

#[tokio::test]
async fn a_hundred_requests_for_a_new_program_build_one_image() {
    let host = Arc::new(builder().build().unwrap());
    let program = Program::single("index.rhai", "\"built once, not a hundred times\"");
    let runs = (0..100).map(|_| {
        let (program, host) = (program.clone(), Arc::clone(&host));
        tokio::spawn(async move { text(&Run::default().on(&host, &program).await) })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
    assert_eq!((host.stats().builds, host.stats().images), (1, 1));
}

#[tokio::test]
async fn images_give_way_by_the_bytes_they_hold() {
    let small = |n: u32| Program::single("index.rhai", format!("{n}"));
    let one = builder().build().unwrap();
    one.compile(&small(0)).await.unwrap();
    let bytes = one.stats().image_bytes;
    assert!(bytes > 0);

    let host = builder().image_bytes(bytes * 5 / 2).build().unwrap();
    for n in [0, 1, 0, 2] {
        host.compile(&small(n)).await.unwrap();
        assert!(host.stats().image_bytes <= bytes * 5 / 2);
    }
    assert_eq!((host.stats().images, host.stats().builds), (2, 3));
    host.compile(&small(0)).await.unwrap();
    assert_eq!(host.stats().builds, 3, "the one used least recently gave way");
}

#[tokio::test]
async fn an_image_that_holds_too_much_is_refused() {
    let files = BTreeMap::from([
        ("index.rhai".to_owned(), "import \"lib\" as lib; lib::X.len()".to_owned()),
        ("lib.rhai".to_owned(), "export const X = blob(50000000, 1);".to_owned()),
    ]);
    let program = Program::new("index.rhai", Arc::new(files));
    assert_eq!(host().compile(&program).await, Err(CompileError::TooLarge("memory")));
}
