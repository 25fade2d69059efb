//! Where clients reach the server, when a reverse proxy is in front.

use std::str::FromStr;

use reqwest::Url;
use serde::Deserialize;

/// The control plane's address as clients have it. Apps have other hosts, and
/// the same scheme and port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// The control plane's host.
    #[must_use]
    pub fn host(&self) -> &str {
        // A URL of these schemes has one.
        self.0.host_str().unwrap_or_default()
    }

    /// The address of another host.
    #[must_use]
    pub fn at(&self, host: &str) -> String {
        let scheme = self.0.scheme();
        match self.0.port() {
            Some(port) => format!("{scheme}://{host}:{port}/"),
            None => format!("{scheme}://{host}/"),
        }
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).ok().filter(|url| {
            // Nothing but what is left of it: no user, no path, no query.
            let plain = format!("{}/", url.origin().ascii_serialization());
            matches!(url.scheme(), "http" | "https") && url.as_str() == plain
        });
        url.map(Self).ok_or_else(|| {
            "a public URL has a scheme, a host, perhaps a port, and no path: \
             https://picloud.example.org"
                .to_owned()
        })
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_have_the_scheme_and_the_port_of_the_control_plane() {
        let check = |text: &str, host, app: &str| {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.at("shop.example").as_str()), (host, app), "{text}");
        };
        check("https://picloud.example.org", "picloud.example.org", "https://shop.example/");
        check("https://PiCloud.example.org:443/", "picloud.example.org", "https://shop.example/");
        check("https://a.example:8443", "a.example", "https://shop.example:8443/");
        check("http://10.0.0.7:8080", "10.0.0.7", "http://shop.example:8080/");
        check("http://[::1]", "[::1]", "http://shop.example/");
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for bad in [
            "",
            "picloud.example.org",
            "ftp://a.example",
            "https://",
            "https://a.example/path",
            "https://a.example?query",
            "https://a.example/#fragment",
            "https://user@a.example",
            "data:text/plain,a",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }
}
