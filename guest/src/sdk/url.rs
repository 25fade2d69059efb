//! `url::`: URLs (RFC 3986), their parts, and queries.
//!
//! Only what the standard allows is a URL here. Where programs disagree about
//! what a text means as a URL (a backslash, a space, a letter that is not
//! ASCII), a script that looks at a URL's host before it goes there is better
//! off with none.

use fluent_uri::{ParseError, ParseErrorKind, Uri, UriRef};
use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rhai::{Dynamic, ImmutableString, Map};

use super::data::{place, quoted, text, written};
use super::req::to_map;
use super::{Namespace, Registrar, Result, Shared, throw, type_name};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "url", doc: "URLs and their parts.", register };

/// What a part of a URL may not hold as it is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "encode(text) -> string",
        "The text with everything percent-encoded but letters, digits and `-._~`: safe as one \
         part of a path or query.",
        |text: ImmutableString| utf8_percent_encode(&text, RESERVED).to_string(),
    );
    to.function(
        "decode(text) -> string",
        "The text that was percent-encoded; throws `invalid_encoding` after a `%` without two \
         digits, `not_utf8` if it was no text.",
        |text: ImmutableString| decode(&text),
    );
    to.function(
        "parse(text) -> map",
        "The URL as `#{scheme, host, port, path, query, fragment}`, still percent-encoded, with \
         `()` for what it lacks; scheme and host are in lower case. Throws `invalid_url`.",
        |text: ImmutableString| parse(&text),
    );
    to.function(
        "join(base, relative) -> string",
        "Where a link leads that is found at `base`; throws `invalid_url` if one is no URL, or \
         `base` has no scheme.",
        |base: ImmutableString, relative: ImmutableString| join(&base, &relative),
    );
    to.function(
        "build_query(map) -> string",
        "The map as a query, `a=1&b=2`. An array gives a name several times, `()` leaves it out.",
        |map: Map| build_query(map),
    );
    to.function(
        "parse_query(text) -> map",
        "The parameters of a query; of a name that occurs twice, the first.",
        |query: ImmutableString| {
            let query = query.strip_prefix('?').unwrap_or(&query);
            to_map(form_urlencoded::parse(query.as_bytes()))
        },
    );
}

fn decode(encoded: &str) -> Result<String> {
    let is_digits = |at: usize| {
        let digits = encoded.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if let Some((at, _)) = encoded.match_indices('%').find(|(at, _)| !is_digits(*at)) {
        let place = place(encoded, at);
        let message = format!("not percent-encoded: no two hexadecimal digits follow {place}");
        return Err(throw("url", "invalid_encoding", message));
    }
    text("url::decode", percent_decode_str(encoded).collect())
}

fn parse(text: &str) -> Result<Map> {
    let url = UriRef::parse(text).map_err(|error| invalid(text, error))?;
    let authority = url.authority();
    let port = match &authority {
        Some(authority) => authority.port_to_u16().map_err(|_| {
            let message = format!("{} is no URL: a port is at most 65535", quoted(text));
            throw("url", "invalid_url", message)
        })?,
        None => None,
    };
    Ok(Map::from([
        ("scheme".into(), part(url.scheme().map(|it| it.as_str().to_ascii_lowercase()))),
        ("host".into(), part(authority.map(|it| it.host().to_ascii_lowercase()))),
        ("port".into(), port.map_or(Dynamic::UNIT, |port| i64::from(port).into())),
        ("path".into(), url.path().as_str().into()),
        ("query".into(), part(url.query().map(|it| it.as_str().to_owned()))),
        ("fragment".into(), part(url.fragment().map(|it| it.as_str().to_owned()))),
    ]))
}

fn part(text: Option<String>) -> Dynamic {
    text.map_or(Dynamic::UNIT, Into::into)
}

fn join(base: &str, relative: &str) -> Result<String> {
    let link = UriRef::parse(relative).map_err(|error| invalid(relative, error))?;
    let from = UriRef::parse(base).map_err(|error| invalid(base, error))?;
    let from = Uri::try_from(from).map_err(|_| {
        let message = format!("{} is no URL to start from: it has no scheme", quoted(base));
        throw("url", "invalid_url", message)
    })?;
    let joined = link.resolve_against(&from.strip_fragment());
    joined.map(Uri::into_string).map_err(|_| {
        let (link, base) = (quoted(relative), quoted(base));
        let message = format!("{link} leads nowhere from {base}, which has no folders");
        throw("url", "invalid_url", message)
    })
}

fn invalid(text: &str, error: ParseError) -> Box<rhai::EvalAltResult> {
    let place = place(text, error.index());
    let what = match error.kind() {
        _ if error.index() >= text.len() => "something is missing at its end".to_owned(),
        ParseErrorKind::InvalidPctEncodedOctet => {
            format!("no two hexadecimal digits follow {place}")
        }
        ParseErrorKind::InvalidIpv6Addr => format!("no IPv6 address begins with {place}"),
        ParseErrorKind::UnexpectedChar => format!("{place} cannot stand there"),
    };
    throw("url", "invalid_url", format!("{} is no URL: {what}", quoted(text)))
}

fn build_query(map: Map) -> Result<String> {
    let mut query = Serializer::new(String::new());
    for (name, value) in map {
        let values = match value.try_cast_result::<rhai::Array>() {
            Ok(values) => values,
            Err(value) => vec![value],
        };
        for value in values.into_iter().filter(|value| !value.is_unit()) {
            let text = written(value).map_err(|value| {
                let what = type_name(&value);
                throw("url", "invalid_value", format!("{name:?}: a {what} cannot be in a query"))
            })?;
            query.append_pair(&name, &text);
        }
    }
    Ok(query.finish())
}
