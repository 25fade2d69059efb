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
    ("files() -> array", "req.files()", "[]"),
    ("bytes() -> blob", "req.bytes().len", "21"),
];

pub const FAILURES: &[Failure] = &[];

/// A form as browsers send it.
fn upload(content_type: &str, body: &str) -> String {
    let mut post = request("POST");
    post.headers.push(("content-type".into(), content_type.into()));
    post.body = body.replace('\n', "\r\n").into_bytes();
    let script = "let files = req.files().map(|f| [f.name, f.filename, f.content_type, \
        f.bytes.as_string()]); [req.form(), files]";
    match send(&World::default(), script, &[], post) {
        Ok(response) => String::from_utf8(response.body).unwrap(),
        Err(error) => error.code.unwrap_or(error.message),
    }
}

const FORM: &str = "--x-1
Content-Disposition: form-data; name=\"title\"

A – b
--x-1
Content-Disposition: form-data; name=\"title\"

second
--x-1
Content-Disposition: form-data; name=\"photos\"; filename=\"../é \\\"1\\\".png\"
Content-Type: image/png

--x-
--x-1
content-disposition: form-data; name=\"photos\"; filename=\"\"


--x-1--
";

#[test]
fn a_form_with_files_has_fields_and_files() {
    assert_eq!(
        upload("Multipart/Form-Data; boundary=x-1", FORM),
        r#"[{"title":"A – b"},[["photos","../é \"1\".png","image/png","--x-"]]]"#
    );
    assert_eq!(upload("multipart/form-data; boundary=\"x-1\"", "--x-1--\n"), "[{},[]]");
}

#[test]
fn a_broken_form_is_an_invalid_body() {
    for (content_type, body) in [
        ("multipart/form-data", FORM),
        ("multipart/form-data; boundary=", FORM),
        ("multipart/form-data; boundary=other", FORM),
        ("multipart/form-data; boundary=x-1", ""),
        ("multipart/form-data; boundary=x-1", "--x-1\n"),
        ("multipart/form-data; boundary=x-1", "--x-1\nContent-Disposition: form-data; name=a\n\nb"),
        ("multipart/form-data; boundary=x-1", "--x-1\n\u{0}: b\n\nc\n--x-1--\n"),
    ] {
        assert_eq!(upload(content_type, body), "invalid_body", "{content_type} {body}");
    }
}

#[test]
fn the_first_of_two_equal_fields_counts_and_forms_are_decoded() {
    let mut post = request("POST");
    post.body = b"name=Ann+B&name=x&text=%C3%A9%26".to_vec();
    let response = send(&World::default(), "req.form()", &[], post).unwrap();
    assert_eq!(String::from_utf8(response.body).unwrap(), r#"{"name":"Ann B","text":"é&"}"#);
}
