//! What a release's files amount to, compared: which paths are answered, which
//! hosts may be called, which limits and settings there are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use picloud_shared::{Layout, Manifest};
use serde::Serialize;

use crate::RouteSummary;

/// What is different beyond the files' contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManifestDiff {
    /// Those of scripts; a route that has another handler is removed and added.
    /// Files under `public/` are told as files.
    pub routes: SetDiff<RouteSummary>,
    /// Hosts that scripts may call.
    pub egress: SetDiff<String>,
    /// What is asked of requests and added to answers, as people read it.
    pub ingress: SetDiff<String>,
    pub limits: Vec<LimitDiff>,
    pub config: ConfigDiff,
}

/// What only one of two sets has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetDiff<T> {
    pub added: Vec<T>,
    pub removed: Vec<T>,
}

/// A limit that the manifests set differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitDiff {
    pub name: &'static str,
    /// `None` where the app's own limit holds.
    pub from: Option<u64>,
    pub to: Option<u64>,
}

/// Settings by their names. Their values are in the manifest's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfigDiff {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

impl ManifestDiff {
    /// `None` if one side is no release by the rules of this version.
    pub(super) fn of(from: &BTreeMap<String, Bytes>, to: &BTreeMap<String, Bytes>) -> Option<Self> {
        let (from, to) = (Layout::of(from).ok()?, Layout::of(to).ok()?);
        let routes = |layout: &Layout| {
            layout.routes.routes.iter().cloned().map(RouteSummary::from).collect()
        };
        let egress =
            |layout: &Layout| layout.manifest.egress.iter().map(ToString::to_string).collect();
        Some(Self {
            routes: SetDiff::of(&routes(&from), &routes(&to)),
            egress: SetDiff::of(&egress(&from), &egress(&to)),
            ingress: SetDiff::of(&from.manifest.ingress.lines(), &to.manifest.ingress.lines()),
            limits: limits(&from.manifest, &to.manifest),
            config: ConfigDiff::of(&from.manifest, &to.manifest),
        })
    }
}

impl<T: Ord + Clone> SetDiff<T> {
    fn of(from: &BTreeSet<T>, to: &BTreeSet<T>) -> Self {
        Self {
            added: to.difference(from).cloned().collect(),
            removed: from.difference(to).cloned().collect(),
        }
    }
}

impl ConfigDiff {
    fn of(from: &Manifest, to: &Manifest) -> Self {
        let (from, to) = (&from.config, &to.config);
        let only = |these: &BTreeMap<String, _>, those: &BTreeMap<String, _>| {
            these.keys().filter(|name| !those.contains_key(*name)).cloned().collect()
        };
        let is_changed =
            |name: &&String| to.get(*name).is_some_and(|value| from.get(*name) != Some(value));
        Self {
            added: only(to, from),
            removed: only(from, to),
            changed: from.keys().filter(is_changed).cloned().collect(),
        }
    }
}

fn limits(from: &Manifest, to: &Manifest) -> Vec<LimitDiff> {
    let pairs = from.limits.entries().zip(to.limits.entries());
    let limit = |((name, from), (_, to))| LimitDiff { name, from, to };
    pairs.map(limit).filter(|limit| limit.from != limit.to).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, Bytes> {
        let file =
            |(path, text): &(&str, &str)| ((*path).to_owned(), Bytes::from((*text).to_owned()));
        files.iter().map(file).collect()
    }

    fn compare(from: &[(&str, &str)], to: &[(&str, &str)]) -> Value {
        serde_json::to_value(ManifestDiff::of(&files(from), &files(to))).unwrap()
    }

    #[test]
    fn what_a_release_may_do_more_and_less_is_told() {
        let before = "[[routes]]\npath = '/x'\nhandler = 'api.rhai#one'
[egress]\nallow = ['a.example', 'b.example']
[ingress.headers]\nx-a = '1'
[[ingress.rules]]\npath = '/x'\nauth = 'basic'\nsecret = 'S'
[limits]\nfuel = 7\nkv_writes = 5\nhttp_ms = 1
[config]\nGREETING = 'hello'\nGONE = 1\nSAME = [1]";
        let after = "[[routes]]\npath = '/x'\nmethods = ['GET']\nhandler = 'api.rhai#one'
[egress]\nallow = ['*.example.org:8443', 'b.example']
[ingress.headers]\nX-A = '1'
[[ingress.rules]]\npath = '/x'\nauth = 'none'
[limits]\nfuel = 8\nkv_bytes = 9\nhttp_ms = 1
[config]\nGREETING = 'good day'\nNEW = 1\nSAME = [1]";
        let script = "fn one(req) {}";
        let changed = compare(
            &[("api.rhai", script), ("picloud.toml", before), ("old.rhai", "")],
            &[
                ("api.rhai", script),
                ("picloud.toml", after),
                ("posts/[id].rhai", ""),
                ("public/a", ""),
            ],
        );
        assert_eq!(
            changed,
            json!({
                "routes": {
                    "added": [
                        { "methods": [], "path": "/posts/{id}", "handler": "posts/[id].rhai" },
                        { "methods": ["GET"], "path": "/x", "handler": "api.rhai#one" },
                    ],
                    "removed": [
                        { "methods": [], "path": "/old", "handler": "old.rhai" },
                        { "methods": [], "path": "/x", "handler": "api.rhai#one" },
                    ],
                },
                "egress": { "added": ["*.example.org:8443"], "removed": ["a.example"] },
                "ingress": {
                    "added": ["/x: open to everybody"],
                    "removed": ["/x: password (S)"],
                },
                "limits": [
                    { "name": "fuel", "from": 7, "to": 8 },
                    { "name": "kv_writes", "from": 5, "to": null },
                    { "name": "kv_bytes", "from": null, "to": 9 },
                ],
                "config": { "added": ["NEW"], "removed": ["GONE"], "changed": ["GREETING"] },
            })
        );
    }

    #[test]
    fn what_means_the_same_is_no_difference() {
        let one = "[egress]\nallow = ['a.example', 'b.example']";
        let other = "# The hosts.\n[egress]\nallow = ['b.example', 'a.example']";
        let changed = compare(
            &[("index.rhai", "1"), ("picloud.toml", one)],
            &[("index.rhai", "2"), ("picloud.toml", other), ("lib/x.rhai", "3")],
        );
        assert_eq!(
            changed,
            json!({
                "routes": { "added": [], "removed": [] },
                "egress": { "added": [], "removed": [] },
                "ingress": { "added": [], "removed": [] },
                "limits": [],
                "config": { "added": [], "removed": [], "changed": [] },
            })
        );
    }

    #[test]
    fn a_release_that_breaks_todays_rules_means_nothing() {
        let good = [("index.rhai", "1")];
        for bad in [("picloud.toml", "nam = 'x'"), ("[1].rhai", ""), ("index/index.rhai", "")] {
            let broken = [good[0], ("index.rhai", "1"), ("x.rhai", ""), ("x/index.rhai", ""), bad];
            assert_eq!(compare(&good, &broken), Value::Null, "{bad:?}");
            assert_eq!(compare(&broken, &good), Value::Null, "{bad:?}");
        }
    }
}
