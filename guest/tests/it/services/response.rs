//! The answer is status, headers and body.

use super::{Case, Failure};
use crate::fake::{World, request, send};

pub const CASES: &[Case] = &[
    (
        "html(text) -> response",
        r#"response::html("<p>")"#,
        "200 content-type: text/html; charset=utf-8 | <p>",
    ),
    (
        "text(text) -> response",
        r#"response::text("t")"#,
        "200 content-type: text/plain; charset=utf-8 | t",
    ),
    ("json(value) -> response", "response::json(())", "200 content-type: application/json | null"),
    (
        "bytes(blob) -> response",
        "response::bytes(blob(1, 66))",
        "200 content-type: application/octet-stream | B",
    ),
    ("status(code) -> response", "response::status(404)", "404 | "),
    ("redirect(url) -> response", r#"response::redirect("/a?b=c")"#, "303 location: /a?b=c | "),
    (
        "header(name, value) -> response",
        r#"response::text("t").header("X-A", "1").header("x-a", "2").header("Content-Type", "a/b")"#,
        "200 x-a: 2 content-type: a/b | t",
    ),
    (
        "status(code) -> response",
        r#"let r = response::redirect("/"); r.status(308); r"#,
        "308 location: / | ",
    ),
    (
        "cookie(name, value) -> response",
        r#"response::status(200).cookie("a", "1").cookie("b", "2")"#,
        "200 set-cookie: a=1; HttpOnly; SameSite=Lax; Path=/ set-cookie: b=2; HttpOnly; SameSite=Lax; Path=/ | ",
    ),
    (
        "cookie(name, value, #{max_age, expires, path, http_only, secure, same_site}) -> response",
        r#"response::status(200).cookie("a", "1", #{max_age: 60, expires: 1700000000123, path: "/x", http_only: false, secure: true, same_site: "strict"})"#,
        "200 set-cookie: a=1; SameSite=Strict; Secure; Path=/x; Max-Age=60; Expires=Tue, 14 Nov 2023 22:13:20 GMT | ",
    ),
];

pub const FAILURES: &[Failure] = &[
    ("response::json(kv::collection(\"c\"))", "invalid_value"),
    ("response::status(199)", "invalid_status"),
    ("response::status(600)", "invalid_status"),
    ("response::text(\"\").status(-1)", "invalid_status"),
    (r#"response::text("").header("a b", "c")"#, "invalid_header"),
    (r#"response::text("").header("", "c")"#, "invalid_header"),
    (r#"response::text("").header("a", "b\r\nc: d")"#, "invalid_header"),
    (r#"response::text("").header("a", "b\x00")"#, "invalid_header"),
    (r#"response::redirect("/\nset-cookie: a=b")"#, "invalid_header"),
    (r#"response::text("").cookie("a;b", "c")"#, "invalid_cookie"),
    (r#"response::text("").cookie("a", "b; Domain=x")"#, "invalid_cookie"),
    (r#"response::text("").cookie("a", "b", #{domain: "example"})"#, "invalid_cookie"),
    (r#"response::text("").cookie("a", "b", #{path: "/; Domain=x"})"#, "invalid_cookie"),
    (r#"response::text("").cookie("a", "b", #{same_site: "no"})"#, "invalid_cookie"),
    (r#"response::text("").cookie("a", "b", #{maxage: 1})"#, "unknown_option"),
    (r#"response::text("").cookie("a", "b", #{expires: 9223372036854775807})"#, "invalid_cookie"),
];

#[test]
fn a_cookie_that_crosses_sites_is_secure() {
    let script = r#"response::status(200).cookie("a", "1", #{same_site: "none"})"#;
    let response = send(&World::default(), script, &[], request("GET")).unwrap();
    assert_eq!(response.headers[0].1, "a=1; HttpOnly; SameSite=None; Secure; Path=/");
}
