//! Headers that an app's answers have beside those that its scripts set.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What every app's answers have. A browser takes nothing for a script that is
/// not called one, tells other sites no more of an address than its origin,
/// and shows a page in frames of its own site alone.
const DEFAULTS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
];
/// A year of HTTPS alone, for this host. Over HTTP it would mean nothing.
const HSTS: &str = "max-age=31536000";

/// Adds the manifest's headers and the default ones where the answer has none
/// of the name. An empty value takes a default one's place, and is not sent.
pub(super) fn add(own: &BTreeMap<String, String>, scheme: &str, headers: &mut HeaderMap) {
    let is_https = scheme == "https";
    for (name, value) in DEFAULTS {
        if !own.contains_key(name.as_str()) {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
    }
    if is_https && !own.contains_key(header::STRICT_TRANSPORT_SECURITY.as_str()) {
        let hsts = headers.entry(header::STRICT_TRANSPORT_SECURITY);
        hsts.or_insert(HeaderValue::from_static(HSTS));
    }
    for (name, value) in own.iter().filter(|(_, value)| !value.is_empty()) {
        // The manifest has none that could not be sent.
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value))
        else {
            continue;
        };
        if is_https || name != header::STRICT_TRANSPORT_SECURITY {
            headers.entry(name).or_insert(value);
        }
    }
}

/// Keeps what only some may see out of caches that others ask, too.
pub(super) fn keep_private(headers: &mut HeaderMap) {
    let said = headers.get_all(header::CACHE_CONTROL).iter();
    let said = said.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let is = |directive: &&str, names: &[&str]| {
        names.iter().any(|name| directive.eq_ignore_ascii_case(name))
    };
    let said = said.map(str::trim).filter(|directive| !is(directive, &["public", ""]));
    let mut directives: Vec<&str> = said.collect();
    if !directives.iter().any(|directive| is(directive, &["private", "no-store"])) {
        directives.insert(0, "private");
    }
    if let Ok(value) = HeaderValue::from_str(&directives.join(", ")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_some_may_see_is_not_for_shared_caches() {
        for (said, expected) in [
            ("", "private"),
            ("public, max-age=31536000, immutable", "private, max-age=31536000, immutable"),
            ("max-age=5,PUBLIC", "private, max-age=5"),
            ("Private", "Private"),
            ("no-store", "no-store"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            keep_private(&mut headers);
            assert_eq!(headers[header::CACHE_CONTROL], expected, "{said}");
        }
        let mut headers = HeaderMap::new();
        keep_private(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], "private");
    }
}
