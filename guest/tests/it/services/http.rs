//! `a` is an answer of another server.

use super::{Case, Failure};
use crate::fake::{World, get_with};

pub const CASES: &[Case] = &[
    ("get(url) -> answer", r#"http::get("http://h/json").json()"#, r#"{"a":[1]}"#),
    (
        "get(url, #{headers, timeout_ms, redirects}) -> answer",
        r#"http::get("http://h/text", #{headers: #{Accept: "a/b", n: 1, gone: ()}}).text()"#,
        "plain",
    ),
    ("post(url, body) -> answer", r#"http::post("http://h/", #{b: 1}).status"#, "201"),
    (
        "post(url, body, #{headers, timeout_ms, redirects}) -> answer",
        r#"http::post("http://h/", "text", #{timeout_ms: 5}).status"#,
        "201",
    ),
    (
        "request(#{method, url, headers, body, timeout_ms, redirects}) -> answer",
        r#"http::request(#{method: "PUT", url: "http://h/x", body: blob(1, 65)}).status"#,
        "201",
    ),
    ("status -> int", "a.status", "201"),
    ("ok -> bool", "a.ok", "true"),
    (
        "headers -> headers",
        r#"[a.headers["X-Tag"], a.headers.gone, a.headers.to_map()]"#,
        r#"["1, 2",null,{"x-tag":"1, 2"}]"#,
    ),
    ("url -> string", "a.url", "http://h/json"),
    ("text() -> string", "a.text()", r#"{"a":[1]}"#),
    ("json() -> value", "a.json().a", "[1]"),
    ("bytes() -> blob", "a.bytes().len", "9"),
];

pub const FAILURES: &[Failure] = &[
    (r#"http::get("http://h/denied")"#, "denied"),
    (r#"http::get("http://h/invalid")"#, "invalid_request"),
    (r#"http::get("http://h/many")"#, "too_many_requests"),
    (r#"http::get("http://h/late")"#, "timed_out"),
    (r#"http::get("http://h/large")"#, "too_large"),
    (r#"http::get("http://h/failed")"#, "failed"),
    (r#"http::get("http://h/latin").text()"#, "invalid_answer"),
    (r#"http::get("http://h/text").json()"#, "invalid_answer"),
    (r#"http::get("http://h/", #{timeout_ms: 0})"#, "invalid_option"),
    (r#"http::get("http://h/", #{timeout: 1})"#, "unknown_option"),
    (r#"http::get("http://h/", #{headers: #{a: []}})"#, "invalid_request"),
    (r#"http::get("http://h/", #{headers: []})"#, "invalid_option"),
    (r#"http::post("http://h/", |x| x)"#, "invalid_value"),
    (r#"http::request(#{method: "GET"})"#, "invalid_request"),
    (r#"http::request(#{verb: "GET"})"#, "unknown_option"),
];

#[test]
fn a_request_reaches_the_host_as_it_was_meant() {
    let world = World::default();
    get_with(
        &world,
        r#"
        http::get("http://h/a", #{headers: #{Accept: "a/b", n: 1, gone: ()}, timeout_ms: 50});
        http::post("http://h/b", #{x: 1.0}, #{redirects: -5});
        http::post("http://h/c", "é", #{headers: #{"Content-Type": "text/csv"}});
        http::request(#{method: "put", url: "http://h/d", body: blob(1, 65)});
        ()
        "#,
    );
    let shown: Vec<String> = world
        .requests()
        .iter()
        .map(|r| {
            let body = String::from_utf8_lossy(&r.body);
            format!(
                "{} {} {:?} {body} {:?} {}",
                r.method, r.url, r.headers, r.timeout_ms, r.redirects
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"GET http://h/a [("accept", "a/b"), ("n", "1")]  Some(50) 5"#,
            r#"POST http://h/b [("content-type", "application/json")] {"x":1.0} None 0"#,
            r#"POST http://h/c [("content-type", "text/csv")] é None 5"#,
            r#"put http://h/d [("content-type", "application/octet-stream")] A None 5"#,
        ]
    );
}
