//! `app::invoke`.

use picloud_guest::model::{Event, ScriptError};

use crate::fake::{World, compile, invocation, mistakes, request, send};

fn answer(main: &str, files: &[(&str, &str)]) -> Result<String, ScriptError> {
    let response = send(&World::default(), main, files, request("GET"))?;
    Ok(format!("{} {}", response.status, String::from_utf8(response.body).unwrap()))
}

#[track_caller]
fn check(main: &str, files: &[(&str, &str)], expected: &str) {
    assert_eq!(answer(main, files).as_deref(), Ok(expected), "{main}");
}

/// The code, the message and the place of what is thrown.
#[track_caller]
fn thrown(main: &str, files: &[(&str, &str)]) -> (String, String, String) {
    let error = answer(main, files).unwrap_err();
    let at = error.position.as_ref().unwrap();
    let place = format!("{}:{}:{}", at.file, at.line, at.column);
    (error.code.unwrap_or_default(), error.message, place)
}

const SEND: (&str, &str) = (
    "jobs/send.rhai",
    "fn handle(mail) { `to ${mail.to}` } fn run(n) { n * 2 } fn none() { [1, #{a: 2.0}] }",
);

#[test]
fn a_handler_of_another_file_is_called() {
    for (call, expected) in [
        (r#"app::invoke("jobs/send.rhai", #{to: "ann"})"#, "200 to ann"),
        (r#"app::invoke("jobs/send.rhai#run", 21)"#, "200 42"),
        (r#"app::invoke("jobs/send.rhai#none", 1)"#, r#"200 [1,{"a":2.0}]"#),
        (r#"let n = "run"; app::invoke(`jobs/send.rhai#${n}`, 4)"#, "200 8"),
    ] {
        check(call, &[SEND], expected);
        check(&format!("fn get(req) {{ {call} }}"), &[SEND], expected);
    }
}

#[test]
fn values_of_any_kind_go_in_and_come_out() {
    let files = [("a.rhai", "fn handle(x) { x }")];
    check("app::invoke(\"a.rhai\", ())", &files, "204 ");
    check("app::invoke(\"a.rhai\", response::status(404))", &files, "404 ");
    check("type_of(app::invoke(\"a.rhai\", blob(3)))", &files, "200 blob");
    check("app::invoke(\"a.rhai\", kv::collection(\"c\")).count()", &files, "200 0");
    check("let n = 1; let f = || n += 1; app::invoke(\"a.rhai\", n) + 1", &files, "200 2");
    let files = [("a.rhai", "fn handle(x) { x.push(1); x }")];
    check("let a = []; app::invoke(\"a.rhai\", a); a", &files, "200 []");
}

#[test]
fn the_top_level_runs_first_and_scopes_are_apart() {
    let files = [
        ("lib/f.rhai", "fn bold(x) { `*${x}*` }"),
        (
            "a.rhai",
            r#"
                import "lib/f" as f;
                const NAMES = kv::collection("names");
                NAMES.incr("runs");
                let hidden = 1;
                fn own() { "a's own" }
                fn handle(x) { f::bold(x) + own() + NAMES.get("runs") }
            "#,
        ),
    ];
    let main = r#"
        const NAMES = 5;
        let x = "mine";
        fn own() { "main's own" }
        fn get(req) { [app::invoke("a.rhai", 1), app::invoke("a.rhai", 2), own(), NAMES] }
    "#;
    check(main, &files, r#"200 ["*1*a's own1","*2*a's own2","main's own",5]"#);
    let files = [("a.rhai", "fn handle(p) { x }")];
    let error = thrown("let x = 1;\napp::invoke(\"a.rhai\", 1)", &files);
    assert_eq!((error.1.as_str(), error.2.as_str()), ("Variable not found: x", "a.rhai:1:16"));
}

#[test]
fn a_file_may_be_imported_and_invoked() {
    let files = [("a.rhai", "const N = 2; fn handle(x) { x * N }")];
    check("import \"a\" as a; [a::handle(1), app::invoke(\"a.rhai\", 2)]", &files, "200 [2,4]");
    let main = "fn get(req) { app::invoke(\"main.rhai#again\", 2) } fn again(x) { x + 1 }";
    check(main, &[], "200 3");
}

#[test]
fn what_is_invoked_by_a_literal_name_is_part_of_the_program() {
    let files = [
        ("a.rhai", "import \"lib/x\" as x; fn handle(p) { app::invoke(\"b.rhai\", p) }"),
        ("b.rhai", "fn handle(p) { app::invoke(\"a.rhai\", p) }"),
        ("lib/x.rhai", "fn f() { 1 }"),
    ];
    let main = "fn get(req) { if req.path == \"/x\" { app::invoke(\"a.rhai\", 1) } }";
    let (_, info) = compile(&World::default(), main, &files);
    assert_eq!((info.functions, info.imports), (vec!["get".into()], vec!["lib/x.rhai".into()]));

    let broken = [("a.rhai", "fn handle(p) {\n let x = ; }")];
    let errors = mistakes(main, &broken);
    let position = errors[0].position.as_ref().unwrap();
    assert_eq!((position.file.as_str(), position.line), ("a.rhai", 2));
    assert_eq!((errors[0].message.as_str(), errors.len()), ("Unexpected ';'", 1));
    // By a name that is put together it is not looked at before it runs.
    compile(&World::default(), "fn get(req) { let a = \"a.rhai\"; app::invoke(a, 1) }", &broken);
}

#[test]
fn a_literal_name_of_no_script_is_a_mistake() {
    for (name, message) in [
        ("job/send.rhai", "no script \"job/send.rhai\" to invoke; did you mean jobs/send.rhai?"),
        ("x.rhai", "no script \"x.rhai\" to invoke; there are jobs/send.rhai, main.rhai"),
        (
            "tests/t.rhai",
            "no script \"tests/t.rhai\" to invoke; there are jobs/send.rhai, main.rhai",
        ),
        (
            "public/p.rhai#run",
            "no script \"public/p.rhai\" to invoke; there are jobs/send.rhai, main.rhai",
        ),
        ("notes.txt", "no script \"notes.txt\" to invoke; there are jobs/send.rhai, main.rhai"),
        (
            "../jobs/send.rhai",
            "no script \"../jobs/send.rhai\" to invoke; there are jobs/send.rhai, main.rhai",
        ),
        ("", "no script \"\" to invoke; there are jobs/send.rhai, main.rhai"),
    ] {
        let files = [SEND, ("tests/t.rhai", "1"), ("public/p.rhai", "1"), ("notes.txt", "1")];
        let main = format!("fn get(req) {{\n  app::invoke(\"{name}\", 1)\n}}");
        let errors = mistakes(&main, &files);
        assert_eq!(
            (errors[0].message.as_str(), errors.len()),
            (&*format!("there is {message}"), 1)
        );
        let position = errors[0].position.as_ref().unwrap();
        assert_eq!((position.file.as_str(), position.line, position.column), ("main.rhai", 2, 15));

        let main = format!("let n = \"{name}\";\napp::invoke(n, 1)");
        let expected = ("handler_not_found".into(), format!("there is {message}"), "main.rhai:2:6");
        let (code, message, place) = thrown(&main, &files);
        assert_eq!((code, message, place.as_str()), expected);
    }
}

#[test]
fn a_function_that_is_no_handler_is_not_found() {
    let files =
        [SEND, ("p.rhai", "private fn handle(x) { x }"), ("two.rhai", "fn handle(a, b) {}")];
    for (name, message) in [
        ("jobs/send.rhai#ran", "jobs/send.rhai has no function ran; it has handle, run, none"),
        ("jobs/send.rhai#", "jobs/send.rhai has no function ; it has handle, run, none"),
        ("p.rhai", "p.rhai has no function handle, nor any other"),
        ("two.rhai", "handle in two.rhai must take one parameter, or none"),
    ] {
        let actual = thrown(&format!("\n app::invoke(\"{name}\", 1)"), &files);
        assert_eq!(actual, ("handler_not_found".into(), message.into(), "main.rhai:2:7".into()));
    }
}

#[test]
fn an_error_keeps_its_place_and_the_calls_that_led_there() {
    let files = [(
        "a.rhai",
        "fn deep(x) {\n  throw #{code: \"teapot\", message: `no ${x}`}\n}\nfn run(x) { deep(x) }",
    )];
    let main = "fn work() {\n  app::invoke(\"a.rhai#run\", 1)\n}\nfn get(req) { work() }";
    let error = answer(main, &files).unwrap_err();
    assert_eq!((error.code.as_deref(), error.message.as_str()), (Some("teapot"), "no 1"));
    let place = |file: &str, line, column| Some((file.to_owned(), line, column));
    let at =
        |at: Option<picloud_guest::model::Position>| at.map(|at| (at.file, at.line, at.column));
    assert_eq!(at(error.position), place("a.rhai", 2, 3));
    let stack: Vec<_> =
        error.stack.into_iter().map(|frame| (frame.function, at(frame.position))).collect();
    assert_eq!(
        stack,
        [
            ("deep".to_owned(), place("a.rhai", 4, 13)),
            ("run".to_owned(), place("main.rhai", 2, 8)),
            ("work".to_owned(), place("main.rhai", 4, 15)),
            ("get".to_owned(), None),
        ]
    );
    // Of the top level, too, and of what is parsed when it runs.
    let (_, message, place) =
        thrown("app::invoke(\"b.rhai\", 1)", &[("b.rhai", "\nx; fn handle(){}")]);
    assert_eq!((message.as_str(), place.as_str()), ("Variable not found: x", "b.rhai:2:1"));
    let late = thrown("let b = \"b.rhai\"; app::invoke(b, 1)", &[("b.rhai", "fn (")]);
    let message = "Expecting function name in function declaration (b.rhai:1:4)";
    assert_eq!(late, ("syntax_error".into(), message.into(), "main.rhai:1:24".into()));
}

#[test]
fn what_is_thrown_can_be_caught_as_it_was_thrown() {
    let files = [("a.rhai", "fn handle(x) { throw x }")];
    check(
        "try { app::invoke(\"a.rhai\", #{code: \"c\"}) } catch (e) { return e.code; }",
        &files,
        "200 c",
    );
    check("try { app::invoke(\"a.rhai\", 5) } catch (e) { return e; }", &files, "200 5");
    check("fn get(req) { app::invoke(\"a.rhai\", response::status(404)) }", &files, "404 ");
    check(
        "let a = \"gone.rhai\"; try { app::invoke(a, 5) } catch (e) { return e.code; }",
        &files,
        "200 handler_not_found",
    );
    // After an error the handler is no longer within another.
    let main = "for i in 0..20 { try { app::invoke(\"a.rhai\", 5) } catch {} } \"done\"";
    check(main, &files, "200 done");
}

#[test]
fn handlers_within_handlers_end_at_a_depth() {
    let files = [(
        "a.rhai",
        "fn handle(n) { if n == 1 { 1 } else { 1 + app::invoke(\"a.rhai\", n - 1) } }",
    )];
    check("app::invoke(\"a.rhai\", 8)", &files, "200 8");
    let (code, message, place) = thrown("app::invoke(\"a.rhai\", 9)", &files);
    assert_eq!((code.as_str(), place.as_str()), ("too_deep", "a.rhai:1:48"));
    assert!(message.starts_with("handlers invoke one another at most 8 deep"), "{message}");
    check(
        "try { app::invoke(\"a.rhai\", 9) } catch (e) { return e.code; }",
        &files,
        "200 too_deep",
    );
    // A top level that invokes its own file never gets to the end of it.
    let main = "app::invoke(\"main.rhai#f\", 1); fn f() {} fn get(req) {}";
    assert_eq!(thrown(main, &[]).0, "too_deep");
}

#[test]
fn calls_do_not_multiply_by_handlers() {
    let main = r#"
        fn get(req) { down(#{calls: 50, handlers: 8}) }
        fn down(x) {
            if x.calls > 0 { x.calls -= 1; return down(x); }
            if x.handlers == 0 { return "all the way"; }
            app::invoke("main.rhai#down", #{calls: 50, handlers: x.handlers - 1})
        }
    "#;
    assert_eq!(thrown(main, &[]).0, "too_deep");
    check(&main.replace("50", "3"), &[], "200 all the way");
}

#[test]
fn recursion_within_a_handler_cannot_be_caught() {
    let files = [("a.rhai", "fn handle(x) { handle(x) }")];
    let main = "fn get(req) {\n  try { app::invoke(\"a.rhai\", 5) } catch { 1 }\n}";
    let error = answer(main, &files).unwrap_err();
    assert_eq!(error.message, "too many function calls within one another");
}

#[test]
fn nothing_is_invoked_while_a_program_is_loaded() {
    let files =
        [("m.rhai", "export const X = app::invoke(\"a.rhai\", 1);"), ("a.rhai", "fn handle() {}")];
    let errors = mistakes("import \"m\" as m; 1", &files);
    assert_eq!(errors[0].code.as_deref(), Some("not_available"));
}

#[test]
fn it_is_a_part_of_the_invocation() {
    let world = World::default();
    let files = [(
        "a.rhai",
        "fn handle(key) { kv::collection(\"c\").set(key, 1); [random::uuid(), app::release(), time::now()] }",
    )];
    let main = "fn get(req) { let a = [random::uuid(), app::release(), time::now()]; let b = app::invoke(\"a.rhai\", \"k\"); [a[0] != b[0], a[1] == b[1], a[2] == b[2]] }";
    let (script, _) = compile(&world, main, &files);
    let response = script.handle(invocation(), Event::Http(request("GET"))).unwrap();
    assert_eq!(response.body, b"[true,true,true]");
    assert_eq!(world.entry("c", "k"), Some(("1".to_owned(), None)));
}

#[test]
fn wrong_arguments_in_what_is_invoked_are_refused_in_the_same_way() {
    let files = [("a.rhai", "fn handle(x) { kv::collection(x) }")];
    for main in ["app::invoke(\"a.rhai\", 1)", "let a = \"a.rhai\"; app::invoke(a, 1)"] {
        let (code, message, place) = thrown(main, &files);
        assert_eq!((code.as_str(), place.as_str()), ("invalid_argument", "a.rhai:1:20"));
        assert_eq!(message, "kv::collection takes (name: string); it was called with (int)");
    }
}
