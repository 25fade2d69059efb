//! Scripts that mean harm: an error each, and the process goes on. (What fuel and
//! memory bound is tested in the host.)

use crate::fake::{World, get, mistakes, program, thrown};

#[test]
fn deep_nesting_does_not_compile() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("#{a:", "}"),
        ("-", ""),
        ("!", ""),
        ("f(", ")"),
        ("|x| ", ""),
    ] {
        let main = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        assert!(!mistakes(&main, &[]).is_empty(), "{open}");
        let main = format!("fn get(req) {{ {main} }}");
        assert!(!mistakes(&main, &[]).is_empty(), "{open}");
    }
    let error = &mistakes(&format!("{}1", "if true { ".repeat(20_000)), &[])[0];
    assert!(error.position.is_some());
}

#[test]
fn long_chains_compile_or_not_but_never_overflow() {
    for piece in ["1 + ", "\"a\" + ", "a.b.", "a[0]", "x = ", "a ?? ", "true && ", "if a {} else "]
    {
        let main = format!("let a = #{{}}; {}1", piece.repeat(20_000));
        let _ = picloud_guest::Script::compile(Box::new(World::default()), program(&main, &[]));
    }
}

#[test]
fn recursion_ends_in_an_error() {
    let error = thrown("fn f(x) { f(x + 1) } fn get(req) { f(1) }");
    assert_eq!(error.message, "too many function calls within one another");
    thrown("let f = |f| f.call(f); f.call(f)");
    thrown("fn get(req) { get(req) }");
    thrown("fn get(req) { let c = kv::collection(\"c\"); c.update(\"k\", |v| get(1)) }");
    let deepest = "fn f(x) { if x == 0 { 0 } else { 1 + f(x - 1) } } f(50)";
    assert_eq!(get(deepest), "50");
}

#[test]
fn it_cannot_be_caught_that_recursion_is_too_deep() {
    let error = thrown("fn f() { try { f() } catch { 1 } } f()");
    assert_eq!(error.message, "too many function calls within one another");
}

#[test]
fn values_nested_without_end_do_not_overflow() {
    // Writing it as JSON fails; dropping, comparing and printing it must not crash.
    let error = thrown("let a = []; for i in 0..2000 { a = [a]; } a");
    assert_eq!(error.message, "nested deeper than 128 levels");
}

#[test]
fn numbers_out_of_range_are_floats_or_errors() {
    assert_eq!(get("type_of(99999999999999999999)"), "f64");
    thrown("let x = 9223372036854775807; x *= 2");
    assert_eq!(get("1 << 1000000"), "0");
}

#[test]
fn odd_texts_are_refused_or_run() {
    for main in [
        "",
        ";",
        "\0",
        "\u{feff}1",
        "#!/bin/rhai\n1",
        "/*",
        "\"",
        "`${",
        "`${`",
        "fn",
        "fn get(",
        "import",
        "import \"\" as a;",
        "import \".\" as a;",
    ] {
        let _ = picloud_guest::Script::compile(Box::new(World::default()), program(main, &[]));
    }
}

#[test]
fn a_page_may_be_a_sum_of_a_hundred_terms() {
    let main = format!("let a = \"x\"; a{}", " + a".repeat(100));
    assert_eq!(get(&main), "x".repeat(101));
}
