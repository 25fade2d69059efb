use super::{Case, Failure};
use crate::fake::{World, request, send};

pub const CASES: &[Case] = &[
    ("method -> string", "req.method", "GET"),
    ("path -> string", "req.path", "/a%20b"),
    ("host -> string", "req.host", "guestbook.example"),
    ("ip -> string", "req.ip", "192.0.2.1"),
    ("url -> string", "req.url", "https://guestbook.example/a%20b?name=Ann&name=Bob&x=1%2B1"),
    ("id -> string", "req.id", "execution-1"),
    ("params -> map", "[req.params.id, req.params.other]", r#"["ä b",null]"#),
    ("query -> map", "req.query", r#"{"name":"Ann","x":"1+1"}"#),
    ("cookies -> map", "[req.cookies.b, req.cookies.z]", r#"["two",null]"#),
    (
        "headers -> headers",
        r#"[req.headers.accept, req.headers["User-Agent"], req.headers.gone]"#,
        r#"["text/html, */*","test",null]"#,
    ),
    ("to_map() -> map", "req.headers.to_map().keys()", r#"["accept","cookie","user-agent"]"#),
    ("text() -> string", "req.text()", r#"{"a": [1, 2.0, null]}"#),
    ("json() -> value", "req.json().a", "[1,2.0,null]"),
    ("form() -> map", "req.form()", r#"{"{\"a\": [1, 2.0, null]}":""}"#),
    ("bytes() -> blob", "req.bytes().len", "21"),
];

pub const FAILURES: &[Failure] = &[];

#[test]
fn the_first_of_two_equal_fields_counts_and_forms_are_decoded() {
    let mut post = request("POST");
    post.body = b"name=Ann+B&name=x&text=%C3%A9%26".to_vec();
    let response = send(&World::default(), "req.form()", &[], post).unwrap();
    assert_eq!(String::from_utf8(response.body).unwrap(), r#"{"name":"Ann B","text":"é&"}"#);
}
