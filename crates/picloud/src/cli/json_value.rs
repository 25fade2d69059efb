//! JSON on the command line.

use std::io::Read as _;

use anyhow::Context as _;
use serde_json::Value;

use super::output::Usage;
use super::text;

/// Reads an argument that is JSON, or stdin if it is `-`. `noun` names it.
pub(super) fn parse(noun: &str, text: &str) -> anyhow::Result<Value> {
    if text == "-" {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input).context("cannot read stdin")?;
        return serde_json::from_str(&input).context("stdin is not JSON");
    }
    serde_json::from_str(text).map_err(|error| {
        let quoted = Value::from(text).to_string().replace('\'', "'\\''");
        let message = format!(
            "the {noun} is not JSON: {error}\n  a text needs quotes of its own, within those of the shell: '{quoted}'"
        );
        Usage(message).into()
    })
}

/// On several lines, harmless.
pub(super) fn pretty(value: &Value) -> String {
    // Values are made of what JSON can say, so this does not fail.
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    text::harmless(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_and_a_text_is_told_so() {
        assert_eq!(parse("value", "{\"a\": [1]}").unwrap(), json!({ "a": [1] }));
        assert_eq!(parse("value", "-1").unwrap(), json!(-1));
        let error = parse("value", "it's \"me\"").unwrap_err().to_string();
        assert!(error.contains(r#"'"it'\''s \"me\""'"#), "{error}");
    }
}
