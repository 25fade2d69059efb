use super::{Case, Failure};
use crate::fake::{get, thrown};

pub const CASES: &[Case] = &[
    (
        "encode(data) -> string",
        r#"[hex::encode("é"), hex::encode(blob(2, 171)), hex::encode("")]"#,
        r#"["c3a9","abab",""]"#,
    ),
    ("decode(text) -> blob", r#"hex::decode("C3a9").as_string() + hex::decode("").len"#, "é0"),
];

pub const FAILURES: &[Failure] = &[
    (r#"hex::decode("abc")"#, "invalid_hex"),
    (r#"hex::decode("0x12")"#, "invalid_hex"),
    (r#"hex::decode("é")"#, "invalid_hex"),
    ("hex::encode([1])", "invalid_argument"),
    ("hex::decode(blob(2))", "invalid_argument"),
];

#[test]
fn what_is_wrong_is_shown() {
    for (text, message) in [
        ("0x12", "not hexadecimal: 'x' at byte 1 is no digit"),
        ("1", "not hexadecimal: 1 digits are no whole number of bytes"),
    ] {
        assert_eq!(thrown(&format!("hex::decode(\"{text}\")")).message, message);
    }
}

#[test]
fn every_byte_comes_back() {
    let script =
        "let b = blob(256); for i in 0..256 { b[i] = i; } hex::decode(hex::encode(b)) == b";
    assert_eq!(get(script), "true");
}
