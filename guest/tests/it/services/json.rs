use super::{Case, Failure};

pub const CASES: &[Case] = &[
    (
        "parse(text) -> value",
        r#"type_of(json::parse("1.0")) + type_of(json::parse("1"))"#,
        "f64i64",
    ),
    (
        "stringify(value) -> string",
        r#"json::stringify(#{b: [1, 1.0, true, 'c', ()], a: "x\n\"é"})"#,
        r#"{"a":"x\n\"é","b":[1,1.0,true,"c",null]}"#,
    ),
    (
        "stringify(value, #{pretty}) -> string",
        "json::stringify([1], #{pretty: true}) + json::stringify([1], #{pretty: false})",
        "[\n  1\n][1]",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"json::parse("{")"#, "invalid_json"),
    (r#"json::parse("1 2")"#, "invalid_json"),
    ("json::stringify(1.0 / 0.0)", "invalid_value"),
    ("json::stringify(blob(1))", "invalid_value"),
    ("json::stringify([|x| x])", "invalid_value"),
];
