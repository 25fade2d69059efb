//! Which hosts an app may call: the patterns of `[egress] allow` and of the
//! operator's `--egress-allow`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// `api.example.org`, `*.example.org`, `api.example.org:8443` or `*`.
///
/// Without a port it means the scheme's own, 80 or 443. `*.example.org` means
/// every host below `example.org`, not that host itself; `*` means any host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Any,
    Exactly(String),
    /// With its leading dot.
    Below(String),
}

/// The text is no pattern of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is written api.example.org, *.example.org, api.example.org:8443, or * for any")]
pub struct InvalidHostPattern;

impl HostPattern {
    /// Whether it allows `host`, in lower case as URLs have it, at `port`.
    /// `is_default_port` says whether that is the one of the URL's scheme.
    #[must_use]
    pub fn allows(&self, host: &str, port: u16, is_default_port: bool) -> bool {
        let port_is_allowed = self.port.map_or(is_default_port, |allowed| allowed == port);
        port_is_allowed
            && match &self.host {
                Host::Any => true,
                Host::Exactly(name) => name == host,
                Host::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| InvalidHostPattern)?)),
            None => (text, None),
        };
        let is_host = |name: &str| {
            name.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
        };
        let lower = name.to_ascii_lowercase();
        let host = match lower.strip_prefix('*') {
            Some("") => Host::Any,
            Some(suffix) if suffix.strip_prefix('.').is_some_and(is_host) => {
                Host::Below(suffix.to_owned())
            }
            None if is_host(&lower) => Host::Exactly(lower),
            _ => return Err(InvalidHostPattern),
        };
        Ok(Self { host, port })
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHostPattern;

    fn try_from(text: String) -> Result<Self, InvalidHostPattern> {
        text.parse()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => f.write_str("*")?,
            Host::Exactly(name) => f.write_str(name)?,
            Host::Below(suffix) => write!(f, "*{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_allows_what_it_says_and_nothing_beside() {
        let check = |pattern: &str, host, port| {
            let is_default = port == 443 || port == 80;
            pattern.parse::<HostPattern>().unwrap().allows(host, port, is_default)
        };
        assert!(check("api.example.org", "api.example.org", 443));
        assert!(check("API.example.org", "api.example.org", 80));
        assert!(check("*.example.org", "a.b.example.org", 443));
        assert!(check("api.example.org:8443", "api.example.org", 8443));
        assert!(check("127.0.0.1:9000", "127.0.0.1", 9000));
        assert!(check("*", "anything.example", 443));
        assert!(check("*:25", "anything.example", 25));

        assert!(!check("api.example.org", "api.example.org", 8443));
        assert!(!check("api.example.org:8443", "api.example.org", 443));
        assert!(!check("api.example.org", "xapi.example.org", 443));
        assert!(!check("api.example.org", "api.example.org.evil.example", 443));
        assert!(!check("*.example.org", "example.org", 443));
        assert!(!check("*.example.org", "evilexample.org", 443));
        assert!(!check("*.example.org", ".example.org", 443));
        assert!(!check("*", "anything.example", 22));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["a", "*", "*.a.b", "a-b.c:1", "a.b:65535"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "https://a.b",
            "a.b/",
            "a..b",
            ".a",
            "a.",
            "*a.b",
            "*.*.a",
            "a:",
            "a:x",
            "a:65536",
            "a b",
            "[::1]",
            "a.b:1:2",
            "é.example",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
