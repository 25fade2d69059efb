//! Whom a request is for, by its host and nothing else.
//!
//! A host is accepted only in the one form that means it: everything unusual is
//! [`Target::Misdirected`], so that no two parties can read one host
//! differently.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use picloud_shared::{AppSlug, Domain, ReleaseNumber};

/// Bytes that a host name may have.
const MAX_HOST_BYTES: usize = 253;

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Dashboard and API.
    Control,
    App(AppSlug),
    /// `r12--guestbook.…`: release 12 of `guestbook`, active or not.
    Preview {
        app: AppSlug,
        release: ReleaseNumber,
    },
    /// The app whose own this domain is, if it is one's.
    Domain(Domain),
    /// Nobody here: answer 421.
    Misdirected,
}

/// The hosts that one listener answers for.
#[derive(Clone, Debug)]
pub struct Hosts {
    control: BTreeSet<String>,
    /// The one that people are sent to.
    main: String,
    /// The operator's first, `localhost` last.
    apps_domains: Vec<String>,
}

/// A configured host is not a host name or an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name")]
pub struct InvalidHost(String);

impl Hosts {
    /// Puts the operator's control hosts and apps domains beside the ones that
    /// are always there: `localhost`, `127.0.0.1` and `[::1]` for the control
    /// plane, `{app}.localhost` for the apps.
    ///
    /// # Errors
    /// [`InvalidHost`] for a configured host that no request could name.
    pub fn new<S: AsRef<str>>(control: &[S], apps_domains: &[S]) -> Result<Self, InvalidHost> {
        let read = |text: &str| match canonical(text) {
            Some((host, None)) => Ok(host),
            _ => Err(InvalidHost(text.to_owned())),
        };
        let defaults = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let main =
            control.first().map_or(Ok("localhost".to_owned()), |host| read(host.as_ref()))?;
        let mut hosts =
            Self { control: defaults.into_iter().collect(), main, apps_domains: Vec::new() };
        for host in control {
            hosts.control.insert(read(host.as_ref())?);
        }
        for domain in apps_domains {
            let domain = read(domain.as_ref())?;
            if is_address(&domain) {
                return Err(InvalidHost(domain));
            }
            hosts.apps_domains.push(domain);
        }
        hosts.apps_domains.push("localhost".to_owned());
        Ok(hosts)
    }

    /// Whom a request is for: `host_headers` are the values of all its `Host`
    /// headers, `authority` the one of its request target, if it has one.
    ///
    /// A request that names two different hosts, or a header twice, or none at
    /// all, is for nobody.
    #[must_use]
    pub fn target<'a>(
        &self,
        host_headers: impl IntoIterator<Item = &'a [u8]>,
        authority: Option<&str>,
    ) -> Target {
        let mut headers = host_headers.into_iter();
        let (header, second) = (headers.next(), headers.next());
        if second.is_some() {
            return Target::Misdirected;
        }
        let header = header.map(|bytes| std::str::from_utf8(bytes).ok().and_then(canonical));
        let authority = authority.map(canonical);
        match (header, authority) {
            (Some(Some(header)), Some(Some(authority))) if header == authority => {
                self.resolve(&header.0)
            }
            (Some(Some((host, _))), None) | (None, Some(Some((host, _)))) => self.resolve(&host),
            _ => Target::Misdirected,
        }
    }

    /// The control plane's host: the operator's first, or `localhost`.
    #[must_use]
    pub fn control(&self) -> &str {
        &self.main
    }

    /// The host at which an app answers.
    #[must_use]
    pub fn of_app(&self, app: &AppSlug) -> String {
        let domain = self.apps_domains.first().map_or("localhost", String::as_str);
        format!("{app}.{domain}")
    }

    /// The host at which one release of an app answers, active or not.
    #[must_use]
    pub fn of_preview(&self, app: &AppSlug, release: ReleaseNumber) -> String {
        format!("r{release}--{}", self.of_app(app))
    }

    /// Names that are the operator's: neither they nor any name below them can
    /// be a domain of an app's own.
    pub fn reserved(&self) -> impl Iterator<Item = &str> {
        self.control.iter().chain(&self.apps_domains).map(String::as_str)
    }

    fn resolve(&self, host: &str) -> Target {
        if self.control.contains(host) {
            return Target::Control;
        }
        self.apps_domains
            .iter()
            .filter_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'))
            .find_map(app_target)
            .or_else(|| self.domain(host).map(Target::Domain))
            .unwrap_or(Target::Misdirected)
    }

    fn domain(&self, host: &str) -> Option<Domain> {
        let domain: Domain = host.parse().ok()?;
        (!self.reserved().any(|name| domain.is_within(name))).then_some(domain)
    }
}

