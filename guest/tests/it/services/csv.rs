use super::{Case, Failure};
use crate::fake::get;

pub const CASES: &[Case] = &[
    (
        "parse(text) -> array",
        r#"csv::parse("a,b\n\"x, \"\"y\"\"\n\",é\r\n")"#,
        r#"[["a","b"],["x, \"y\"\n","é"]]"#,
    ),
    (
        "parse(text, #{header, delimiter, trim}) -> array",
        r#"csv::parse("n; name\n1; Ann \n", #{header: true, delimiter: ";", trim: true})"#,
        r#"[{"n":"1","name":"Ann"}]"#,
    ),
    (
        "stringify(rows) -> string",
        r#"csv::stringify([#{b: "x, y", a: 1}, #{a: (), c: 3}]) + csv::stringify([["q\"", true], []])"#,
        "a,b\n1,\"x, y\"\n,\n\"q\"\"\",true\n\"\"\n",
    ),
    (
        "stringify(rows, #{header, delimiter}) -> string",
        r#"csv::stringify([#{a: 1, b: 2}], #{header: ["b", "a"], delimiter: ";"}) + csv::stringify([[1]], #{header: ["n"]})"#,
        "b;a\n2;1\nn\n1\n",
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"csv::parse("a,b\nc")"#, "invalid_csv"),
    (r#"csv::parse("a", #{delimiter: ""})"#, "invalid_option"),
    (r#"csv::parse("a", #{delimiter: "é"})"#, "invalid_option"),
    (r#"csv::parse("a", #{delimiter: "\n"})"#, "invalid_option"),
    (r#"csv::parse("a", #{headers: true})"#, "unknown_option"),
    ("csv::stringify([1])", "invalid_value"),
    ("csv::stringify([[1], #{a: 1}])", "invalid_value"),
    ("csv::stringify([[[]]])", "invalid_value"),
];

#[test]
fn what_was_written_is_read_again() {
    let script = r#"let rows = [["a,b", "\"", "\n", ""], ["=1+1", " x ", "é", "1"]]; csv::parse(csv::stringify(rows)) == rows"#;
    assert_eq!(get(script), "true");
}
