//! The services that reach outside of the sandbox, on a host in memory.

use crate::fake::{World, code, get_with};

/// As in `services`. `b` is a bucket with x.txt = "x" and y/z.txt = "yz"; `a` is
/// an answer of another server.
pub const CASES: &[(&str, &str, &str, &str)] = &[
    ("files", "bucket(name) -> bucket", r#"files::bucket("other").get("x.txt")"#, ""),
    (
        "files",
        "put(path, data) -> #{path, bytes, content_type, etag, modified}",
        r#"[b.put("n", blob(2, 65)), b.get("n").as_string()]"#,
        r#"[{"bytes":2,"content_type":"text/plain","etag":"\"e\"","modified":5,"path":"n"},"AA"]"#,
    ),
    (
        "files",
        "put(path, data, #{content_type}) -> #{path, bytes, content_type, etag, modified}",
        r#"b.put("n", "é", #{content_type: "a/b"}); [b.info("n").content_type, b.info("n").bytes]"#,
        r#"["a/b",2]"#,
    ),
    (
        "files",
        "get(path) -> blob",
        r#"[b.get("x.txt").as_string(), b.get("none")]"#,
        r#"["x",null]"#,
    ),
    (
        "files",
        "info(path) -> #{path, bytes, content_type, etag, modified}",
        r#"[b.info("y/z.txt").bytes, b.info("none")]"#,
        "[2,null]",
    ),
    (
        "files",
        "delete(path) -> bool",
        r#"[b.delete("x.txt"), b.delete("x.txt"), b.get("x.txt")]"#,
        "[true,false,null]",
    ),
    (
        "files",
        "list() -> #{items, next}",
        "b.list().items.map(|file| file.path)",
        r#"["x.txt","y/z.txt"]"#,
    ),
    (
        "files",
        "list(prefix) -> #{items, next}",
        r#"b.list("y/").items.map(|file| file.path)"#,
        r#"["y/z.txt"]"#,
    ),
    (
        "files",
        "list(#{prefix, after, limit}) -> #{items, next}",
        r#"[b.list(#{limit: 1}).next, b.list(#{after: "x.txt"}).items.len]"#,
        r#"["x.txt",1]"#,
    ),
    (
        "files",
        "url(path) -> string",
        r#"b.url("x.txt")"#,
        "https://guestbook.example/b/x.txt?ttl=None",
    ),
    (
        "files",
        "url(path, #{ttl}) -> string",
        r#"b.url("x.txt", #{ttl: 60})"#,
        "https://guestbook.example/b/x.txt?ttl=Some(60)",
    ),
    ("http", "get(url) -> answer", r#"http::get("http://h/json").json()"#, r#"{"a":[1]}"#),
    (
        "http",
        "get(url, #{headers, timeout_ms, redirects}) -> answer",
        r#"http::get("http://h/text", #{headers: #{Accept: "a/b", n: 1, gone: ()}}).text()"#,
        "plain",
    ),
    ("http", "post(url, body) -> answer", r#"http::post("http://h/", #{b: 1}).status"#, "201"),
    (
        "http",
        "post(url, body, #{headers, timeout_ms, redirects}) -> answer",
        r#"http::post("http://h/", "text", #{timeout_ms: 5}).status"#,
        "201",
    ),
    (
        "http",
        "request(#{method, url, headers, body, timeout_ms, redirects}) -> answer",
        r#"http::request(#{method: "PUT", url: "http://h/x", body: blob(1, 65)}).status"#,
        "201",
    ),
    ("http", "status -> int", "a.status", "201"),
    ("http", "ok -> bool", "a.ok", "true"),
    (
        "http",
        "headers -> headers",
        r#"[a.headers["X-Tag"], a.headers.gone, a.headers.to_map()]"#,
        r#"["1, 2",null,{"x-tag":"1, 2"}]"#,
    ),
    ("http", "url -> string", "a.url", "http://h/json"),
    ("http", "text() -> string", "a.text()", r#"{"a":[1]}"#),
    ("http", "json() -> value", "a.json().a", "[1]"),
    ("http", "bytes() -> blob", "a.bytes().len", "9"),
    (
        "secrets",
        "get(name) -> string",
        r#"[secrets::get("KEY"), secrets::get("OTHER")]"#,
        r#"["k-123",null]"#,
    ),
    (
        "config",
        "get(name) -> value",
        r#"[config::get("GREETING").text, config::get("OTHER")]"#,
        r#"["hello",null]"#,
    ),
    (
        "config",
        "get(name, default) -> value",
        r#"[config::get("GREETING", 1).text, config::get("OTHER", 1)]"#,
        r#"["hello",1]"#,
    ),
    ("crypto", "password_hash(password) -> string", r#"crypto::password_hash("pw")"#, "hash of pw"),
    (
        "crypto",
        "password_verify(password, hash) -> bool",
        r#"[crypto::password_verify("pw", "hash of pw"), crypto::password_verify("p", "hash of pw")]"#,
        "[true,false]",
    ),
    (
        "app",
        "url(path) -> string",
        r#"[app::url("/a?b=c"), app::url("a")]"#,
        r#"["https://guestbook.example/a?b=c","https://guestbook.example/a"]"#,
    ),
];

/// What stands before a case of that namespace.
pub fn setup(namespace: &str) -> &'static str {
    match namespace {
        "files" => r#"let b = files::bucket("b"); b.put("x.txt", "x"); b.put("y/z.txt", "yz"); "#,
        "http" => r#"let a = http::get("http://h/json"); "#,
        _ => "",
    }
}

#[test]
fn what_the_host_refuses_is_thrown() {
    for (expression, expected) in [
        (r#"files::bucket("bad bucket").get("a")"#, "files invalid_bucket"),
        (r#"files::bucket("b").get("bad path")"#, "files invalid_path"),
        (r#"files::bucket("b").put("bad type", "")"#, "files invalid_content_type"),
        (r#"files::bucket("b").put("large", "")"#, "files too_large"),
        (r#"files::bucket("b").put("quota", "")"#, "files quota_exceeded"),
        (r#"files::bucket("b").put("a", 5)"#, "files invalid_data"),
        (r#"files::bucket("b").put("a", "", #{type: "a/b"})"#, "files unknown_option"),
        (r#"files::bucket("b").url("a", #{ttl: -1})"#, "files invalid_option"),
        (r#"files::bucket("b").list(#{limit: 0})"#, "files invalid_option"),
        (r#"http::get("http://h/denied")"#, "http denied"),
        (r#"http::get("http://h/invalid")"#, "http invalid_request"),
        (r#"http::get("http://h/many")"#, "http too_many_requests"),
        (r#"http::get("http://h/late")"#, "http timed_out"),
        (r#"http::get("http://h/large")"#, "http too_large"),
        (r#"http::get("http://h/failed")"#, "http failed"),
        (r#"http::get("http://h/latin").text()"#, "http invalid_answer"),
        (r#"http::get("http://h/text").json()"#, "http invalid_answer"),
        (r#"http::get("http://h/", #{timeout_ms: 0})"#, "http invalid_option"),
        (r#"http::get("http://h/", #{timeout: 1})"#, "http unknown_option"),
        (r#"http::get("http://h/", #{headers: #{a: []}})"#, "http invalid_request"),
        (r#"http::get("http://h/", #{headers: []})"#, "http invalid_option"),
        (r#"http::post("http://h/", |x| x)"#, "http invalid_value"),
        (r#"http::request(#{method: "GET"})"#, "http invalid_request"),
        (r#"http::request(#{verb: "GET"})"#, "http unknown_option"),
        (r#"secrets::get("bad name")"#, "secrets invalid_name"),
        (r#"crypto::password_hash("")"#, "crypto invalid_password"),
        (r#"crypto::password_verify("a", "none")"#, "crypto invalid_hash"),
    ] {
        assert_eq!(code(expression), expected, "{expression}");
    }
}

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
