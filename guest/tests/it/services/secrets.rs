//! The app has one secret.

use super::{Case, Failure};

pub const CASES: &[Case] = &[(
    "get(name) -> string",
    r#"[secrets::get("KEY"), secrets::get("OTHER")]"#,
    r#"["k-123",null]"#,
)];

pub const FAILURES: &[Failure] = &[(r#"secrets::get("bad name")"#, "invalid_name")];
