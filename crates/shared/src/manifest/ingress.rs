//! `[ingress]` as TOML has it, and what may stand there.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{Source, parsed};
use crate::ScriptError;
use crate::event::{check_header, is_header_name};
use crate::ingress::{Auth, By, Cors, Ingress, Origins, Rate, Rule};
use crate::routes::{Method, Pattern};

/// Rules that an app may have: each request is compared with all of them.
const MAX_RULES: usize = 100;
/// Origins that an app may name, and headers that it may add.
const MAX_NAMES: usize = 50;
/// Bytes that a header's value may have.
const MAX_VALUE_BYTES: usize = 4 * 1024;
const MAX_REQUESTS: u32 = 1_000_000;
const DAY_S: u32 = 24 * 3600;
/// How long browsers keep the answer to a question about origins if nothing is said.
const MAX_AGE_S: u32 = 600;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIngress {
    cors: Option<RawCors>,
    rules: Vec<Spanned<RawRule>>,
    headers: BTreeMap<String, Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCors {
    origins: Spanned<Vec<Spanned<String>>>,
    #[serde(default = "methods_without_asking")]
    methods: Vec<Method>,
    #[serde(default)]
    headers: Vec<Spanned<String>>,
    #[serde(default)]
    expose: Vec<Spanned<String>>,
    #[serde(default)]
    credentials: bool,
    max_age_s: Option<Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    path: Spanned<Pattern>,
    #[serde(default)]
    methods: Vec<Method>,
    auth: Option<Spanned<RawAuth>>,
    secret: Option<Spanned<String>>,
    rate: Option<RawRate>,
    body_bytes: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAuth {
    Basic,
    Token,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    requests: Spanned<toml::Value>,
    per_s: Spanned<toml::Value>,
    #[serde(default)]
    by: By,
}

/// Those that a browser sends to other origins anyway.
fn methods_without_asking() -> Vec<Method> {
    vec![Method::Get, Method::Head, Method::Post]
}

impl Source<'_> {
    pub(super) fn ingress(&self, raw: RawIngress) -> Result<Ingress, ScriptError> {
        Ok(Ingress {
            cors: raw.cors.map(|cors| self.cors(cors)).transpose()?,
            rules: self.rules(raw.rules)?,
            headers: self.headers(raw.headers)?,
        })
    }

    fn cors(&self, raw: RawCors) -> Result<Cors, ScriptError> {
        let span = raw.origins.span();
        let origins = raw.origins.into_inner();
        let is_any = origins.iter().any(|origin| origin.as_ref() == "*");
        let refused = |message: &str| Err(self.invalid(span.clone(), message));
        let origins = match origins.as_slice() {
            [] => return refused("at least one origin, such as \"https://example.org\""),
            more if more.len() > MAX_NAMES => {
                return refused(&format!("at most {MAX_NAMES} origins"));
            }
            [_] if is_any && raw.credentials => {
                return refused("`*` and `credentials` exclude each other: name the origins");
            }
            [_] if is_any => Origins::Any,
            _ if is_any => return refused("`*` stands for every origin, so it stands alone"),
            origins => {
                let origin = |origin: &Spanned<String>| match wrong_with_origin(origin.as_ref()) {
                    None => Ok(origin.as_ref().clone()),
                    Some(message) => Err(self.invalid(origin.span(), message)),
                };
                Origins::These(origins.iter().map(origin).collect::<Result<_, _>>()?)
            }
        };
        let max_age_s = raw.max_age_s.map(|age| self.number("max_age_s", &age, DAY_S));
        Ok(Cors {
            origins,
            methods: raw.methods,
            headers: self.header_names(&raw.headers)?,
            expose: self.header_names(&raw.expose)?,
            credentials: raw.credentials,
            max_age_s: max_age_s.transpose()?.unwrap_or(MAX_AGE_S),
        })
    }

    fn header_names(&self, names: &[Spanned<String>]) -> Result<Vec<String>, ScriptError> {
        let name = |name: &Spanned<String>| {
            if is_header_name(name.as_ref()) && name.as_ref() != "*" {
                return Ok(name.as_ref().to_ascii_lowercase());
            }
            let message = format!("{:?} is no name of a header", name.as_ref());
            Err(self.invalid(name.span(), message))
        };
        names.iter().map(name).collect()
    }

    /// The rules, the most specific first.
    fn rules(&self, raw: Vec<Spanned<RawRule>>) -> Result<Vec<Rule>, ScriptError> {
        let mut rules: Vec<Rule> = Vec::new();
        for raw in raw {
            let (span, path) = (raw.span(), raw.as_ref().path.span());
            if rules.len() == MAX_RULES {
                return Err(self.invalid(span, format!("at most {MAX_RULES} rules")));
            }
            let rule = self.rule(raw)?;
            if rules.iter().any(|other| other.contradicts(&rule)) {
                let message = format!("there are two rules for {}; make one of them", rule.path);
                return Err(self.invalid(path, message));
            }
            rules.push(rule);
        }
        rules.sort_by_cached_key(Rule::specificity);
        Ok(rules)
    }

    fn rule(&self, raw: Spanned<RawRule>) -> Result<Rule, ScriptError> {
        let span = raw.span();
        let RawRule { path, methods, auth, secret, rate, body_bytes } = raw.into_inner();
        let rate = rate.map(|RawRate { requests, per_s, by }| {
            let requests = self.number("requests", &requests, MAX_REQUESTS)?;
            Ok(Rate { requests, per_s: self.number("per_s", &per_s, DAY_S)?, by })
        });
        let auth = match (auth.map(Spanned::into_inner), secret) {
            (Some(RawAuth::Basic), Some(secret)) => Some(Auth::Basic(parsed(self, &secret)?)),
            (Some(RawAuth::Token), Some(secret)) => Some(Auth::Token(parsed(self, &secret)?)),
            (Some(RawAuth::None), None) => Some(Auth::None),
            (None, None) => None,
            (Some(RawAuth::Basic | RawAuth::Token), None) => {
                let message = "say which secret holds the credentials: secret = \"A_NAME\"";
                return Err(self.invalid(span, message));
            }
            (Some(RawAuth::None) | None, Some(secret)) => {
                let message = "a secret goes with auth = \"basic\" or auth = \"token\"";
                return Err(self.invalid(secret.span(), message));
            }
        };
        let rule =
            Rule { path: path.into_inner(), methods, auth, rate: rate.transpose()?, body_bytes };
        if rule.auth.is_none() && rule.rate.is_none() && rule.body_bytes.is_none() {
            let message = "a rule asks for something: `auth`, `rate` or `body_bytes`";
            return Err(self.invalid(span, message));
        }
        Ok(rule)
    }

    fn headers(
        &self,
        raw: BTreeMap<String, Spanned<String>>,
    ) -> Result<BTreeMap<String, String>, ScriptError> {
        let mut headers = BTreeMap::new();
        for (name, value) in raw {
            let span = value.span();
            let value = value.into_inner();
            let name = name.to_ascii_lowercase();
            let wrong = match check_header(&name, &value) {
                Err(message) => Some(message),
                Ok(()) if headers.len() == MAX_NAMES => {
                    Some(format!("at most {MAX_NAMES} headers"))
                }
                Ok(()) if value.len() > MAX_VALUE_BYTES => {
                    Some(format!("a header's value has at most {MAX_VALUE_BYTES} bytes"))
                }
                Ok(()) => wrong_with_header(&name).map(str::to_owned),
            };
            if let Some(message) = wrong {
                return Err(self.invalid(span, message));
            }
            if headers.insert(name.clone(), value).is_some() {
                return Err(self.invalid(span, format!("the header {name} stands there twice")));
            }
        }
        Ok(headers)
    }
}

/// Why a header is not one for every answer.
fn wrong_with_header(name: &str) -> Option<&'static str> {
    match name {
        "set-cookie" => Some("a cookie is a script's to set"),
        "content-type" | "content-encoding" | "content-range" | "etag" | "location" | "vary"
        | "www-authenticate" | "date" => Some("this header belongs to one answer, not to all"),
        name if name.starts_with("access-control-") => Some("[ingress.cors] sets this header"),
        name if name.starts_with("x-picloud-") => Some("this header is PiCloud's"),
        _ => None,
    }
}

