//! Every function, method and property of the SDK: one line each at least. A
//! registration without a line fails `every_registration_has_a_case`.

use std::collections::BTreeSet;

use picloud_guest::reference;

use crate::fake::{World, code, get, get_with, request, send, thrown};
use crate::stateful;

/// Namespace, signature as registered, a script, and what it answers.
const CASES: &[(&str, &str, &str, &str)] = &[
    // kv: `c` is a collection with a = 1, b = "two", c = [3.0].
    ("kv", "collection(name) -> collection", r#"kv::collection("other").get("a")"#, ""),
    (
        "kv",
        "get(key) -> value",
        r#"[c.get("a"), c.get("b"), c.get("c"), c.get("d")]"#,
        r#"[1,"two",[3.0],null]"#,
    ),
    ("kv", "get_or(key, default) -> value", r#"[c.get_or("a", 7), c.get_or("d", 7)]"#, "[1,7]"),
    ("kv", "has(key) -> bool", r#"[c.has("a"), c.has("d")]"#, "[true,false]"),
    ("kv", "set(key, value)", r#"c.set("d", #{x: ()}); c.get("d")"#, r#"{"x":null}"#),
    ("kv", "set(key, value, #{ttl})", r#"c.set("t", 5, #{ttl: 60}); c.get("t")"#, "5"),
    (
        "kv",
        "delete(key) -> bool",
        r#"[c.delete("a"), c.delete("a"), c.get("a")]"#,
        "[true,false,null]",
    ),
    ("kv", "count() -> int", "c.count()", "3"),
    ("kv", "clear()", "c.clear(); c.count()", "0"),
    ("kv", "incr(key) -> int", r#"[c.incr("a"), c.incr("new"), c.incr("new")]"#, "[2,1,2]"),
    ("kv", "incr(key, n) -> int", r#"[c.incr("a", -5), c.incr("new", 3)]"#, "[-4,3]"),
    (
        "kv",
        "update(key, |value| …) -> value",
        r#"[c.update("a", |v| v + 1), c.update("d", |v| type_of(v)), c.update("b", |v| ()), c.has("b")]"#,
        r#"[2,"()",null,false]"#,
    ),
    (
        "kv",
        "list() -> #{items, next}",
        "c.list()",
        r#"{"items":[{"key":"a","value":1},{"key":"b","value":"two"},{"key":"c","value":[3.0]}],"next":null}"#,
    ),
    (
        "kv",
        "list(prefix) -> #{items, next}",
        r#"c.list("b").items"#,
        r#"[{"key":"b","value":"two"}]"#,
    ),
    (
        "kv",
        "list(#{prefix, after, limit}) -> #{items, next}",
        r#"c.list(#{limit: 1, after: "a"})"#,
        r#"{"items":[{"key":"b","value":"two"}],"next":"b"}"#,
    ),
    ("kv", "keys() -> #{items, next}", "c.keys().items", r#"["a","b","c"]"#),
    ("kv", "keys(prefix) -> #{items, next}", r#"c.keys("c").items"#, r#"["c"]"#),
    (
        "kv",
        "keys(#{prefix, after, limit}) -> #{items, next}",
        r"c.keys(#{limit: 2})",
        r#"{"items":["a","b"],"next":"b"}"#,
    ),
    // log: the answer is the log.
    ("log", "debug(message)", r#"log::debug("m")"#, "debug m"),
    ("log", "debug(message, fields)", r#"log::debug("m", #{a: 1})"#, r#"debug m {"a":1}"#),
    ("log", "info(message)", "log::info([1, ()])", "info [1, ()]"),
    ("log", "info(message, fields)", r#"log::info("", #{})"#, "info  {}"),
    ("log", "warn(message)", r#"log::warn("é")"#, "warn é"),
    ("log", "warn(message, fields)", r#"log::warn("m", #{a: [1.5]})"#, r#"warn m {"a":[1.5]}"#),
    ("log", "error(message)", r"log::error(1)", "error 1"),
    ("log", "error(message, fields)", r#"log::error("m", #{a: "b"})"#, r#"error m {"a":"b"}"#),
    // response: the answer is status, headers and body.
    (
        "response",
        "html(text) -> response",
        r#"response::html("<p>")"#,
        "200 content-type: text/html; charset=utf-8 | <p>",
    ),
    (
        "response",
        "text(text) -> response",
        r#"response::text("t")"#,
        "200 content-type: text/plain; charset=utf-8 | t",
    ),
    (
        "response",
        "json(value) -> response",
        "response::json(())",
        "200 content-type: application/json | null",
    ),
    (
        "response",
        "bytes(blob) -> response",
        "response::bytes(blob(1, 66))",
        "200 content-type: application/octet-stream | B",
    ),
    ("response", "status(code) -> response", "response::status(404)", "404 | "),
    (
        "response",
        "redirect(url) -> response",
        r#"response::redirect("/a?b=c")"#,
        "303 location: /a?b=c | ",
    ),
    (
        "response",
        "header(name, value) -> response",
        r#"response::text("t").header("X-A", "1").header("x-a", "2").header("Content-Type", "a/b")"#,
        "200 x-a: 2 content-type: a/b | t",
    ),
    (
        "response",
        "status(code) -> response",
        r#"let r = response::redirect("/"); r.status(308); r"#,
        "308 location: / | ",
    ),
    (
        "response",
        "cookie(name, value) -> response",
        r#"response::status(200).cookie("a", "1").cookie("b", "2")"#,
        "200 set-cookie: a=1; HttpOnly; SameSite=Lax; Path=/ set-cookie: b=2; HttpOnly; SameSite=Lax; Path=/ | ",
    ),
    (
        "response",
        "cookie(name, value, #{max_age, expires, path, http_only, secure, same_site}) -> response",
        r#"response::status(200).cookie("a", "1", #{max_age: 60, expires: 1700000000123, path: "/x", http_only: false, secure: true, same_site: "strict"})"#,
        "200 set-cookie: a=1; SameSite=Strict; Secure; Path=/x; Max-Age=60; Expires=Tue, 14 Nov 2023 22:13:20 GMT | ",
    ),
    // req
    ("req", "method -> string", "req.method", "GET"),
    ("req", "path -> string", "req.path", "/a%20b"),
    ("req", "host -> string", "req.host", "guestbook.example"),
    ("req", "ip -> string", "req.ip", "192.0.2.1"),
    (
        "req",
        "url -> string",
        "req.url",
        "https://guestbook.example/a%20b?name=Ann&name=Bob&x=1%2B1",
    ),
    ("req", "id -> string", "req.id", "execution-1"),
    ("req", "params -> map", "[req.params.id, req.params.other]", r#"["ä b",null]"#),
    ("req", "query -> map", "req.query", r#"{"name":"Ann","x":"1+1"}"#),
    ("req", "cookies -> map", "[req.cookies.b, req.cookies.z]", r#"["two",null]"#),
    (
        "req",
        "headers -> headers",
        r#"[req.headers.accept, req.headers["User-Agent"], req.headers.gone]"#,
        r#"["text/html, */*","test",null]"#,
    ),
    (
        "req",
        "to_map() -> map",
        "req.headers.to_map().keys()",
        r#"["accept","cookie","user-agent"]"#,
    ),
    ("req", "text() -> string", "req.text()", r#"{"a": [1, 2.0, null]}"#),
    ("req", "json() -> value", "req.json().a", "[1,2.0,null]"),
    ("req", "form() -> map", "req.form()", r#"{"{\"a\": [1, 2.0, null]}":""}"#),
    ("req", "bytes() -> blob", "req.bytes().len", "21"),
    // json
    (
        "json",
        "parse(text) -> value",
        r#"type_of(json::parse("1.0")) + type_of(json::parse("1"))"#,
        "f64i64",
    ),
    (
        "json",
        "stringify(value) -> string",
        r#"json::stringify(#{b: [1, 1.0, true, 'c', ()], a: "x\n\"é"})"#,
        r#"{"a":"x\n\"é","b":[1,1.0,true,"c",null]}"#,
    ),
    (
        "json",
        "stringify(value, #{pretty}) -> string",
        "json::stringify([1], #{pretty: true}) + json::stringify([1], #{pretty: false})",
        "[\n  1\n][1]",
    ),
    // html
    (
        "html",
        "escape(value) -> string",
        r#"html::escape("<a href='x'>\"&é") + html::escape(1) + html::escape(()) + html::escape("plain")"#,
        "&lt;a href=&#39;x&#39;&gt;&quot;&amp;é1plain",
    ),
    // time, app
    ("time", "now() -> int", "[time::now(), time::now() - time::now()]", "[1700000000123,0]"),
    ("app", "slug() -> string", "app::slug()", "guestbook"),
    ("app", "release() -> int", "app::release()", "7"),
    // random: what follows from the seed is checked by its shape.
    (
        "random",
        "uuid() -> string",
        "let u = random::uuid(); [u.len, u[8], u[14], u[19] in \"89ab\", u == random::uuid()]",
        r#"[36,"-","4",true,false]"#,
    ),
    (
        "random",
        "int(lo, hi) -> int",
        "let seen = #{}; for i in 0..200 { seen[`${random::int(-1, 2)}`] = true } [seen.keys(), random::int(5, 5)]",
        r#"[["-1","0","1","2"],5]"#,
    ),
    (
        "random",
        "float() -> float",
        "let ok = true; let sum = 0.0; for i in 0..200 { let f = random::float(); ok = ok && f >= 0.0 && f < 1.0; sum += f; } [ok, sum > 70.0 && sum < 130.0]",
        "[true,true]",
    ),
    (
        "random",
        "bytes(n) -> blob",
        "[random::bytes(16).len, random::bytes(0).len, random::bytes(16) == random::bytes(16)]",
        "[16,0,false]",
    ),
    (
        "random",
        "token(n) -> string",
        "let t = random::token(1000); let ok = true; for c in t { ok = ok && c in \"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_\" } [t.len, ok, random::token(22) == random::token(22)]",
        "[1000,true,false]",
    ),
    (
        "random",
        "choice(array) -> value",
        "let seen = #{}; for i in 0..100 { seen[random::choice([\"a\", \"b\"])] = 1 } [seen.len(), random::choice([7])]",
        "[2,7]",
    ),
    (
        "random",
        "shuffle(array) -> array",
        "let a = []; for i in 0..50 { a.push(i) } let b = random::shuffle(a); let same = a == b; b.sort(); [same, a == b, random::shuffle([])]",
        "[false,true,[]]",
    ),
];

fn run(namespace: &str, script: &str) -> String {
    let world = World::default();
    match namespace {
        "kv" => {
            for (key, json) in [("a", "1"), ("b", "\"two\""), ("c", "[3.0]")] {
                world.put("c", key, json);
            }
            get_with(&world, &format!("let c = kv::collection(\"c\"); {script}"))
        }
        "log" => {
            get_with(&world, script);
            world.log().join("\n")
        }
        "response" => {
            let response = send(&world, script, &[], request("GET")).unwrap();
            let headers: Vec<_> =
                response.headers.iter().map(|(name, value)| format!("{name}: {value} ")).collect();
            let headers = headers.concat();
            let body = String::from_utf8(response.body).unwrap();
            format!("{} {headers}| {body}", response.status)
        }
        _ => get_with(&world, &format!("{}{script}", stateful::setup(namespace))),
    }
}

type Case = (&'static str, &'static str, &'static str, &'static str);

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(stateful::CASES)
}

#[test]
fn every_case_answers_as_it_says() {
    for (namespace, signature, script, expected) in cases() {
        assert_eq!(&run(namespace, script), expected, "{namespace} {signature}\n{script}");
    }
}

#[test]
fn every_registration_has_a_case() {
    let registered: BTreeSet<_> = reference(Box::new(World::default()))
        .iter()
        .map(|one| (one.namespace, one.signature))
        .collect();
    let having: BTreeSet<_> =
        cases().map(|(namespace, signature, ..)| (*namespace, *signature)).collect();
    assert_eq!(
        having.difference(&registered).collect::<Vec<_>>(),
        [&("", ""); 0],
        "not registered"
    );
    assert_eq!(
        registered.difference(&having).collect::<Vec<_>>(),
        [&("", ""); 0],
        "without a case"
    );
    for (namespace, signature, script, _) in cases() {
        let name = signature.split(['(', ' ']).next().unwrap();
        assert!(script.contains(name), "the case of {namespace} {signature} does not use it");
    }
}

#[test]
fn failures_throw_a_code() {
    for (expression, expected) in [
        (r#"kv::collection("a/b").get("k")"#, "kv invalid_collection"),
        (r#"kv::collection("c").get("")"#, "kv invalid_key"),
        (r#"kv::collection("c").set("nul", 1)"#, "kv invalid_value"),
        (r#"kv::collection("c").set("large", 1)"#, "kv value_too_large"),
        (r#"kv::collection("c").set("quota", 1)"#, "kv quota_exceeded"),
        (r#"kv::collection("c").set("k", |x| x)"#, "kv invalid_value"),
        (r#"kv::collection("c").set("k", 1, #{tll: 5})"#, "kv unknown_option"),
        (r#"kv::collection("c").set("k", 1, #{ttl: 0})"#, "kv invalid_option"),
        (r#"kv::collection("c").set("k", 1, #{ttl: "1"})"#, "kv invalid_option"),
        (r#"kv::collection("c").list(#{limit: -1})"#, "kv invalid_option"),
        (r#"let c = kv::collection("c"); c.set("k", "x"); c.incr("k")"#, "kv not_an_integer"),
        (
            r#"let c = kv::collection("c"); c.set("k", 9223372036854775807); c.incr("k")"#,
            "kv overflow",
        ),
        (r#"json::parse("{")"#, "json invalid_json"),
        (r#"json::parse("1 2")"#, "json invalid_json"),
        ("json::stringify(1.0 / 0.0)", "json invalid_value"),
        ("json::stringify(blob(1))", "json invalid_value"),
        ("json::stringify([|x| x])", "json invalid_value"),
        ("response::json(kv::collection(\"c\"))", "response invalid_value"),
        ("response::status(199)", "response invalid_status"),
        ("response::status(600)", "response invalid_status"),
        ("response::text(\"\").status(-1)", "response invalid_status"),
        (r#"response::text("").header("a b", "c")"#, "response invalid_header"),
        (r#"response::text("").header("", "c")"#, "response invalid_header"),
        (r#"response::text("").header("a", "b\r\nc: d")"#, "response invalid_header"),
        (r#"response::text("").header("a", "b\x00")"#, "response invalid_header"),
        (r#"response::redirect("/\nset-cookie: a=b")"#, "response invalid_header"),
        (r#"response::text("").cookie("a;b", "c")"#, "response invalid_cookie"),
        (r#"response::text("").cookie("a", "b; Domain=x")"#, "response invalid_cookie"),
        (r#"response::text("").cookie("a", "b", #{domain: "example"})"#, "response invalid_cookie"),
        (
            r#"response::text("").cookie("a", "b", #{path: "/; Domain=x"})"#,
            "response invalid_cookie",
        ),
        (r#"response::text("").cookie("a", "b", #{same_site: "no"})"#, "response invalid_cookie"),
        (r#"response::text("").cookie("a", "b", #{maxage: 1})"#, "response unknown_option"),
        (
            r#"response::text("").cookie("a", "b", #{expires: 9223372036854775807})"#,
            "response invalid_cookie",
        ),
        ("html::escape([])", "html invalid_value"),
        ("log::info(\"m\", #{f: |x| x})", "log invalid_value"),
        ("random::int(2, 1)", "random invalid_range"),
        ("random::bytes(-1)", "random invalid_length"),
        ("random::bytes(65537)", "random invalid_length"),
        ("random::token(9223372036854775807)", "random invalid_length"),
        ("random::choice([])", "random empty"),
    ] {
        assert_eq!(code(expression), expected, "{expression}");
    }
}

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

#[test]
fn prints_go_to_the_log() {
    let world = World::default();
    get_with(&world, "print(42); debug(\"x\");");
    assert_eq!(world.log(), ["info 42", "debug \"x\""]);
}

#[test]
fn a_cookie_that_crosses_sites_is_secure() {
    let script = r#"response::status(200).cookie("a", "1", #{same_site: "none"})"#;
    let response = send(&World::default(), script, &[], request("GET")).unwrap();
    assert_eq!(response.headers[0].1, "a=1; HttpOnly; SameSite=None; Secure; Path=/");
}

#[test]
fn the_first_of_two_equal_fields_counts_and_forms_are_decoded() {
    let mut post = request("POST");
    post.body = b"name=Ann+B&name=x&text=%C3%A9%26".to_vec();
    let response = send(&World::default(), "req.form()", &[], post).unwrap();
    assert_eq!(String::from_utf8(response.body).unwrap(), r#"{"name":"Ann B","text":"é&"}"#);
}

#[test]
fn draws_are_even() {
    // 6,000 draws of 6: each about 1,000 times; off by 150 is five sigma.
    let script = "let n = [0, 0, 0, 0, 0, 0]; for i in 0..6000 { n[random::int(0, 5)] += 1 } n";
    let counts: Vec<i32> =
        get(script).trim_matches(['[', ']']).split(',').map(|n| n.parse().unwrap()).collect();
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    let whole = "random::int(-9223372036854775808, 9223372036854775807) != 0";
    assert_eq!(get(whole), "true");
}
