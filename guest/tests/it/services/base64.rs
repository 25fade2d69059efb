use super::{Case, Failure};
use crate::fake::{get, thrown};

pub const CASES: &[Case] = &[
    // RFC 4648, chapter 10.
    (
        "encode(data) -> string",
        r#"["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|x| base64::encode(x))"#,
        r#"["","Zg==","Zm8=","Zm9v","Zm9vYg==","Zm9vYmE=","Zm9vYmFy"]"#,
    ),
    (
        "encode(data, #{url_safe}) -> string",
        "let b = blob(2, 255); [base64::encode(b, #{url_safe: true}), base64::encode(b, #{url_safe: false}), base64::encode(b, #{})]",
        r#"["__8","//8=","//8="]"#,
    ),
    (
        "decode(text) -> blob",
        r#"["//8=", "//8", "__8", "__8="].map(|x| hex::encode(base64::decode(x)))"#,
        r#"["ffff","ffff","ffff","ffff"]"#,
    ),
    (
        "decode_text(text) -> string",
        r#"base64::decode_text("w6kg8J+YgA") + base64::decode_text("")"#,
        "é 😀",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"base64::decode("a")"#, "invalid_base64"),
    (r#"base64::decode("Zg===")"#, "invalid_base64"),
    (r#"base64::decode("Zm9 v")"#, "invalid_base64"),
    (r#"base64::decode("é")"#, "invalid_base64"),
    (r#"base64::decode("+_8")"#, "invalid_base64"),
    (r#"base64::decode_text("//8=")"#, "not_utf8"),
    ("base64::encode(1)", "invalid_argument"),
    (r#"base64::encode("", #{urlsafe: true})"#, "unknown_option"),
    (r#"base64::encode("", #{url_safe: 1})"#, "invalid_option"),
];

#[test]
fn what_is_wrong_is_shown() {
    for (text, message) in [
        ("Zm9 v", "not base64: ' ' at byte 3 cannot stand there"),
        ("Zé", "not base64: 'é' at byte 1 cannot stand there"),
        ("Zm9vZ", "not base64: 5 characters are one too many or too few"),
        ("Zg===", "not base64: '=' at byte 2 cannot stand there"),
        ("Zh==", "not base64: 'h' at byte 1 cannot stand there"),
    ] {
        assert_eq!(thrown(&format!("base64::decode(\"{text}\")")).message, message);
    }
    assert_eq!(
        thrown("base64::encode(1.5)").message,
        "base64::encode takes a string or a blob as data, not float"
    );
}

#[test]
fn every_byte_comes_back() {
    let script = "let b = blob(256); for i in 0..256 { b[i] = i; } base64::decode(base64::encode(b)) == b && base64::decode(base64::encode(b, #{url_safe: true})) == b";
    assert_eq!(get(script), "true");
}
