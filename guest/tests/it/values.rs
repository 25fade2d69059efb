//! JSON and a script's values, there and back.

use crate::fake::{World, code, get, request, send, thrown};

#[test]
fn values_come_back_as_they_were() {
    for value in [
        "()",
        "true",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775807",
        "1.0",
        "-0.5",
        "1e300",
        "0.1",
        "5e-324",
        "123456789.12345678",
        "\"\"",
        r#""\u00e9\n\"""#,
        "[]",
        "#{}",
        "[[1, [2.5]], #{a: #{b: ()}}]",
        r#"#{"": 1, "a b": 2}"#,
    ] {
        let script = format!(
            "let v = {value}; let w = json::parse(json::stringify(v)); [type_of(v) == type_of(w), v == w]"
        );
        if value == "()" {
            assert_eq!(get("json::parse(json::stringify(())) == ()"), "true");
        } else {
            assert_eq!(get(&script), "[true,true]", "{value}");
        }
    }
}

#[test]
fn numbers_beyond_integers_become_floats() {
    assert_eq!(get(r#"type_of(json::parse("9223372036854775808"))"#), "f64");
    assert_eq!(get(r#"json::parse("-9223372036854775808") == -9223372036854775807 - 1"#), "true");
    assert_eq!(code(r#"json::parse("1e999")"#), "json invalid_json");
}

#[test]
fn nesting_is_bounded_both_ways() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(get(&format!("json::parse(\"{}\"); 1", nested(127))), "1");
    assert_eq!(code(&format!("json::parse(\"{}\")", nested(129))), "json invalid_json");
    assert_eq!(code(&format!("json::parse(\"{}\")", nested(100_000))), "json invalid_json");
    let deep = |n: usize| format!("let a = []; for i in 1..{n} {{ a = [a] }} json::stringify(a)");
    assert_eq!(get(&deep(128)), nested(128));
    let error = thrown(&deep(130));
    assert_eq!(error.message, "nested deeper than 128 levels");
}

#[test]
fn shared_values_are_written_like_others() {
    let script =
        "let n = 1; let a = [2]; let f = || { n += 1; a.push(n); }; f.call(); #{n: n, a: a}";
    assert_eq!(get(script), r#"{"a":[2,2],"n":2}"#);
}

#[test]
fn an_answer_that_is_no_json_is_an_error() {
    let error = send(&World::default(), "fn get(req) { |x| x }", &[], request("GET")).unwrap_err();
    assert_eq!(error.message, "a function cannot be JSON");
    assert_eq!(error.code.as_deref(), Some("invalid_value"));
}
