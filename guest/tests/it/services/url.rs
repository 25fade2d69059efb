use super::{Case, Failure};
use crate::fake::{get, thrown};

pub const CASES: &[Case] = &[
    (
        "encode(text) -> string",
        r#"url::encode("a b/é?&=+%-._~") + url::encode("")"#,
        "a%20b%2F%C3%A9%3F%26%3D%2B%25-._~",
    ),
    (
        "decode(text) -> string",
        r#"[url::decode("a%20b%2f%C3%A9+"), url::decode("%2525"), url::decode("é")]"#,
        r#"["a b/é+","%25","é"]"#,
    ),
    (
        "parse(text) -> map",
        r#"url::parse("HTTPS://ann:pw@Example.ORG:8443/a%20b/c?x=1&y#top")"#,
        r#"{"fragment":"top","host":"example.org","path":"/a%20b/c","port":8443,"query":"x=1&y","scheme":"https"}"#,
    ),
    (
        "parse(text) -> map",
        r#"[url::parse("/a"), url::parse("https://[::1]?#"), url::parse("mailto:a@b")]"#,
        r#"[{"fragment":null,"host":null,"path":"/a","port":null,"query":null,"scheme":null},{"fragment":"","host":"[::1]","path":"","port":null,"query":"","scheme":"https"},{"fragment":null,"host":null,"path":"a@b","port":null,"query":null,"scheme":"mailto"}]"#,
    ),
    // RFC 3986, chapter 5.4.
    (
        "join(base, relative) -> string",
        r##"["g", "./g/", "/g", "//g", "?y", "", "#s", "../g", "../../../g", "x:y"].map(|link| url::join("http://a/b/c/d?q#f", link))"##,
        r#"["http://a/b/c/g","http://a/b/c/g/","http://a/g","http://g","http://a/b/c/d?y","http://a/b/c/d?q","http://a/b/c/d?q#s","http://a/b/g","http://a/g","x:y"]"#,
    ),
    (
        "build_query(map) -> string",
        r#"url::build_query(#{b: 2, a: "x y&é", c: [true, 1.5, 'd', ()], e: (), f: []}) + url::build_query(#{})"#,
        "a=x+y%26%C3%A9&b=2&c=true&c=1.5&c=d",
    ),
    (
        "parse_query(text) -> map",
        r#"[url::parse_query("a=x+y%26&b=&a=2&c"), url::parse_query("?a=1"), url::parse_query("")]"#,
        r#"[{"a":"x y&","b":"","c":""},{"a":"1"},{}]"#,
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"url::decode("100%")"#, "invalid_encoding"),
    (r#"url::decode("%é")"#, "invalid_encoding"),
    (r#"url::decode("%+1")"#, "invalid_encoding"),
    (r#"url::decode("%ff")"#, "not_utf8"),
    (r#"url::parse("https://a b/")"#, "invalid_url"),
    (r#"url::parse("https://a\\@b/")"#, "invalid_url"),
    (r#"url::parse("https://bücher.example/")"#, "invalid_url"),
    (r#"url::parse("https://a:65536/")"#, "invalid_url"),
    (r#"url::parse("https://a:-1/")"#, "invalid_url"),
    (r#"url::parse("https://a/%zz")"#, "invalid_url"),
    (r#"url::join("/a", "b")"#, "invalid_url"),
    (r#"url::join("mailto:a", "b")"#, "invalid_url"),
    (r#"url::join("https://a/", "b c")"#, "invalid_url"),
    ("url::build_query(#{a: #{}})", "invalid_value"),
    ("url::build_query(#{a: [[1]]})", "invalid_value"),
    ("url::encode(1)", "invalid_argument"),
];

#[test]
fn what_is_wrong_is_shown() {
    for (call, message) in [
        (r#"parse("http://a b/")"#, r#""http://a b/" is no URL: ' ' at byte 8 cannot stand there"#),
        (r#"parse("http://a:99999")"#, r#""http://a:99999" is no URL: a port is at most 65535"#),
        (r#"join("b", "c")"#, r#""b" is no URL to start from: it has no scheme"#),
        (
            r#"decode("100%!")"#,
            "not percent-encoded: no two hexadecimal digits follow '%' at byte 3",
        ),
        ("build_query(#{a: blob(1)})", "\"a\": a blob cannot be in a query"),
    ] {
        assert_eq!(thrown(&format!("url::{call}")).message, message);
    }
}

#[test]
fn every_text_comes_back() {
    let script = r#"let t = "\x00\x1f %&=+?#/\\ é😀\n"; [url::decode(url::encode(t)) == t, url::parse_query(url::build_query(#{"a b": t}))["a b"] == t]"#;
    assert_eq!(get(script), "[true,true]");
}
