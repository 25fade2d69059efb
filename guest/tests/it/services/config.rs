//! The manifest has one setting.

use super::{Case, Failure};

pub const CASES: &[Case] = &[
    (
        "get(name) -> value",
        r#"[config::get("GREETING").text, config::get("OTHER")]"#,
        r#"["hello",null]"#,
    ),
    (
        "get(name, default) -> value",
        r#"[config::get("GREETING", 1).text, config::get("OTHER", 1)]"#,
        r#"["hello",1]"#,
    ),
];

pub const FAILURES: &[Failure] = &[];
