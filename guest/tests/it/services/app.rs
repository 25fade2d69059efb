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
];

pub const FAILURES: &[Failure] = &[
    (r#"app::invoke("main.rhai#nope", 1)"#, "handler_not_found"),
    (r##"let name = "#"; app::invoke(name, 1)"##, "handler_not_found"),
    (r#"app::invoke(1, "main.rhai")"#, "invalid_argument"),
];
