//! Where traces are sent.

use std::str::FromStr;

use reqwest::Url;
use serde::Deserialize;

/// A collector's address, to which OpenTelemetry's paths are added.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OtlpEndpoint(Url);

impl OtlpEndpoint {
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Where traces go.
    #[must_use]
    pub fn of_traces(&self) -> String {
        format!("{}/v1/traces", self.0.as_str().trim_end_matches('/'))
    }
}

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).ok().filter(|url| {
            let is_plain = url.query().is_none() && url.fragment().is_none();
            matches!(url.scheme(), "http" | "https") && is_plain
        });
        url.map(Self).ok_or_else(|| {
            "an OTLP endpoint has a scheme, a host, perhaps a port and a path: \
             http://localhost:4318"
                .to_owned()
        })
    }
}

impl TryFrom<String> for OtlpEndpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_have_a_path_of_their_own_under_the_endpoint() {
        for (text, traces) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("https://otlp.example.org/", "https://otlp.example.org/v1/traces"),
            ("https://example.org/otlp", "https://example.org/otlp/v1/traces"),
        ] {
            assert_eq!(text.parse::<OtlpEndpoint>().unwrap().of_traces(), traces);
        }
        for bad in ["", "localhost:4318", "grpc://localhost", "http://localhost/?a=b"] {
            assert!(bad.parse::<OtlpEndpoint>().is_err(), "{bad}");
        }
    }
}
