//! What an app asks of a request before any of its handlers sees it, and what
//! is added to its answers: the manifest's `[ingress]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;

use crate::routes::{Method, Pattern, Routes, Segment};
use crate::secrets;

/// An app's ingress policy. The default one asks nothing and adds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingress {
    /// Which pages of other origins may read answers; `None` leaves that to the
    /// scripts.
    pub cors: Option<Cors>,
    /// The most specific first.
    pub rules: Vec<Rule>,
    /// Headers of answers that do not have them already, names in lower case.
    /// An empty value takes away the one that there is by default.
    pub headers: BTreeMap<String, String>,
}

/// `[ingress.cors]`: the answers to what browsers ask of other origins' pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    pub origins: Origins,
    pub methods: Vec<Method>,
    /// Headers that a request may have, in lower case.
    pub headers: Vec<String>,
    /// Headers of the answer that the page may read, in lower case.
    pub expose: Vec<String>,
    /// Whether the browser may send cookies and passwords along.
    pub credentials: bool,
    /// How long a browser may keep the answer.
    pub max_age_s: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    Any,
    /// As browsers write them: `https://example.org`, `http://localhost:5173`.
    These(Vec<String>),
}

/// `[[ingress.rules]]`: what is asked of requests for some of the app's paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub path: Pattern,
    /// Empty for every method.
    pub methods: Vec<Method>,
    pub auth: Option<Auth>,
    pub rate: Option<Rate>,
    /// Bytes of a body, where the app's limit is not lower.
    pub body_bytes: Option<u64>,
}

/// Who may come in. The secret holds one credential a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Everybody, also where a less specific rule says otherwise.
    None,
    /// A user with a password (RFC 7617); a line is `user:password`, or
    /// `user:$argon2id$…`.
    Basic(secrets::Name),
    /// Who has the token (RFC 6750); a line is a token.
    Token(secrets::Name),
}

/// So many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    pub requests: u32,
    pub per_s: u32,
    pub by: By,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Those of one client's address.
    #[default]
    Ip,
    /// All of the app's.
    App,
}

/// What the rules ask of one request: each thing as the most specific rule has
/// it that says anything about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms<'a> {
    /// Never [`Auth::None`].
    pub auth: Option<&'a Auth>,
    pub rate: Option<RateOf>,
    pub body_bytes: Option<u64>,
}

/// A rate, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateOf {
    pub rate: Rate,
    /// Tells this rule's requests from another's. The same rule has the same
    /// number in every release.
    pub rule: u64,
}

impl Ingress {
    /// What is asked of a request for a path, which is decoded.
    #[must_use]
    pub fn terms(&self, method: &str, path: &str) -> Terms<'_> {
        let mut terms = Terms::default();
        for rule in self.rules.iter().filter(|rule| rule.covers(method, path)) {
            terms.auth = terms.auth.or(rule.auth.as_ref());
            let rate = || Some(RateOf { rate: rule.rate?, rule: rule.number() });
            terms.rate = terms.rate.or_else(rate);
            terms.body_bytes = terms.body_bytes.or(rule.body_bytes);
        }
        terms.auth = terms.auth.filter(|auth| **auth != Auth::None);
        terms
    }

    /// The secrets that hold credentials.
    pub fn secrets(&self) -> impl Iterator<Item = &secrets::Name> {
        self.rules.iter().filter_map(|rule| rule.auth.as_ref()?.secret())
    }

    /// The policy as people read it, a line for each part of it.
    #[must_use]
    pub fn lines(&self) -> BTreeSet<String> {
        let cors = self.cors.iter().map(ToString::to_string);
        let rules = self.rules.iter().map(ToString::to_string);
        let headers = self.headers.iter().map(|(name, value)| match value.as_str() {
            "" => format!("no header {name}"),
            value => format!("header {name}: {value}"),
        });
        cors.chain(rules).chain(headers).collect()
    }
}

impl Auth {
    #[must_use]
    pub fn secret(&self) -> Option<&secrets::Name> {
        match self {
            Self::None => None,
            Self::Basic(secret) | Self::Token(secret) => Some(secret),
        }
    }
}