/// `guestbook` or `r12--guestbook`.
fn app_target(label: &str) -> Option<Target> {
    let Some((release, app)) = label.split_once("--") else {
        return label.parse().ok().map(Target::App);
    };
    let number = release.strip_prefix('r')?;
    if number.starts_with('0') || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let release = ReleaseNumber(number.parse().ok()?);
    Some(Target::Preview { app: app.parse().ok()?, release })
}

/// A host in its one form (lower case, no dot at its end, addresses as they
/// are usually written) with its port; `None` if it is not a host.
fn canonical(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if text.starts_with('[') {
        let (host, rest) = text.split_once(']')?;
        let address: Ipv6Addr = host.strip_prefix('[')?.parse().ok()?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if host.len() > MAX_HOST_BYTES || !host.split('.').all(is_label) {
            return None;
        }
        (host, port)
    };
    match port {
        None => Some((host, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        Some(_) => None,
    }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&["Admin.Example.org", "10.0.0.7"], &["apps.example.org"]).unwrap()
    }

    fn app(slug: &str) -> Target {
        Target::App(slug.parse().unwrap())
    }

    fn domain(name: &str) -> Target {
        Target::Domain(name.parse().unwrap())
    }

    fn preview(slug: &str, release: i64) -> Target {
        Target::Preview { app: slug.parse().unwrap(), release: ReleaseNumber(release) }
    }

    #[test]
    fn a_host_has_one_meaning() {
        use Target::{Control, Misdirected};
        let cases = [
            // The control plane.
            ("localhost", Control),
            ("localhost:8080", Control),
            ("LOCALHOST", Control),
            ("localhost.", Control),
            ("127.0.0.1:1", Control),
            ("[::1]", Control),
            ("[::1]:8080", Control),
            ("[0:0:0:0:0:0:0:1]:8080", Control),
            ("admin.example.org", Control),
            ("10.0.0.7:65535", Control),
            // Apps.
            ("guestbook.localhost", app("guestbook")),
            ("guestbook.localhost:8080", app("guestbook")),
            ("GuestBook.LocalHost.", app("guestbook")),
            ("guestbook.localhost.:80", app("guestbook")),
            ("guestbook.apps.example.org", app("guestbook")),
            ("r12--guestbook.localhost", preview("guestbook", 12)),
            ("R1--guestbook.apps.example.org:443", preview("guestbook", 1)),
            // Previews that are none.
            ("r0--guestbook.localhost", Misdirected),
            ("r01--guestbook.localhost", Misdirected),
            ("r--guestbook.localhost", Misdirected),
            ("r+1--guestbook.localhost", Misdirected),
            ("r1--.localhost", Misdirected),
            ("r1--r2--guestbook.localhost", Misdirected),
            ("r99999999999999999999--guestbook.localhost", Misdirected),
            ("x1--guestbook.localhost", Misdirected),
            // Domains that may be apps' own.
            ("example.org", domain("example.org")),
            ("Shop.Example.ORG.:443", domain("shop.example.org")),
            ("guestbook.localhost.evil.org", domain("guestbook.localhost.evil.org")),
            ("xn--bcher-kva.example", domain("xn--bcher-kva.example")),
            ("r12--shop.example", domain("r12--shop.example")),
            // Names below the operator's that are no app's.
            ("apps.example.org", Misdirected),
            ("a.admin.example.org", Misdirected),
            ("a.b.apps.example.org", Misdirected),
            // Hosts of nobody.
            ("guestbook", Misdirected),
            ("xn--a.example", Misdirected),
            ("a.guestbook.localhost", Misdirected),
            ("guestbooklocalhost", Misdirected),
            ("evil.org.guestbook.localhost", Misdirected),
            ("xn--bcher-kva.localhost", Misdirected),
            ("127.0.0.2", Misdirected),
            ("127.1", Misdirected),
            ("0x7f.0.0.1", Misdirected),
            ("2130706433", Misdirected),
            ("127.0.0.1.localhost", Misdirected),
            ("[::ffff:127.0.0.1]", Misdirected),
            // What is no host at all.
            ("", Misdirected),
            (".", Misdirected),
            (":80", Misdirected),
            ("localhost..", Misdirected),
            (".localhost", Misdirected),
            ("a..localhost", Misdirected),
            ("localhost:", Misdirected),
            ("localhost:65536", Misdirected),
            ("localhost:+80", Misdirected),
            ("localhost:80:80", Misdirected),
            ("localhost:80 ", Misdirected),
            (" localhost", Misdirected),
            ("local host", Misdirected),
            ("user@localhost", Misdirected),
            ("user:1@localhost", Misdirected),
            ("localhost/", Misdirected),
            ("localhost#", Misdirected),
            ("localhost,guestbook.localhost", Misdirected),
            ("localhost\0", Misdirected),
            ("guestbook.localhost\u{3002}", Misdirected),
            ("gästebuch.localhost", Misdirected),
            ("ｌocalhost", Misdirected),
            ("guest%62ook.localhost", Misdirected),
            ("guest_book.localhost", Misdirected),
            ("[::1", Misdirected),
            ("[::1]8080", Misdirected),
            ("[localhost]", Misdirected),
            ("::1", Misdirected),
            ("[::1%25lo]", Misdirected),
        ];
        for (host, expected) in cases {
            assert_eq!(hosts().target([host.as_bytes()], None), expected, "{host:?}");
        }
        let long = format!("{}localhost", "a.".repeat(200));
        assert_eq!(hosts().target([long.as_bytes()], None), Misdirected);
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let check = |headers: &[&str], authority: Option<&str>, expected: Target| {
            let headers = headers.iter().map(|header| header.as_bytes());
            assert_eq!(hosts().target(headers, authority), expected);
        };
        check(&["ab.localhost"], Some("AB.localhost."), app("ab"));
        check(&[], Some("ab.localhost:80"), app("ab"));
        check(&[], None, Target::Misdirected);
        check(&["ab.localhost", "ab.localhost"], None, Target::Misdirected);
        check(&["ab.localhost", "cd.localhost"], Some("ab.localhost"), Target::Misdirected);
        check(&["ab.localhost"], Some("cd.localhost"), Target::Misdirected);
        check(&["ab.localhost:1"], Some("ab.localhost:2"), Target::Misdirected);
        check(&["ab.localhost"], Some("user@ab.localhost"), Target::Misdirected);
        assert_eq!(hosts().target([&b"ab.localhost\xff"[..]], None), Target::Misdirected);
    }

    #[test]
    fn an_app_is_announced_under_the_operators_domain() {
        let slug: AppSlug = "ab".parse().unwrap();
        assert_eq!(hosts().of_app(&slug), "ab.apps.example.org");
        assert_eq!(Hosts::new::<&str>(&[], &[]).unwrap().of_app(&slug), "ab.localhost");
    }

    #[test]
    fn a_configured_host_must_be_one() {
        for bad in ["", "a b", "https://example.org", "example.org:80"] {
            assert_eq!(Hosts::new(&[bad], &[]).unwrap_err(), InvalidHost(bad.to_owned()));
        }
        for bad in ["127.0.0.1", "[::1]"] {
            assert!(Hosts::new(&[], &[bad]).is_err(), "{bad}");
        }
    }
}
