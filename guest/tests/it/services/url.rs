use super::{Case, Failure};
use crate::fake::{get, thrown};

pub const CASES: &[Case] = &[
    (
        "encode(text) -> string",
        r#"url::encode("a b/c?d=é&-_.~'+") + url::encode("")"#,
        "a%20b%2Fc%3Fd%3D%C3%A9%26-_.~%27%2B",
    ),
    ("decode(text) -> string", r#"url::decode("a%20b%2fc+%C3%A9")"#, "a b/c+é"),
    (
        "parse(url) -> map",
        r#"[url::parse("HTTPS://ann:p%40ss@Example.org:8443/a%20b/../c?x=1&y#top"), url::parse("/a?b")]"#,
        r##"[{"fragment":"top","host":"example.org","password":"p@ss","path":"/a%20b/../c","port":8443,"query":"x=1&y","scheme":"https","username":"ann"},{"fragment":null,"host":null,"password":null,"path":"/a","port":null,"query":"b","scheme":null,"username":null}]"##,
    ),
    (
        "build(parts) -> string",
        r##"
        let u = url::parse("https://example.org/a?b=c#d");
        u.query = #{q: "x y", page: 2};
        u.path = "/für/100%/%41?#";
        [url::build(u), url::build(#{path: "/a b", query: "x=%20y z"}), url::build(#{scheme: "mailto", path: "a@b.example"}),
         url::build(#{scheme: "http", username: "a:b", password: "@", host: "[::1]", port: 80, path: "x"}), url::build(#{})]
        "##,
        r##"["https://example.org/f%C3%BCr/100%25/%41%3F%23?page=2&q=x+y#d","/a%20b?x=%20y%20z","mailto:a@b.example","http://a%3Ab:%40@[::1]:80/x",""]"##,
    ),
    (
        "join(base, reference) -> string",
        r##"["../d", "/d", "//b.example/d", "?q", "#f", "", "https://c.example/", "../../../../d"].map(|r| url::join("https://a.example/b/c?x#y", r))"##,
        r##"["https://a.example/d","https://a.example/d","https://b.example/d","https://a.example/b/c?q","https://a.example/b/c?x#f","https://a.example/b/c?x","https://c.example/","https://a.example/d"]"##,
    ),
    (
        "query(params) -> string",
        r#"url::query(#{a: "x y&", b: 2, c: 1.5, d: true, e: (), f: ["1", 2, ()], g: 'é', h: [], "i j": ""})"#,
        "a=x+y%26&b=2&c=1.5&d=true&f=1&f=2&g=%C3%A9&i+j=",
    ),
    (
        "parse_query(text) -> map",
        r#"[url::parse_query("a=x+y%26&a=2&b&=c&d=%C3%A9"), url::parse_query("?a=1"), url::parse_query(()), url::parse_query("")]"#,
        r#"[{"":"c","a":"x y&","b":"","d":"é"},{"a":"1"},{},{}]"#,
    ),
    (
        "parse_query(text, #{all}) -> map",
        r#"[url::parse_query("a=1&b=2&a=3", #{all: true}), url::parse_query("a=1&a=3", #{all: false})]"#,
        r#"[{"a":["1","3"],"b":["2"]},{"a":"1"}]"#,
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"url::decode("100%")"#, "invalid_encoding"),
    (r#"url::decode("%zz")"#, "invalid_encoding"),
    (r#"url::decode("%1é")"#, "invalid_encoding"),
    (r#"url::decode("%ff")"#, "not_utf8"),
    (r#"url::parse("http://a.example/a b")"#, "invalid_url"),
    (r#"url::parse("http://good.example\\@evil.example/")"#, "invalid_url"),
    (r#"url::parse("http://a.example:99999/")"#, "invalid_url"),
    (r#"url::parse("http://[::g]/")"#, "invalid_url"),
    (r#"url::parse("http://a%@b/")"#, "invalid_url"),
    (r#"url::parse("/für")"#, "invalid_url"),
    (r#"url::join("/a", "b")"#, "invalid_url"),
    (r#"url::join("mailto:a@b.example", "c")"#, "invalid_url"),
    (r#"url::join("http://a.example", "\n")"#, "invalid_url"),
    (r#"url::build(#{hots: "a"})"#, "unknown_option"),
    (r#"url::build(#{host: 5})"#, "invalid_option"),
    (r#"url::build(#{query: 5})"#, "invalid_option"),
    (r#"url::build(#{host: "a", port: -1})"#, "invalid_option"),
    (r#"url::build(#{host: "a", port: 65536})"#, "invalid_url"),
    (r#"url::build(#{scheme: "http", host: "good.example/@evil.example"})"#, "invalid_url"),
    (r#"url::build(#{scheme: "http", host: "a@evil.example"})"#, "invalid_url"),
    (r#"url::build(#{scheme: "http", host: "a:80"})"#, "invalid_url"),
    (r#"url::build(#{scheme: "http://b", host: "a"})"#, "invalid_url"),
    (r#"url::build(#{path: "javascript:x"})"#, "invalid_url"),
    (r#"url::build(#{path: "//evil.example/"})"#, "invalid_url"),
    (r#"url::build(#{port: 80, path: "/"})"#, "invalid_url"),
    ("url::query(#{a: #{}})", "invalid_value"),
    ("url::query(#{a: [[]]})", "invalid_value"),
    ("url::parse_query(5)", "invalid_argument"),
];

#[test]
fn what_is_wrong_is_shown() {
    for (expression, message) in [
        (
            r#"url::parse("http://a.example/a b")"#,
            "not a URL: ' ' at byte 18 cannot stand there; is it to be percent-encoded?",
        ),
        (r#"url::parse("/100%")"#, "not a URL: '%' at byte 4 is not followed by two digits"),
        (r#"url::parse("http://[::g]/")"#, "not a URL: there is no IPv6 address ':' at byte 8"),
        (r#"url::parse("http://a:70000/")"#, "not a URL: a port is at most 65535"),
        (r#"url::join("a", "b")"#, "\"a\" has no scheme, so nothing can be joined to it"),
        (
            r#"url::build(#{path: "//x"})"#,
            "not the parts of a URL: a path that begins with // needs a host before it",
        ),
        (
            r#"url::build(#{scheme: "http", host: "a/b"})"#,
            "not the parts of a URL: \"a/b\" cannot be a host",
        ),
        (r#"url::decode("é%")"#, "'%' at byte 2 is not followed by two digits"),
    ] {
        assert_eq!(thrown(expression).message, message, "{expression}");
    }
}

#[test]
fn parts_that_are_put_together_again_are_the_same_url() {
    for url in [
        "https://example.org",
        "https://example.org/",
        "https://u:p@example.org:1/a;b=c/d%2Fe?tag=a&tag=b&%20#f/?g",
        "https://u@example.org?",
        "mailto:a@example.org",
        "urn:isbn:1",
        "../a/b",
        "?q",
        "",
    ] {
        let script = format!("url::build(url::parse(\"{url}\"))");
        assert_eq!(get(&script), url);
    }
}

#[test]
fn text_comes_back_from_a_query_and_from_a_component() {
    let script = r#"
        let texts = ["", " ", "a+b", "100%", "é😀", "a=b&c;d", "\u0000\n", "%41"];
        texts.map(|t| url::decode(url::encode(t)) == t && url::parse_query(url::query(#{k: t})).k == t)
    "#;
    assert_eq!(get(script), "[true,true,true,true,true,true,true,true]");
}
