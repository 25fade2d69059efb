//! `b` is a bucket with x.txt = "x" and y/z.txt = "yz".

use super::{Case, Failure};

pub const CASES: &[Case] = &[
    ("bucket(name) -> bucket", r#"files::bucket("other").get("x.txt")"#, ""),
    (
        "put(path, data) -> #{path, bytes, content_type, etag, modified}",
        r#"[b.put("n", blob(2, 65)), b.get("n").as_string()]"#,
        r#"[{"bytes":2,"content_type":"text/plain","etag":"\"e\"","modified":5,"path":"n"},"AA"]"#,
    ),
    (
        "put(path, data, #{content_type}) -> #{path, bytes, content_type, etag, modified}",
        r#"b.put("n", "é", #{content_type: "a/b"}); [b.info("n").content_type, b.info("n").bytes]"#,
        r#"["a/b",2]"#,
    ),
    ("get(path) -> blob", r#"[b.get("x.txt").as_string(), b.get("none")]"#, r#"["x",null]"#),
    (
        "info(path) -> #{path, bytes, content_type, etag, modified}",
        r#"[b.info("y/z.txt").bytes, b.info("none")]"#,
        "[2,null]",
    ),
    (
        "delete(path) -> bool",
        r#"[b.delete("x.txt"), b.delete("x.txt"), b.get("x.txt")]"#,
        "[true,false,null]",
    ),
    ("list() -> #{items, next}", "b.list().items.map(|file| file.path)", r#"["x.txt","y/z.txt"]"#),
    (
        "list(prefix) -> #{items, next}",
        r#"b.list("y/").items.map(|file| file.path)"#,
        r#"["y/z.txt"]"#,
    ),
    (
        "list(#{prefix, after, limit}) -> #{items, next}",
        r#"[b.list(#{limit: 1}).next, b.list(#{after: "x.txt"}).items.len]"#,
        r#"["x.txt",1]"#,
    ),
    ("url(path) -> string", r#"b.url("x.txt")"#, "https://guestbook.example/b/x.txt?ttl=None"),
    (
        "url(path, #{ttl}) -> string",
        r#"b.url("x.txt", #{ttl: 60})"#,
        "https://guestbook.example/b/x.txt?ttl=Some(60)",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"files::bucket("bad bucket").get("a")"#, "invalid_bucket"),
    (r#"files::bucket("b").get("bad path")"#, "invalid_path"),
    (r#"files::bucket("b").put("bad type", "")"#, "invalid_content_type"),
    (r#"files::bucket("b").put("large", "")"#, "too_large"),
    (r#"files::bucket("b").put("quota", "")"#, "quota_exceeded"),
    (r#"files::bucket("b").put("a", 5)"#, "invalid_data"),
    (r#"files::bucket("b").put("a", "", #{type: "a/b"})"#, "unknown_option"),
    (r#"files::bucket("b").url("a", #{ttl: -1})"#, "invalid_option"),
    (r#"files::bucket("b").list(#{limit: 0})"#, "invalid_option"),
];
