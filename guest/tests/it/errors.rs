//! What a script's author reads when it fails.

use std::fmt::Write as _;

use picloud_guest::model::{Position, ScriptError};

use crate::fake::{World, mistakes, request, send, thrown};

/// `file:line:column`, or `-`.
fn place(position: Option<&Position>) -> String {
    position.map_or("-".into(), |at| format!("{}:{}:{}", at.file, at.line, at.column))
}

/// `file:line:column message < function@place < …`
fn written(error: &ScriptError) -> String {
    let mut text = format!("{} {}", place(error.position.as_ref()), error.message);
    for frame in &error.stack {
        let place = place(frame.position.as_ref());
        write!(text, " < {}@{place}", frame.function).unwrap();
    }
    text
}

#[track_caller]
fn check(main: &str, expected: &str) {
    assert_eq!(written(&thrown(main)), expected, "{main}");
}

#[test]
fn messages_are_plain_and_have_a_place() {
    check("x + 1", "main.rhai:1:1 Variable not found: x");
    check("let a = 1;\n  a.b()", "main.rhai:2:5 Function not found: b(int)");
    check(
        "nope(1, \"a\", 2.0, ())",
        "main.rhai:1:1 Function not found: nope(int, string, float, ())",
    );
    check("nope::x()", "main.rhai:1:1 Module not found: nope");
    check("[1][5]", "main.rhai:1:5 Array index 5 out of bounds: only 1 element in array");
    check("1 / 0", "main.rhai:1:3 Division by zero: 1 / 0");
    check("9223372036854775807 + 1", "main.rhai:1:21 Addition overflow: 9223372036854775807 + 1");
    check("throw \"too bad\"", "main.rhai:1:1 too bad");
    check("throw 42", "main.rhai:1:1 42");
    check("throw #{a: 1}", "main.rhai:1:1 {\"a\":1}");
    check("throw", "main.rhai:1:1 the script threw () without saying why");
}

#[test]
fn a_thrown_map_has_a_code_and_a_message() {
    let error = thrown("fn get(req) {\n  throw #{code: \"teapot\", message: \"short\"}\n}");
    assert_eq!(error.code.as_deref(), Some("teapot"));
    assert_eq!(written(&error), "main.rhai:2:3 short < get@-");
    let error = thrown("kv::collection(\"\").get(\"a\")");
    assert_eq!(error.code.as_deref(), Some("invalid_collection"));
    assert_eq!(written(&error), "main.rhai:1:20 no collection \"\"");
}

#[test]
fn the_stack_names_every_call_innermost_first() {
    check(
        "fn a() {\n  b(1)\n}\nfn b(x) { x.y.z() }\nfn get(req) {\n\n  a();\n}",
        "main.rhai:4:13 Unknown property 'y' - a getter is not registered for type 'i64' < b@main.rhai:2:3 < a@main.rhai:7:3 < get@-",
    );
    check(
        "fn get(req) {\n  [1].map(|x| x.nope())\n}",
        "main.rhai:2:17 Function not found: nope(int) < (closure)@main.rhai:2:7 < map@main.rhai:2:7 < get@-",
    );
    check(
        "fn get(req) {\n  kv::collection(\"a\").update(\"k\", |old| old.nope())\n}",
        "main.rhai:2:45 Function not found: nope(()) < (closure)@main.rhai:2:23 < get@-",
    );
}

#[test]
fn an_error_in_a_module_is_placed_in_the_modules_file() {
    let files = [
        ("lib/outer.rhai", "import \"./inner\" as inner;\nfn run(x) {\n  inner::fail(x)\n}"),
        ("lib/inner.rhai", "\n\nfn fail(x) { throw `bad ${x}` }"),
    ];
    let main = "import \"lib/outer\" as outer;\nfn get(req) { outer::run(1) }";
    let error = send(&World::default(), main, &files, request("GET")).unwrap_err();
    assert_eq!(
        written(&error),
        "lib/inner.rhai:3:14 bad 1 < fail@lib/outer.rhai:3:10 < run@main.rhai:2:22 < get@-"
    );
}

#[test]
fn syntax_errors_are_found_in_every_file_at_once() {
    let files = [("a.rhai", "fn (x) {}"), ("lib/b.rhai", "let x = ;\n"), ("unused.rhai", "(")];
    let main = "import \"a\" as a;\nimport \"lib/b\" as b;\nimport \"gone\" as c;\n1";
    let errors: Vec<String> = mistakes(main, &files).iter().map(written).collect();
    assert_eq!(
        errors,
        [
            "a.rhai:1:4 Expecting function name in function declaration",
            "lib/b.rhai:1:9 Unexpected ';'",
            "main.rhai:3:8 there is no file to import as \"gone\"",
        ]
    );
    let errors: Vec<String> =
        mistakes("let x = 1;\nlet y = x +;", &[]).iter().map(written).collect();
    assert_eq!(errors, ["main.rhai:2:12 Unexpected ';'"]);
}
