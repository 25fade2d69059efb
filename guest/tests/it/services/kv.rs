//! `c` is a collection with a = 1, b = "two", c = [3.0].

use super::{Case, Failure};
use crate::fake::{World, get, get_with, thrown};

pub const CASES: &[Case] = &[
    ("collection(name) -> collection", r#"kv::collection("other").get("a")"#, ""),
    (
        "get(key) -> value",
        r#"[c.get("a"), c.get("b"), c.get("c"), c.get("d")]"#,
        r#"[1,"two",[3.0],null]"#,
    ),
    ("get_or(key, default) -> value", r#"[c.get_or("a", 7), c.get_or("d", 7)]"#, "[1,7]"),
    ("has(key) -> bool", r#"[c.has("a"), c.has("d")]"#, "[true,false]"),
    ("set(key, value)", r#"c.set("d", #{x: ()}); c.get("d")"#, r#"{"x":null}"#),
    ("set(key, value, #{ttl})", r#"c.set("t", 5, #{ttl: 60}); c.get("t")"#, "5"),
    ("delete(key) -> bool", r#"[c.delete("a"), c.delete("a"), c.get("a")]"#, "[true,false,null]"),
    ("count() -> int", "c.count()", "3"),
    ("clear()", "c.clear(); c.count()", "0"),
    ("incr(key) -> int", r#"[c.incr("a"), c.incr("new"), c.incr("new")]"#, "[2,1,2]"),
    ("incr(key, n) -> int", r#"[c.incr("a", -5), c.incr("new", 3)]"#, "[-4,3]"),
    (
        "update(key, |value| …) -> value",
        r#"[c.update("a", |v| v + 1), c.update("d", |v| type_of(v)), c.update("b", |v| ()), c.has("b")]"#,
        r#"[2,"()",null,false]"#,
    ),
    (
        "list() -> #{items, next}",
        "c.list()",
        r#"{"items":[{"key":"a","value":1},{"key":"b","value":"two"},{"key":"c","value":[3.0]}],"next":null}"#,
    ),
    ("list(prefix) -> #{items, next}", r#"c.list("b").items"#, r#"[{"key":"b","value":"two"}]"#),
    (
        "list(#{prefix, after, limit}) -> #{items, next}",
        r#"c.list(#{limit: 1, after: "a"})"#,
        r#"{"items":[{"key":"b","value":"two"}],"next":"b"}"#,
    ),
    ("keys() -> #{items, next}", "c.keys().items", r#"["a","b","c"]"#),
    ("keys(prefix) -> #{items, next}", r#"c.keys("c").items"#, r#"["c"]"#),
    (
        "keys(#{prefix, after, limit}) -> #{items, next}",
        r"c.keys(#{limit: 2})",
        r#"{"items":["a","b"],"next":"b"}"#,
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"kv::collection("a/b").get("k")"#, "invalid_collection"),
    (r#"kv::collection("c").get("")"#, "invalid_key"),
    (r#"kv::collection("c").set("nul", 1)"#, "invalid_value"),
    (r#"kv::collection("c").set("large", 1)"#, "value_too_large"),
    (r#"kv::collection("c").set("quota", 1)"#, "quota_exceeded"),
    (r#"kv::collection("c").set("k", |x| x)"#, "invalid_value"),
    (r#"kv::collection("c").set("k", 1, #{tll: 5})"#, "unknown_option"),
    (r#"kv::collection("c").set("k", 1, #{ttl: 0})"#, "invalid_option"),
    (r#"kv::collection("c").set("k", 1, #{ttl: "1"})"#, "invalid_option"),
    (r#"kv::collection("c").list(#{limit: -1})"#, "invalid_option"),
    (r#"let c = kv::collection("c"); c.set("k", "x"); c.incr("k")"#, "not_an_integer"),
    (r#"let c = kv::collection("c"); c.set("k", 9223372036854775807); c.incr("k")"#, "overflow"),
];

#[test]
fn an_unknown_option_is_told_the_nearest() {
    let message = |script: &str| thrown(script).message;
    assert_eq!(
        message("kv::collection(\"c\").set(\"k\", 1, #{tll: 5})"),
        "there is no option \"tll\"; did you mean \"ttl\"?"
    );
    assert_eq!(
        message("kv::collection(\"c\").list(#{offset: 5})"),
        "there is no option \"offset\"; it takes prefix, after, limit"
    );
}

#[test]
fn a_lifetime_reaches_the_host_in_seconds() {
    let world = World::default();
    get_with(&world, r#"let c = kv::collection("c"); c.set("t", 5, #{ttl: 60}); c.set("u", 6)"#);
    assert_eq!(world.entry("c", "t"), Some(("5".into(), Some(60))));
    assert_eq!(world.entry("c", "u"), Some(("6".into(), None)));
}

#[test]
fn an_update_that_throws_writes_nothing() {
    let world = World::default();
    world.put("c", "k", "1");
    let script = r#"try { kv::collection("c").update("k", |v| { throw "no" }); } catch {}"#;
    get_with(&world, script);
    assert_eq!(world.entry("c", "k").unwrap().0, "1");
    assert_eq!(world.calls(), 1);
}

#[test]
fn pages_follow_one_another() {
    let script = r#"
        let c = kv::collection("c");
        for i in 0..7 { c.set(`k${i}`, i); }
        c.set("other", 9);
        let seen = [];
        let after = ();
        loop {
            let page = c.keys(#{prefix: "k", limit: 3, after: after});
            seen.push(page.items.len);
            after = page.next;
            if after == () { break; }
        }
        seen
    "#;
    assert_eq!(get(script), "[3,3,1]");
}
