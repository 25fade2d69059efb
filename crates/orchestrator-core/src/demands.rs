//! What the policies that an app is under ask of one request.

use picloud_shared::ingress::{Auth, RateOf};

use crate::RunnableApp;
use crate::route_table::canonical;

/// All of it has to be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands<'a> {
    pub auth: Vec<&'a Auth>,
    pub rates: Vec<RateOf>,
    /// Bytes that the body may have, where the app's limit is not lower.
    pub body_bytes: Option<u64>,
}

impl RunnableApp {
    /// What is asked of `method` on `path`, which is percent-encoded and
    /// without its query; `None` if it is not validly encoded.
    ///
    /// A path that could be read in two ways has to meet what is asked of
    /// either: scripts that take paths apart may read another way than we do.
    /// So has a request for a preview to meet what the active release asks: an
    /// older release is no way around a newer rule.
    #[must_use]
    pub fn demands(&self, method: &str, path: &str) -> Option<Demands<'_>> {
        let strict = canonical(path)?;
        let loose = loose(&strict);
        let mut demands = Demands::default();
        let releases = std::iter::once(&self.release).chain(&self.active);
        for ingress in releases.map(|release| &release.manifest.ingress) {
            for path in std::iter::once(&*strict).chain(loose.as_deref()) {
                let terms = ingress.terms(method, path);
                demands.auth.extend(terms.auth.filter(|auth| !demands.auth.contains(auth)));
                demands.rates.extend(terms.rate.filter(|rate| !demands.rates.contains(rate)));
                let bytes = [demands.body_bytes, terms.body_bytes].into_iter().flatten();
                demands.body_bytes = bytes.min();
            }
        }
        Some(demands)
    }
}

/// A canonical path as a lax reader takes it: an encoded slash for a slash,
/// several for one, and dots for a way up. `None` where that makes no difference.
fn loose(path: &str) -> Option<String> {
    let is_strict =
        |path: &str| !path.contains("%2F") && !path.contains("//") && !path.ends_with('/');
    if path == "/" || is_strict(path) {
        return None;
    }
    let path = path.replace("%2F", "/");
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    Some(format!("/{}", segments.join("/")))
}
