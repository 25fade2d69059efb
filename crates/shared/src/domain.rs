//! Domains of apps' own, beside the ones that an instance gives them.
//!
//! Whoever wants one claims it and is given a [`Token`] to put into the domain
//! name system. Any number of apps may claim a domain; the first whose token
//! is found there has proved that it is theirs, and answers at it.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use crate::{AppId, AppSlug, StoreError};

/// Domains that an app may claim.
pub const MAX_DOMAINS: usize = 50;
/// What is put before a domain to name the record that proves who owns it.
const RECORD_LABEL: &str = "_picloud.";
/// What is put before the token in that record.
const RECORD_VALUE: &str = "picloud-verify=";
/// A name in the domain name system has 253 bytes; the record's is one, too.
const MAX_BYTES: usize = 253 - RECORD_LABEL.len();

/// A domain in the one form that means it: lower case, international labels as
/// `xn--…`, two labels or more, no dot at its end, and not an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this name or one below it.
    #[must_use]
    pub fn is_within(&self, name: &str) -> bool {
        let above = self.0.strip_suffix(name);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    /// The name of the TXT record that proves who owns it.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("{RECORD_LABEL}{}", self.0)
    }
}

impl FromStr for Domain {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, InvalidDomain> {
        let name = text.strip_suffix('.').unwrap_or(text);
        // Strict: nothing but letters, digits and hyphens is left of it, no
        // label is empty or too long, and what is encoded decodes to itself.
        let name = idna::domain_to_ascii_strict(name).map_err(|_| InvalidDomain)?;
        let last = name.rsplit_once('.').ok_or(InvalidDomain)?.1;
        // `127.1` and `0x7f.1` are ways to write an address, and no top-level
        // domain begins with a digit.
        if name.len() > MAX_BYTES || last.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(InvalidDomain);
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no domain that an app could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a domain is written as in shop.example.org: labels of letters, digits and hyphens with dots \
     between them, {MAX_BYTES} bytes in all, and no address"
)]
pub struct InvalidDomain;

/// What only the app that claims a domain is told, so that whoever publishes it
/// under the domain means that app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(hex::encode(random))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of the TXT record that proves who owns the domain.
    #[must_use]
    pub fn record_value(&self) -> String {
        format!("{RECORD_VALUE}{}", self.0)
    }
}

impl FromStr for Token {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self::new(bytes))
    }
}

/// An app's claim to a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub domain: Domain,
    pub token: Token,
    /// Unix time in milliseconds, as is `verified_at_ms`.
    pub created_at_ms: u64,
    /// When it was proved; until then the domain is not the app's.
    pub verified_at_ms: Option<u64>,
}

/// Where claims are kept.
#[async_trait]
pub trait DomainStore: Send + Sync {
    /// Keeps the app's claim with this token, unless it has one to the domain
    /// already, and returns the one that it has.
    ///
    /// # Errors
    /// [`StoreError::QuotaExceeded`] if it would be one over [`MAX_DOMAINS`];
    /// [`StoreError::Conflict`] if the app is gone.
    async fn claim(
        &self,
        app: AppId,
        domain: &Domain,
        token: &Token,
        now_ms: u64,
    ) -> Result<Claim, StoreError>;

    async fn find(&self, app: AppId, domain: &Domain) -> Result<Option<Claim>, StoreError>;

    /// The app's claims in the order of their domains.
    async fn list(&self, app: AppId) -> Result<Vec<Claim>, StoreError>;

    /// Makes the domain the app's; `None` if it has no claim to it. A domain
    /// that is the app's already stays so since when it was.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the domain is another app's.
    async fn verify(
        &self,
        app: AppId,
        domain: &Domain,
        now_ms: u64,
    ) -> Result<Option<Claim>, StoreError>;

    /// Whether there was a claim to give up.
    async fn remove(&self, app: AppId, domain: &Domain) -> Result<bool, StoreError>;

    /// Every domain that is an app's, of all apps, with the app.
    async fn verified(&self) -> Result<Vec<(Domain, AppSlug)>, StoreError>;
}

/// Who asks the domain name system.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The texts of the TXT records of this name; none if there is no such name.
    async fn texts(&self, name: &str) -> Result<Vec<String>, ResolverError>;
}

/// The domain name system did not answer, or not with an answer.
#[derive(Debug, thiserror::Error)]
#[error("the domain name system does not answer")]
pub struct ResolverError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_form() {
        let longest = format!("{}example.org", "a.".repeat((MAX_BYTES - 11) / 2));
        for (text, expected) in [
            ("example.org", "example.org"),
            ("WWW.Example.ORG.", "www.example.org"),
            ("a-b.c1.example", "a-b.c1.example"),
            ("1.example", "1.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("ｗｗｗ.example\u{3002}org", "www.example.org"),
            (&longest, &longest),
        ] {
            let domain: Domain = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(domain.as_str(), expected, "{text}");
            assert_eq!(expected.parse::<Domain>().unwrap(), domain, "its form is its own form");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for bad in [
            "",
            ".",
            "localhost",
            "org",
            ".example.org",
            "example..org",
            "example.org..",
            "-a.example",
            "a-.example",
            "a_b.example",
            "*.example.org",
            "a b.example",
            "example.org:443",
            "https://example.org",
            "example.org/path",
            "user@example.org",
            "a\0.example",
            "a\n.example",
            "a%2e.example",
            "127.0.0.1",
            "127.1",
            "0x7f.0x1",
            "1.2.3.4.",
            "[::1]",
            "::1",
            "xn--a.example",
            "xn--.example",
            "r12--shop.example\u{200b}.org\u{202e}",
            &format!("{}.example", "a".repeat(64)),
            &format!("{}.example", "a.".repeat(130)),
        ] {
            assert_eq!(bad.parse::<Domain>(), Err(InvalidDomain), "{bad:?}");
        }
    }

    #[test]
    fn a_domain_is_within_itself_and_what_it_is_below() {
        let domain: Domain = "shop.example.org".parse().unwrap();
        for (name, expected) in [
            ("shop.example.org", true),
            ("example.org", true),
            ("org", true),
            ("hop.example.org", false),
            ("a.shop.example.org", false),
            ("example.com", false),
        ] {
            assert_eq!(domain.is_within(name), expected, "{name}");
        }
    }

    #[test]
    fn a_token_is_published_as_it_is_kept() {
        let token = Token::new([0xab; 16]);
        assert_eq!(token.record_value(), format!("picloud-verify={}", "ab".repeat(16)));
        assert_eq!(token.as_str().parse::<Token>().unwrap(), token);
        for bad in ["", "ab", &"x".repeat(32), &"ab".repeat(17)] {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
    }
}
