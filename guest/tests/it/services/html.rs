use super::{Case, Failure};

pub const CASES: &[Case] = &[(
    "escape(value) -> string",
    r#"html::escape("<a href='x'>\"&é") + html::escape(1) + html::escape(()) + html::escape("plain")"#,
    "&lt;a href=&#39;x&#39;&gt;&quot;&amp;é1plain",
)];

pub const FAILURES: &[Failure] = &[("html::escape([])", "invalid_value")];
