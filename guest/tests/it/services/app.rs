use super::{Case, Failure};

pub const CASES: &[Case] = &[
    (
        "url(path) -> string",
        r#"[app::url("/a?b=c"), app::url("a")]"#,
        r#"["https://guestbook.example/a?b=c","https://guestbook.example/a"]"#,
    ),
    ("slug() -> string", "app::slug()", "guestbook"),
    ("release() -> int", "app::release()", "7"),
];

pub const FAILURES: &[Failure] = &[];
