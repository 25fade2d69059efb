//! What follows from the seed is checked by its shape.

use super::{Case, Failure};
use crate::fake::get;

pub const CASES: &[Case] = &[
    (
        "uuid() -> string",
        "let u = random::uuid(); [u.len, u[8], u[14], u[19] in \"89ab\", u == random::uuid()]",
        r#"[36,"-","4",true,false]"#,
    ),
    (
        "int(lo, hi) -> int",
        "let seen = #{}; for i in 0..200 { seen[`${random::int(-1, 2)}`] = true } [seen.keys(), random::int(5, 5)]",
        r#"[["-1","0","1","2"],5]"#,
    ),
    (
        "float() -> float",
        "let ok = true; let sum = 0.0; for i in 0..200 { let f = random::float(); ok = ok && f >= 0.0 && f < 1.0; sum += f; } [ok, sum > 70.0 && sum < 130.0]",
        "[true,true]",
    ),
    (
        "bytes(n) -> blob",
        "[random::bytes(16).len, random::bytes(0).len, random::bytes(16) == random::bytes(16)]",
        "[16,0,false]",
    ),
    (
        "token(n) -> string",
        "let t = random::token(1000); let ok = true; for c in t { ok = ok && c in \"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_\" } [t.len, ok, random::token(22) == random::token(22)]",
        "[1000,true,false]",
    ),
    (
        "choice(array) -> value",
        "let seen = #{}; for i in 0..100 { seen[random::choice([\"a\", \"b\"])] = 1 } [seen.len(), random::choice([7])]",
        "[2,7]",
    ),
    (
        "shuffle(array) -> array",
        "let a = []; for i in 0..50 { a.push(i) } let b = random::shuffle(a); let same = a == b; b.sort(); [same, a == b, random::shuffle([])]",
        "[false,true,[]]",
    ),
];

pub const FAILURES: &[Failure] = &[
    ("random::int(2, 1)", "invalid_range"),
    ("random::bytes(-1)", "invalid_length"),
    ("random::bytes(65537)", "invalid_length"),
    ("random::token(9223372036854775807)", "invalid_length"),
    ("random::choice([])", "empty"),
];

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