/// What keeps a text from being an origin as a browser writes it: scheme, host,
/// and port if it is not the scheme's own.
fn wrong_with_origin(origin: &str) -> Option<&'static str> {
    let Some((scheme, host)) = origin.split_once("://") else {
        return Some("an origin is written with its scheme: https://example.org");
    };
    let is_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]_".contains(&b);
    let is_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    if scheme.is_empty() || host.is_empty() || !scheme.bytes().all(is_scheme) {
        return Some("an origin is written as https://example.org, in lower case");
    }
    if host.contains('/') {
        return Some("an origin ends with its host or port, without a slash or a path");
    }
    if !host.bytes().all(is_host) {
        return Some("an origin's host is in lower case and without wildcards");
    }
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    host.ends_with(own_port).then_some("browsers leave a scheme's own port away, so leave it away")
}

#[cfg(test)]
mod tests {
    use crate::Manifest;

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let cases = [
            ("[ingress]\nrule = []", "2:1", "did you mean `rules`?"),
            ("[ingress.cors]\norigin = ['*']", "2:1", "did you mean `origins`?"),
            ("[ingress.cors]\norigins = []", "2:11", "at least one origin"),
            ("[ingress.cors]\ncredentials = true\norigins = ['*']", "3:11", "exclude each other"),
            ("[ingress.cors]\norigins = ['*', 'https://a.b']", "2:11", "stands alone"),
            ("[ingress.cors]\norigins = ['a.example']", "2:12", "with its scheme"),
            ("[ingress.cors]\norigins = ['https://a.example/']", "2:12", "without a slash"),
            ("[ingress.cors]\norigins = ['https://A.example']", "2:12", "lower case"),
            ("[ingress.cors]\norigins = ['https://*.example']", "2:12", "wildcards"),
            ("[ingress.cors]\norigins = ['https://a.example:443']", "2:12", "own port"),
            ("[ingress.cors]\norigins = ['null']", "2:12", "with its scheme"),
            ("[ingress.cors]\norigins = ['*']\nheaders = ['a b']", "3:12", "no name of a header"),
            ("[ingress.cors]\norigins = ['*']\nmethods = ['get']", "3:12", "did you mean `GET`?"),
            ("[ingress.cors]\norigins = ['*']\nmax_age_s = 0", "3:13", "from 1 to 86400"),
            ("[[ingress.rules]]\nauth = 'none'", "1:1", "missing field `path`"),
            ("[[ingress.rules]]\npath = 'x'\nauth = 'none'", "2:8", "starts with a slash"),
            ("[[ingress.rules]]\npath = '/'", "1:1", "asks for something"),
            ("[[ingress.rules]]\npath = '/'\nauth = 'basik'", "3:8", "did you mean `basic`?"),
            ("[[ingress.rules]]\npath = '/'\nauth = 'basic'", "1:1", "which secret"),
            (
                "[[ingress.rules]]\npath = '/'\nauth = 'token'\nsecret = '1'",
                "4:10",
                "a secret's name",
            ),
            ("[[ingress.rules]]\npath = '/'\nsecret = 'S'", "3:10", "goes with auth"),
            ("[[ingress.rules]]\npath = '/'\nrate = { requests = 0, per_s = 1 }", "3:21", "1 to"),
            ("[[ingress.rules]]\npath = '/'\nrate = { requests = 1 }", "3:8", "`per_s`"),
            (
                "[[ingress.rules]]\npath = '/'\nrate = { requests = 1, per_s = 1, by = 'user' }",
                "3:40",
                "`ip` or `app`",
            ),
            ("[[ingress.rules]]\npath = '/'\nbody_bytes = -1", "3:14", "-1"),
            (
                "[[ingress.rules]]\npath = '/{a}'\nauth = 'none'
[[ingress.rules]]\npath = '/{b}'\nbody_bytes = 1",
                "5:8",
                "two rules for /{b}",
            ),
            (
                "[[ingress.rules]]\npath = '/'\nmethods = ['GET', 'PUT']\nauth = 'none'
[[ingress.rules]]\npath = '/'\nmethods = ['HEAD']\nbody_bytes = 1",
                "6:8",
                "two rules for /",
            ),
            ("[ingress.headers]\nx = \"a\\nb\"", "2:5", "other than ASCII text"),
            ("[ingress.headers]\n'a b' = 'c'", "2:9", "no name of a header"),
            ("[ingress.headers]\ncontent-length = '1'", "2:18", "not a script's to set"),
            ("[ingress.headers]\nset-cookie = 'a=b'", "2:14", "a script's to set"),
            ("[ingress.headers]\nAccess-Control-Allow-Origin = '*'", "2:31", "[ingress.cors]"),
            ("[ingress.headers]\netag = 'x'", "2:8", "belongs to one answer"),
            ("[ingress.headers]\nx-a = '1'\nX-A = '2'", "2:7", "twice"),
        ];
        for (text, place, expected) in cases {
            let error = Manifest::parse(text).expect_err(text);
            assert_eq!(error.code.as_deref(), Some("invalid_manifest"));
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("picloud.toml:{place}: ")), "{text}\n{shown}");
            assert!(shown.contains(expected), "{text}\n{shown}");
        }
    }

    #[test]
    fn rules_for_other_methods_of_a_path_stand_side_by_side() {
        let rule = |methods: &str| {
            format!("[[ingress.rules]]\npath = '/x'\nmethods = [{methods}]\nbody_bytes = 1\n")
        };
        let text = format!("{}{}{}", rule("'PUT'"), rule(""), rule("'GET'"));
        let rules = Manifest::parse(&text).unwrap().ingress.rules;
        assert!(rules[2].methods.is_empty(), "the one for all others comes last: {rules:?}");
        let error = Manifest::parse(&rule("").repeat(2)).unwrap_err();
        assert!(error.message.contains("two rules"), "{error}");
    }

    #[test]
    fn there_is_an_end_to_rules() {
        let rule = |i| format!("[[ingress.rules]]\npath = '/{i}'\nauth = 'none'\n");
        let rules: String = (0..100).map(rule).collect();
        assert!(Manifest::parse(&rules).is_ok());
        let error = Manifest::parse(&format!("{rules}{}", rule(100))).unwrap_err();
        assert!(error.message.contains("at most 100 rules"), "{error}");
    }
}