impl Rule {
    /// Whether the rule is about this request. Unlike in a route, `{*rest}`
    /// stands for nothing, too: a rule for `/admin/{*rest}` that left `/admin`
    /// open would hardly ever be meant.
    fn covers(&self, method: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|known| known.answers(method)))
            && covers_path(&self.path, path)
    }

    /// Whether any of these paths can be one that the rule is about.
    #[must_use]
    pub fn concerns(&self, routes: &Routes) -> bool {
        let mut patterns = routes.routes.iter().map(|route| &route.pattern);
        patterns.any(|pattern| overlap(&self.path, pattern))
            || routes.statics.keys().any(|path| covers_path(&self.path, path))
    }

    fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.path, &self.methods, &self.rate).hash(&mut hasher);
        hasher.finish()
    }

    /// Sorts a more specific rule before one that covers some of the same
    /// requests.
    pub(crate) fn specificity(&self) -> impl Ord + use<> {
        let rank = |segment| match segment {
            Segment::Text(_) => 0_u8,
            Segment::Parameter => 1,
            Segment::Rest => 2,
        };
        // Of two that begin alike the one that ends sooner comes first, as it
        // should: only `{*rest}` covers where another ends.
        (self.path.segments().map(rank).collect::<Vec<_>>(), self.methods.is_empty())
    }

    /// Whether two rules are equally specific and about the same requests.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let is_shared = |method: &Method| {
            other.methods.iter().any(|known| {
                known == method || known.answers(method.as_str()) || method.answers(known.as_str())
            })
        };
        let share_methods = match (self.methods.as_slice(), other.methods.as_slice()) {
            ([], []) => true,
            (these, _) => these.iter().any(is_shared),
        };
        share_methods && self.path.segments().eq(other.path.segments())
    }
}

/// Whether there is a path for which both stand.
fn overlap(one: &Pattern, other: &Pattern) -> bool {
    let (mut one, mut other) = (one.segments(), other.segments());
    loop {
        match (one.next(), other.next()) {
            (Some(Segment::Rest), _) | (_, Some(Segment::Rest)) | (None, None) => return true,
            (None, _) | (_, None) => return false,
            (Some(Segment::Text(one)), Some(Segment::Text(other))) if one != other => {
                return false;
            }
            _ => {}
        }
    }
}

fn covers_path(pattern: &Pattern, path: &str) -> bool {
    let mut given = path.split('/').skip(1).filter(|_| path != "/");
    for segment in pattern.segments() {
        let is_covered = match segment {
            Segment::Rest => return true,
            Segment::Parameter => given.next().is_some(),
            Segment::Text(text) => given.next() == Some(text),
        };
        if !is_covered {
            return false;
        }
    }
    given.next().is_none()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", joined(self.methods.iter().map(|method| method.as_str())))?;
        }
        let auth = self.auth.as_ref().map(|auth| match auth {
            Auth::None => "open to everybody".to_owned(),
            Auth::Basic(secret) => format!("password ({secret})"),
            Auth::Token(secret) => format!("token ({secret})"),
        });
        let rate = self.rate.map(|Rate { requests, per_s, by }| match by {
            By::Ip => format!("{requests} requests in {per_s} s from an address"),
            By::App => format!("{requests} requests in {per_s} s"),
        });
        let body = self.body_bytes.map(|bytes| format!("bodies of {bytes} bytes"));
        let asked: Vec<_> = auth.into_iter().chain(rate).chain(body).collect();
        write!(f, "{}: {}", self.path, asked.join(", "))
    }
}

impl fmt::Display for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origins {
            Origins::Any => f.write_str("pages of any origin")?,
            Origins::These(origins) => write!(f, "pages of {}", joined(origins))?,
        }
        write!(f, ": {}", joined(self.methods.iter().map(|method| method.as_str())))?;
        for (what, names) in [("with headers", &self.headers), ("reading", &self.expose)] {
            if !names.is_empty() {
                write!(f, ", {what} {}", joined(names))?;
            }
        }
        f.write_str(if self.credentials { ", with credentials" } else { "" })?;
        write!(f, ", kept {} s", self.max_age_s)
    }
}

