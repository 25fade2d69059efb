//! The fake host answers requests with what arrived, and logs stubs and secrets.

use super::{Case, Failure};

pub const CASES: &[Case] = &[
    ("assert(condition)", r#"assert(1 < 2); "ok""#, "ok"),
    ("assert(condition, message)", r#"assert(true, "as ever"); "ok""#, "ok"),
    (
        "assert_eq(left, right)",
        r#"
        assert_eq(1, 1); assert_eq(1, 1.0); assert_eq((), ()); assert_eq("a", "a");
        assert_eq([1, [#{a: 2.0}]], [1, [#{a: 2}]]); assert_eq(blob(2, 7), blob(2, 7));
        assert_eq('c', 'c'); assert_eq(0.0, -0.0); assert_eq(0.0 / 0.0, 0.0 / 0.0);
        "ok"
        "#,
        "ok",
    ),
    ("assert_eq(left, right, message)", r#"assert_eq([], [], "both empty"); "ok""#, "ok"),
    (
        "assert_throws(code, || …) -> error",
        r#"assert_throws("invalid_json", || json::parse("{")).service"#,
        "json",
    ),
    ("set_time(ms)", r#"test::set_time(86400000); time::format(time::now(), "%F")"#, "1970-01-02"),
    ("advance(seconds)", "let t = time::now(); test::advance(60); time::now() - t", "60000"),
    (
        "stub(#{method, url, status, headers, body})",
        r#"
        test::stub(#{url: "https://a.example/*"});
        test::stub(#{method: "post", url: "u", status: 404, headers: #{a: "b"}, body: [1]});
        "ok"
        "#,
        "ok",
    ),
    (
        "requests() -> array",
        r#"http::post("http://h/x", #{a: 1}); test::requests()"#,
        r#"[{"body":"{\"a\":1}","headers":{"content-type":"application/json"},"method":"POST","url":"http://h/x"}]"#,
    ),
    (
        "dead_letters() -> array",
        "test::dead_letters()",
        r#"[{"attempts":8,"event":"kv.set","fields":{"key":"k"},"handler":"h.rhai","message":"broken"}]"#,
    ),
    ("secret(name, value)", r#"test::secret("KEY", "v"); "ok""#, "ok"),
];

pub const FAILURES: &[Failure] = &[
    ("assert(1 > 2)", "assertion_failed"),
    ("assert(false, \"why\")", "assertion_failed"),
    ("assert(())", "invalid_argument"),
    ("assert_eq(1, 2)", "assertion_failed"),
    ("assert_eq(1, \"1\")", "assertion_failed"),
    ("assert_eq('1', \"1\")", "assertion_failed"),
    ("assert_eq((), \"\")", "assertion_failed"),
    ("assert_eq([1], [1, 2])", "assertion_failed"),
    ("assert_eq(#{a: 1}, #{a: 1, b: ()})", "assertion_failed"),
    ("assert_eq(#{a: 1}, #{b: 1})", "assertion_failed"),
    ("assert_eq(blob(1), blob(2))", "assertion_failed"),
    ("assert_throws(\"a\", || 1)", "assertion_failed"),
    ("assert_throws(\"a\", || throw \"a\")", "assertion_failed"),
    ("assert_throws(\"a\", || throw #{code: \"b\"})", "assertion_failed"),
    ("assert_throws(\"a\", || 1 / 0)", "assertion_failed"),
    ("test::set_time(-1)", "invalid_time"),
    ("test::advance(9223372036854775807)", "invalid_time"),
    ("test::advance(-2000000000)", "invalid_time"),
    ("test::stub(#{})", "invalid_request"),
    ("test::stub(#{url: \"invalid\"})", "invalid_request"),
    ("test::stub(#{url: \"u\", status: 99})", "invalid_option"),
    ("test::stub(#{url: \"u\", status: 70000})", "invalid_option"),
    ("test::secret(\"invalid\", \"v\")", "invalid_request"),
    ("test::secret(\"/no-test\", \"v\")", "not_available"),
];

#[test]
fn a_failure_shows_both_values_and_where() {
    let error = crate::fake::thrown("let x = #{a: [1]};\n\n  assert_eq(x, #{a: []}, \"empty\");");
    assert_eq!(
        error.message,
        "empty: the values are not equal\n left: {\"a\":[1]}\nright: {\"a\":[]}"
    );
    assert_eq!(error.position.map(|at| (at.line, at.column)), Some((3, 3)));
    let error =
        crate::fake::thrown("fn get(req) {\n  check(1)\n}\nfn check(n) {\n    assert(n > 1)\n}");
    assert_eq!(error.message, "the assertion does not hold");
    assert_eq!(error.position.map(|at| (at.line, at.column)), Some((5, 5)));
    let long = crate::fake::thrown("let s = \"a\"; for i in 0..14 { s += s; } assert_eq(s, 1)");
    assert!(long.message.len() < 1_200, "{}", long.message.len());
}
