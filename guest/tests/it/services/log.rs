//! The answer is the log.

use super::{Case, Failure};
use crate::fake::{World, get_with};

pub const CASES: &[Case] = &[
    ("debug(message)", r#"log::debug("m")"#, "debug m"),
    ("debug(message, fields)", r#"log::debug("m", #{a: 1})"#, r#"debug m {"a":1}"#),
    ("info(message)", "log::info([1, ()])", "info [1, ()]"),
    ("info(message, fields)", r#"log::info("", #{})"#, "info  {}"),
    ("warn(message)", r#"log::warn("é")"#, "warn é"),
    ("warn(message, fields)", r#"log::warn("m", #{a: [1.5]})"#, r#"warn m {"a":[1.5]}"#),
    ("error(message)", r"log::error(1)", "error 1"),
    ("error(message, fields)", r#"log::error("m", #{a: "b"})"#, r#"error m {"a":"b"}"#),
];

pub const FAILURES: &[Failure] = &[("log::info(\"m\", #{f: |x| x})", "invalid_value")];

#[test]
fn prints_go_to_the_log() {
    let world = World::default();
    get_with(&world, "print(42); debug(\"x\");");
    assert_eq!(world.log(), ["info 42", "debug \"x\""]);
}