fn joined<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> String {
    let texts: Vec<_> = texts.into_iter().collect();
    texts.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use crate::Manifest;

    use super::*;

    fn ingress(manifest: &str) -> Ingress {
        Manifest::parse(manifest).unwrap().ingress
    }

    /// The secret that a request has to know.
    fn asked(ingress: &Ingress, method: &str, path: &str) -> String {
        let auth = ingress.terms(method, path).auth;
        auth.map_or_else(|| "-".to_owned(), |auth| auth.secret().unwrap().to_string())
    }

    #[test]
    fn the_most_specific_rule_decides_wherever_it_stands() {
        let rules: String = [
            ("/{*rest}", "all"),
            ("/a/{*rest}", "a_rest"),
            ("/a/{b}", "a_b"),
            ("/a/b", "ab"),
            ("/{x}/b", "x_b"),
            ("/", "root"),
        ]
        .map(|(path, secret)| {
            format!("[[ingress.rules]]\npath = '{path}'\nauth = 'token'\nsecret = '{secret}'\n")
        })
        .concat();
        let ingress = ingress(&rules);
        for (path, expected) in [
            ("/", "root"),
            ("/a/b", "ab"),
            ("/a/c", "a_b"),
            ("/a/c/d", "a_rest"),
            ("/a", "a_rest"),
            ("/a/", "a_b"),
            ("/c/b", "x_b"),
            ("/c/d", "all"),
            ("/A/b", "x_b"),
            ("/ab", "all"),
        ] {
            assert_eq!(asked(&ingress, "GET", path), expected, "{path}");
        }
    }

    #[test]
    fn a_rule_that_is_silent_about_something_leaves_it_to_the_next() {
        let ingress = ingress(
            "[[ingress.rules]]\npath = '/{*rest}'\nauth = 'basic'\nsecret = 'S'\nbody_bytes = 9
[[ingress.rules]]\npath = '/login'\nrate = { requests = 1, per_s = 60 }
[[ingress.rules]]\npath = '/open/{*rest}'\nauth = 'none'
[[ingress.rules]]\npath = '/'\nmethods = ['POST', 'GET']\nauth = 'none'",
        );
        let login = ingress.terms("POST", "/login");
        assert_eq!(login.auth, Some(&Auth::Basic("S".parse().unwrap())));
        assert_eq!(login.rate.unwrap().rate, Rate { requests: 1, per_s: 60, by: By::Ip });
        assert_eq!(login.body_bytes, Some(9));
        for (method, path, expected) in [
            ("GET", "/open/x", "-"),
            ("GET", "/open", "-"),
            ("GET", "/opened", "S"),
            ("GET", "/", "-"),
            ("HEAD", "/", "-"),
            ("POST", "/", "-"),
            ("PUT", "/", "S"),
            ("get", "/", "S"),
        ] {
            assert_eq!(asked(&ingress, method, path), expected, "{method} {path}");
        }
        assert_eq!(ingress.terms("GET", "/open").body_bytes, Some(9));
    }

    #[test]
    fn a_rate_has_its_number_whatever_stands_around_it() {
        let one = "[[ingress.rules]]\npath = '/b'\nrate = { requests = 1, per_s = 60 }\n";
        let other = "[[ingress.rules]]\npath = '/a'\nrate = { requests = 1, per_s = 60 }\n";
        let number = |manifest: &str, path| ingress(manifest).terms("GET", path).rate.unwrap().rule;
        assert_eq!(number(one, "/b"), number(&format!("{other}{one}"), "/b"));
        assert_ne!(number(one, "/b"), number(other, "/a"));
        assert_ne!(number(one, "/b"), number(&one.replace("= 1", "= 2"), "/b"));
    }

    #[test]
    fn a_rule_that_is_about_nothing_is_noticed() {
        let files = ["a/index.rhai", "b/[id].rhai", "c/[...rest].rhai", "public/d/e.css"];
        let routes = Routes::of(&files.into(), &Manifest::default()).unwrap();
        for (path, expected) in [
            ("/{*rest}", true),
            ("/a", true),
            ("/a/{*rest}", true),
            ("/a/b", false),
            ("/{x}", true),
            ("/b", false),
            ("/b/7", true),
            ("/b/7/8", false),
            ("/c/7/8", true),
            ("/d/e.css", true),
            ("/d/{file}", true),
            ("/d", false),
            ("/public/{*rest}", false),
            ("/", false),
        ] {
            let manifest = format!("[[ingress.rules]]\npath = '{path}'\nauth = 'none'");
            assert_eq!(ingress(&manifest).rules[0].concerns(&routes), expected, "{path}");
        }
    }

    #[test]
    fn a_policy_is_read_as_lines() {
        let ingress = ingress(
            "[ingress.cors]\norigins = ['https://a.example']\nheaders = ['Content-Type']
credentials = true
[ingress.headers]\nX-Frame-Options = ''\ncontent-security-policy = \"default-src 'self'\"
[[ingress.rules]]\npath = '/x'\nmethods = ['PUT']\nauth = 'token'\nsecret = 'S'\nbody_bytes = 7
rate = { requests = 3, per_s = 60, by = 'app' }",
        );
        let lines: Vec<String> = ingress.lines().into_iter().collect();
        assert_eq!(
            lines,
            [
                "PUT /x: token (S), 3 requests in 60 s, bodies of 7 bytes",
                "header content-security-policy: default-src 'self'",
                "no header x-frame-options",
                "pages of https://a.example: GET, HEAD, POST, with headers content-type, \
                 with credentials, kept 600 s",
            ]
        );
    }
}
