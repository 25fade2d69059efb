use super::{Case, Failure};
use crate::fake::{get, thrown};

pub const CASES: &[Case] = &[
    (
        "is_match(pattern, text) -> bool",
        r##"[regex::is_match("b+", "abc"), regex::is_match("^b+$", "abc"), regex::is_match(#"\d"#, "1")]"##,
        "[true,false,true]",
    ),
    (
        "find(pattern, text) -> map",
        r#"let t = "äöü 12 34"; let m = regex::find(`\d+`, t); [m, t.sub_string(m.start, m.end - m.start), regex::find("x", t)]"#,
        r#"[{"end":6,"start":4,"text":"12"},"12",null]"#,
    ),
    (
        "find_all(pattern, text) -> array",
        r#"[regex::find_all(`\d+`, "1 b 22"), regex::find_all("x", "abc"), regex::find_all("x*", "éx")]"#,
        r#"[["1","22"],[],["","x"]]"#,
    ),
    (
        "captures(pattern, text) -> map",
        r#"[regex::captures(`(?<year>\d{4})-(\d\d)(x)?`, "on 2024-05"), regex::captures("(x)", "abc")]"#,
        r#"[{"0":"2024-05","1":"2024","2":"05","3":null,"year":"2024"},null]"#,
    ),
    (
        "replace(pattern, text, with) -> string",
        r#"regex::replace(`(?<a>\w)(\d)`, "a1 b2", "${2}x$a$$$9") + regex::replace("x", "é", "y")"#,
        "1xa$ 2xb$é",
    ),
    (
        "split(pattern, text) -> array",
        r#"[regex::split(`\s*,\s*`, "a , b,,c"), regex::split(",", "")]"#,
        r#"[["a","b","","c"],[""]]"#,
    ),
];

pub const FAILURES: &[Failure] = &[
    (r#"regex::is_match("(", "")"#, "invalid_pattern"),
    (r#"regex::find("a{2,1}", "")"#, "invalid_pattern"),
    (r#"regex::find_all("[z-a]", "")"#, "invalid_pattern"),
    (r#"regex::captures("(?=a)", "")"#, "invalid_pattern"),
    (r#"regex::replace(`(a)\1`, "", "")"#, "invalid_pattern"),
    (r#"regex::split(`\p{L}`, "")"#, "invalid_pattern"),
    (r#"regex::is_match("a", 1)"#, "invalid_argument"),
];

#[test]
fn hostile_patterns_are_refused() {
    for pattern in [
        "\"a{1000}{1000}{1000}\"",
        "\"(?:){4294967295}\"",
        "\"(a|b|c|d){99999}\"",
        "let p = \"\"; p.pad(20000, 'a'); p",
        "let p = \"\"; p.pad(16000, '('); p",
        "let p = \"\"; p.pad(16000, '*'); \"a\" + p",
        "let p = \"\"; for i in 0..51 { p += \"()\"; } p",
    ] {
        let error = thrown(&format!("let pattern = {{ {pattern} }}; regex::find(pattern, \"a\")"));
        assert_eq!(error.code.as_deref(), Some("invalid_pattern"), "{pattern}");
        assert!(error.message.len() < 250, "{}", error.message);
    }
    let most = "let p = \"\"; for i in 0..50 { p += \"()\"; } regex::captures(p, \"\").len()";
    assert_eq!(get(most), "51");
}

#[test]
fn what_is_wrong_is_shown() {
    assert_eq!(
        thrown("regex::find(\"(a\", \"\")").message,
        "\"(a\" is no pattern: found open group without closing ')'"
    );
}

#[test]
fn a_search_is_linear() {
    // Backtracking, it would take longer than there is time.
    let script = "let t = \"\"; t.pad(50_000, 'a'); regex::is_match(\"^(a+)+(a|aa)*b$\", t)";
    assert_eq!(get(script), "false");
}

#[test]
fn more_patterns_than_are_kept_work_as_well() {
    let script = "let n = 0; for round in 0..2 { for i in 0..200 { if regex::is_match(`^${i}$`, `${i}`) { n += 1; } } } n";
    assert_eq!(get(script), "400");
}
