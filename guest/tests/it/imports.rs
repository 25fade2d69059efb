//! `import`.

use picloud_guest::model::Event;

use crate::fake::{World, compile, invocation, mistakes, request, send};

#[track_caller]
fn check(main: &str, files: &[(&str, &str)], expected: &str) {
    match send(&World::default(), main, files, request("GET")) {
        Ok(response) => assert_eq!(String::from_utf8_lossy(&response.body), expected, "{main}"),
        Err(error) => panic!("{error:?}\n{main}"),
    }
}

const FORMAT: (&str, &str) =
    ("lib/format.rhai", "export const STAR = \"*\"; fn bold(x) { STAR + x + STAR }");

#[test]
fn a_path_starts_at_the_apps_root() {
    for path in
        ["lib/format", "lib/format.rhai", "/lib/format", "./lib/format", "lib/../lib/format"]
    {
        check(&format!("import \"{path}\" as f; f::bold(\"x\") + f::STAR"), &[FORMAT], "*x**");
    }
}

#[test]
fn a_path_with_a_dot_starts_at_the_importing_file() {
    let files = [
        FORMAT,
        (
            "lib/a.rhai",
            "import \"./format\" as f; import \"../b\" as b; fn x() { f::bold(b::y()) }",
        ),
        ("b.rhai", "fn y() { import \"./lib/format\" as f; f::bold(\"y\") }"),
    ];
    check("import \"lib/a\" as a; a::x()", &files, "**y**");
}

#[test]
fn functions_import_for_themselves() {
    check("fn get(req) { import \"lib/format\" as f; f::bold(\"x\") }", &[FORMAT], "*x*");
}

#[test]
fn a_computed_path_is_resolved_when_it_runs() {
    let main = "fn get(req) { import \"lib/\" + \"format\" as f; f::bold(\"x\") }";
    check(main, &[FORMAT], "*x*");
    let main =
        "let p = \"x\"; try { import \"lib/\" + p as f; f::y() } catch (e) { return e.code; }";
    check(main, &[FORMAT], "not_found");
    let main = "let p = \"a\"; try { import p as f; f::y() } catch (e) { return e.message; }";
    check(main, &[("a.rhai", "let x = ;")], "Unexpected ';' (a.rhai:1:9)");
}

#[test]
fn what_is_imported_is_known() {
    let files = [
        FORMAT,
        ("a.rhai", "import \"b\" as b; fn x() { 1 }"),
        ("b.rhai", "fn x() { import \"lib/format\" as f; 1 }"),
        ("unused.rhai", "1"),
    ];
    let (_, info) =
        compile(&World::default(), "import \"a\" as a; import \"a\" as again; 1", &files);
    assert_eq!(info.imports, ["a.rhai", "b.rhai", "lib/format.rhai"]);
}

#[test]
fn nothing_is_imported_from_outside_of_the_app() {
    for path in ["../x", "lib/../../x", "/../x", "./../x"] {
        let errors = mistakes(&format!("import \"{path}\" as x; 1"), &[("x.rhai", "1")]);
        assert_eq!(errors[0].message, format!("import \"{path}\" leads out of the app"));
    }
}

#[test]
fn a_cycle_at_the_top_level_is_an_error() {
    let files = [("a.rhai", "import \"b\" as b;"), ("b.rhai", "import \"a\" as a;")];
    let errors = mistakes("import \"a\" as a; 1", &files);
    assert_eq!(errors[0].message, "a.rhai imports itself, by way of what it imports");
    let position = errors[0].position.as_ref().unwrap();
    assert_eq!((position.file.as_str(), position.line, position.column), ("b.rhai", 1, 8));
    let errors = mistakes("import \"a\" as a; 1", &[("a.rhai", "import \"a\" as a;")]);
    assert_eq!(errors[0].message, "a.rhai imports itself, by way of what it imports");
}

#[test]
fn modules_may_import_one_another_in_functions() {
    let files = [
        ("a.rhai", "fn n(x) { if x == 0 { return \"a\"; } import \"b\" as b; b::n(x - 1) }"),
        ("b.rhai", "fn n(x) { if x == 0 { return \"b\"; } import \"a\" as a; a::n(x - 1) }"),
    ];
    check("import \"a\" as a; a::n(4) + a::n(5)", &files, "ab");
}

#[test]
fn a_module_is_evaluated_once_and_for_all() {
    let files = [("a.rhai", "let n = 40 + 2; export n;")];
    let (script, _) = compile(&World::default(), "import \"a\" as a; a::n", &files);
    for _ in 0..2 {
        let response = script.handle(invocation(), Event::Http(request("GET"))).unwrap();
        assert_eq!(response.body, b"42");
    }
}

#[test]
fn services_are_out_of_reach_while_a_program_is_loaded() {
    for (use_it, service) in [
        ("kv::collection(\"c\").get(\"k\")", "kv"),
        ("log::info(\"m\")", "log"),
        ("time::now()", "time"),
        ("random::int(1, 2)", "random"),
        ("app::slug()", "app"),
    ] {
        let module = format!("export const X = {use_it};");
        let errors = mistakes("import \"a\" as a; 1", &[("a.rhai", module.as_str())]);
        assert_eq!(errors.len(), 1, "{use_it}");
        assert_eq!(errors[0].code.as_deref(), Some("not_available"), "{use_it}");
        assert!(errors[0].message.starts_with(&format!("{service} cannot be used while")));
        let position = errors[0].position.as_ref();
        assert_eq!(position.map(|at| (at.file.as_str(), at.line)), Some(("a.rhai", 1)), "{use_it}");
    }
    // A handle reaches nothing yet.
    check(
        "import \"a\" as a; a::first()",
        &[("a.rhai", "const C = kv::collection(\"c\"); fn first() { C.get_or(\"k\", 5) }")],
        "5",
    );
}
