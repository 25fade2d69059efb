use super::{Case, Failure};

pub const CASES: &[Case] = &[
    (
        "escape(value) -> string",
        r#"html::escape("<a href='x'>\"&é") + html::escape(1) + html::escape(()) + html::escape("plain")"#,
        "&lt;a href=&#39;x&#39;&gt;&quot;&amp;é1plain",
    ),
    (
        "unescape(text) -> string",
        r#"html::unescape("&lt;a&gt; &amp;amp; &quot;&apos;&#39;&#x27;&#X1F600; é&nbsp;")"#,
        "<a> &amp; \"'''😀 é\u{a0}",
    ),
    // What is no entity stays.
    (
        "unescape(text) -> string",
        r#"html::unescape("a & b && &; &#; &#x; &#+9; &#-1; &#xD800; &#x110000; &#0; &é; &nope; &lt &amp")"#,
        "a & b && &; &#; &#x; &#+9; &#-1; &#xD800; &#x110000; &#0; &é; &nope; &lt &amp",
    ),
    (
        "unescape(text) -> string",
        r#"let t = "<i title='x'>\"&amp;\"</i>"; html::unescape(html::escape(t)) == t"#,
        "true",
    ),
];

pub const FAILURES: &[Failure] =
    &[("html::escape([])", "invalid_value"), ("html::unescape(1)", "invalid_argument")];
