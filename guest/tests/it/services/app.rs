use super::{Case, Failure};

pub const CASES: &[Case] = &[
    (
        "url(path) -> string",
        r#"[app::url("/a?b=c"), app::url("a")]"#,
        r#"["https://guestbook.example/a?b=c","https://guestbook.example/a"]"#,
    ),
    ("slug() -> string", "app::slug()", "guestbook"),
    ("release() -> int", "app::release()", "7"),
    (
        "invoke(handler, payload) -> value",
        r#"fn get(req) { app::invoke("main.rhai#twice", 21) } fn twice(x) { x * 2 }"#,
        "42",
    ),
    (
        "request(method, path) -> answer",
        r#"let a = app::request("GET", "/a?b=c"); [a.status, a.ok, a.text(), a.headers.etag, a.url]"#,
        r#"[200,true,"GET /a?b=c  []","1","/a?b=c"]"#,
    ),
    (
        "request(method, path, body) -> answer",
        r#"[app::request("post", "/", "x").text(), app::request("PUT", "/", [1]).text()]"#,
        r#"["POST / x [(\"content-type\", \"text/plain; charset=utf-8\")]","PUT / [1] [(\"content-type\", \"application/json\")]"]"#,
    ),
    (
        "request(method, path, body, #{headers}) -> answer",
        r#"app::request("GET", "/", (), #{headers: #{"X-A": 1}}).text()"#,
        r#"GET /  [("x-a", "1")]"#,
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"app::invoke("main.rhai#nope", 1)"#, "handler_not_found"),
    (r##"let name = "#"; app::invoke(name, 1)"##, "handler_not_found"),
    (r#"app::invoke(1, "main.rhai")"#, "invalid_argument"),
    (r#"app::request("GET", "/no-test")"#, "not_available"),
    (r#"app::request("GET", "invalid")"#, "invalid_request"),
    (r#"app::request("GET", "/failed")"#, "failed"),
    (r#"app::request("GET", "/", (), #{headers: 1})"#, "invalid_option"),
    (r#"app::request("GET", "/", (), #{headers: #{a: []}})"#, "invalid_request"),
];
