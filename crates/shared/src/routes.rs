//! Which path of an app is answered by which of its files: the convention of
//! the files' names, and over it the manifest's explicit routes.

mod pattern;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::{HandlerAt, Manifest};
use crate::{Handler, Position, ScriptError};

pub(crate) use pattern::Segment;
pub use pattern::{InvalidPattern, Pattern};

/// Every route of a release, free of contradictions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    pub routes: Vec<Route>,
    /// Decoded URL path, without a slash at its end → the file under `public/`.
    pub statics: BTreeMap<String, String>,
}

/// A path with the handler that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub pattern: Pattern,
    /// Empty for every method. Where several routes have one pattern, their
    /// methods are disjoint.
    pub methods: Vec<Method>,
    pub handler: Handler,
}

/// An HTTP method that a script can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether a request with this method is meant: who answers a GET answers
    /// a HEAD, whose body is left away on sending.
    #[must_use]
    pub fn answers(self, method: &str) -> bool {
        self.as_str() == method || (self == Self::Get && method == "HEAD")
    }
}

/// Whether a file is a script of the app: one that can be an entry or imported.
#[must_use]
pub fn is_script(path: &str) -> bool {
    path.strip_suffix(".rhai").is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'))
        && !path.starts_with("tests/")
        && !path.starts_with("public/")
        && !is_template(path)
}

/// Whether a file is a template: text that scripts can render, whatever its name.
#[must_use]
pub fn is_template(path: &str) -> bool {
    path.starts_with("templates/")
}

impl Routes {
    /// The routes that a release with files of these paths has.
    ///
    /// # Errors
    /// Every file whose name is no route, handler that does not exist, and pair
    /// of routes that contradict each other.
    pub fn of(paths: &BTreeSet<&str>, manifest: &Manifest) -> Result<Self, Vec<ScriptError>> {
        let mut errors: Vec<_> =
            manifest.handlers().filter_map(|handler| missing(handler, paths)).collect();
        let explicit: Vec<Candidate> = manifest.routes.iter().map(Candidate::explicit).collect();
        let taken: BTreeSet<String> = explicit.iter().map(|c| c.route.pattern.shape()).collect();

        let mut conventional = Vec::new();
        for path in paths.iter().filter(|path| is_routed(path)) {
            match Candidate::conventional(path) {
                Ok(candidate) if taken.contains(&candidate.route.pattern.shape()) => {}
                Ok(candidate) => conventional.push(candidate),
                Err(error) => errors.push(error),
            }
        }
        let mut statics = static_paths(paths);
        for candidate in &conventional {
            if let Some(file) = statics.get(candidate.route.pattern.as_str()) {
                errors.push(conflict(&candidate.origin, file, &candidate.route.pattern));
            }
        }
        statics.retain(|url, _| !taken.contains(url));
        if explicit.is_empty() && !statics.contains_key("/") {
            conventional.extend(sole_script_at_root(&conventional));
        }
        let candidates: Vec<Candidate> = explicit.into_iter().chain(conventional).collect();
        errors.extend(conflicts(&candidates));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { routes: candidates.into_iter().map(|c| c.route).collect(), statics })
    }
}

/// A route that is not yet checked against the others.
struct Candidate {
    route: Route,
    /// The file or the manifest's line that it comes from.
    origin: String,
    position: Option<Position>,
}

impl Candidate {
    fn explicit(route: &crate::manifest::ManifestRoute) -> Self {
        Self {
            origin: route.handler.position.to_string(),
            position: Some(route.handler.position.clone()),
            route: Route {
                pattern: route.pattern.clone(),
                methods: route.methods.clone(),
                handler: route.handler.handler.clone(),
            },
        }
    }

    /// `posts/[id].rhai` answers `/posts/{id}`, `index.rhai` its folder.
    fn conventional(path: &str) -> Result<Self, ScriptError> {
        let stem = path.strip_suffix(".rhai").unwrap_or(path);
        let stem = match stem.strip_suffix("index") {
            Some("") => "",
            Some(folder) if folder.ends_with('/') => folder.trim_end_matches('/'),
            _ => stem,
        };
        let mut pattern = String::new();
        for segment in stem.split('/') {
            let parameter = segment.strip_prefix('[').and_then(|s| s.strip_suffix(']'));
            let segment = match parameter.map(|name| (name, name.strip_prefix("..."))) {
                Some((_, Some(rest))) => format!("{{*{rest}}}"),
                Some((name, None)) => format!("{{{name}}}"),
                None if segment.contains(['[', ']', '{', '}']) => {
                    let message = "a parameter is a whole name: [id], or [...rest] for the rest";
                    return Err(invalid_route(path, message));
                }
                None => segment.to_owned(),
            };
            pattern.push('/');
            pattern.push_str(&segment);
        }
        let pattern = pattern.parse().map_err(|error| invalid_route(path, error))?;
        let handler = Handler { script: path.to_owned(), function: None };
        let route = Route { pattern, methods: Vec::new(), handler };
        Ok(Self { route, origin: path.to_owned(), position: None })
    }
}

/// An app of one script answers at its root too, whatever the script is called,
/// so that uploading a file is enough to have a live address.
fn sole_script_at_root(conventional: &[Candidate]) -> Option<Candidate> {
    let [only] = conventional else { return None };
    if only.route.pattern.has_parameters() || only.route.pattern.as_str() == "/" {
        return None;
    }
    let route = Route { pattern: Pattern::root(), ..only.route.clone() };
    Some(Candidate { route, origin: only.origin.clone(), position: None })
}

fn is_routed(path: &str) -> bool {
    is_script(path) && !path.starts_with("lib/")
}

/// `public/style.css` is at `/style.css`; an `index.html` is at its folder too.
fn static_paths(paths: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut statics = BTreeMap::new();
    for path in paths {
        let Some(name) = path.strip_prefix("public/") else { continue };
        statics.insert(format!("/{name}"), (*path).to_owned());
        match name.strip_suffix("index.html") {
            Some("") => _ = statics.insert("/".to_owned(), (*path).to_owned()),
            Some(folder) if folder.ends_with('/') => {
                // A file of the folder's own name, if there is one, stays.
                let url = format!("/{}", folder.trim_end_matches('/'));
                statics.entry(url).or_insert_with(|| (*path).to_owned());
            }
            _ => {}
        }
    }
    statics
}

fn missing(at: &HandlerAt, paths: &BTreeSet<&str>) -> Option<ScriptError> {
    let script = at.handler.script.as_str();
    if is_script(script) && paths.contains(script) {
        return None;
    }
    let meant = paths
        .iter()
        .filter(|path| is_script(path))
        .map(|path| (strsim::damerau_levenshtein(script, path), path))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map_or_else(String::new, |(_, path)| format!("; did you mean {path}?"));
    Some(ScriptError {
        code: Some("invalid_manifest".to_owned()),
        position: Some(at.position.clone()),
        ..ScriptError::new(format!("the app has no script {script}{meant}"))
    })
}

/// Every pair of routes of which a request could not tell which one it meant.
fn conflicts(candidates: &[Candidate]) -> Vec<ScriptError> {
    let mut errors = Vec::new();
    let mut by_shape: BTreeMap<String, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let same = by_shape.entry(candidate.route.pattern.shape()).or_default();
        if let Some(other) = same.iter().find(|other| overlap(&other.route, &candidate.route)) {
            let error = conflict(&other.origin, &candidate.origin, &candidate.route.pattern);
            errors.push(ScriptError { position: candidate.position.clone(), ..error });
        }
        same.push(candidate);
    }
    // A parameter and a rest at the same place compete for the same segment.
    for (shape, rest) in by_shape.iter().filter(|(shape, _)| shape.ends_with("{*}")) {
        let rival = shape.replace("{*}", "{}");
        let next = by_shape.range(rival.clone()..).next();
        if let (Some((other, others)), Some(rest)) = (next, rest.first())
            && (*other == rival || other.starts_with(&format!("{rival}/")))
            && let Some(other) = others.first()
        {
            let error = conflict(&other.origin, &rest.origin, &rest.route.pattern);
            errors.push(ScriptError { position: rest.position.clone(), ..error });
        }
    }
    errors
}

/// Whether two routes of one shape compete. Different names for the same
/// parameters do too: nobody could say what a request's parameters are called.
fn overlap(a: &Route, b: &Route) -> bool {
    a.pattern != b.pattern
        || a.methods.is_empty()
        || b.methods.is_empty()
        || a.methods.iter().any(|method| b.methods.contains(method))
}

fn conflict(first: &str, second: &str, pattern: &Pattern) -> ScriptError {
    ScriptError {
        code: Some("route_conflict".to_owned()),
        ..ScriptError::new(format!("{first} and {second} both answer {pattern}"))
    }
}

fn invalid_route(path: &str, reason: impl fmt::Display) -> ScriptError {
    ScriptError {
        code: Some("invalid_route".to_owned()),
        ..ScriptError::new(format!("{path}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[&str], manifest: &str) -> Result<Routes, Vec<ScriptError>> {
        Routes::of(&paths.iter().copied().collect(), &Manifest::parse(manifest).unwrap())
    }

    /// `path handler` lines of what the files answer.
    fn lines(paths: &[&str], manifest: &str) -> Vec<String> {
        let routes = routes(paths, manifest).unwrap_or_else(|e| panic!("{paths:?}: {e:?}"));
        let scripts =
            routes.routes.iter().map(|route| format!("{} {}", route.pattern, route.handler));
        let statics = routes.statics.iter().map(|(url, path)| format!("{url} {path}"));
        scripts.chain(statics).collect()
    }

    #[test]
    fn a_files_name_is_its_path() {
        let cases: [(&str, &str); 8] = [
            ("index.rhai", "/"),
            ("posts/index.rhai", "/posts"),
            ("posts/[id].rhai", "/posts/{id}"),
            ("[user]/posts/[id].rhai", "/{user}/posts/{id}"),
            ("docs/[...rest].rhai", "/docs/{*rest}"),
            ("[a]/index.rhai", "/{a}"),
            ("reindex.rhai", "/reindex"),
            ("größe.rhai", "/größe"),
        ];
        for (file, pattern) in cases {
            // A second script keeps the sole script's address at the root away.
            let lines = lines(&[file, "zzz.rhai"], "");
            assert_eq!(lines, [format!("{pattern} {file}"), "/zzz zzz.rhai".to_owned()]);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_not_routed() {
        let files = ["index.rhai", "lib/a.rhai", "templates/b.rhai", "tests/c.rhai", "README.md"];
        assert_eq!(lines(&files, ""), ["/ index.rhai"]);
        assert_eq!(lines(&["public/x.rhai"], ""), ["/x.rhai public/x.rhai"]);
    }

    #[test]
    fn a_sole_script_answers_at_the_root_too() {
        assert_eq!(lines(&["hello.rhai"], ""), ["/hello hello.rhai", "/ hello.rhai"]);
        assert_eq!(lines(&["hello.rhai", "lib/x.rhai"], "").len(), 2);
        assert_eq!(lines(&["[id].rhai"], ""), ["/{id} [id].rhai"]);
        assert_eq!(lines(&["a.rhai", "b.rhai"], "").len(), 2);
        assert_eq!(
            lines(&["hello.rhai", "public/index.html"], ""),
            ["/hello hello.rhai", "/ public/index.html", "/index.html public/index.html"]
        );
    }

    #[test]
    fn public_files_are_at_their_names() {
        assert_eq!(
            lines(&["public/a/style.css", "public/docs/index.html"], ""),
            [
                "/a/style.css public/a/style.css",
                "/docs public/docs/index.html",
                "/docs/index.html public/docs/index.html",
            ]
        );
    }

    #[test]
    fn an_explicit_route_takes_its_path_from_the_convention() {
        let manifest =
            "[[routes]]\npath = '/posts/{key}'\nmethods = ['GET']\nhandler = 'api.rhai#one'
[[routes]]\npath = '/posts/{key}'\nmethods = ['PUT', 'DELETE']\nhandler = 'lib/b.rhai'
[[routes]]\npath = '/logo.png'\nhandler = 'api.rhai#logo'";
        let files = ["api.rhai", "lib/b.rhai", "posts/[id].rhai", "public/logo.png"];
        assert_eq!(
            lines(&files, manifest),
            [
                "/posts/{key} api.rhai#one",
                "/posts/{key} lib/b.rhai",
                "/logo.png api.rhai#logo",
                "/api api.rhai",
            ]
        );
    }

    #[test]
    fn contradictions_are_told() {
        let two = "[[routes]]\npath = '/x'\nhandler = 'a.rhai'\n[[routes]]\npath = '/x'\nhandler = 'b.rhai'";
        let names = "[[routes]]\npath = '/{a}'\nmethods = ['GET']\nhandler = 'a.rhai'
[[routes]]\npath = '/{b}'\nmethods = ['PUT']\nhandler = 'b.rhai'";
        let cases: [(&[&str], &str, &str); 9] = [
            (&["[a].rhai", "[b].rhai"], "", "[a].rhai and [b].rhai both answer /{b}"),
            (&["x.rhai", "x/index.rhai"], "", "x.rhai and x/index.rhai both answer /x"),
            (&["[a].rhai", "[...b].rhai"], "", "[a].rhai and [...b].rhai both answer /{*b}"),
            (&["[a]/x.rhai", "[...b].rhai"], "", "[a]/x.rhai and [...b].rhai both"),
            (&["index.rhai", "public/index.html"], "", "index.rhai and public/index.html both"),
            (
                &["a.rhai", "b.rhai"],
                two,
                "picloud.toml:6:11: picloud.toml:3:11 and picloud.toml:6:11",
            ),
            (&["a.rhai", "b.rhai"], names, "both answer /{b}"),
            (
                &["api.rhai"],
                "[[routes]]\npath = '/x'\nhandler = 'apl.rhai'",
                "picloud.toml:3:11: the app has no script apl.rhai; did you mean api.rhai?",
            ),
            (
                &["tests/a.rhai"],
                "[[schedules]]\ncron = '* * * * *'\nhandler = 'tests/a.rhai'",
                "the app has no script tests/a.rhai",
            ),
        ];
        for (files, manifest, expected) in cases {
            let errors = routes(files, manifest).expect_err(expected);
            assert!(errors.iter().any(|e| e.to_string().contains(expected)), "{errors:?}");
        }
    }

    #[test]
    fn similar_routes_live_side_by_side() {
        let files = [
            "posts/[id].rhai",
            "posts/new.rhai",
            "posts/[key]/edit.rhai",
            "docs/[...rest].rhai",
            "docs/index.rhai",
            "[a]-b.rhai",
        ];
        let errors = routes(&files, "").unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].message.starts_with("[a]-b.rhai: a parameter is a whole name"));
        assert_eq!(lines(&files[..5], "").len(), 5);
    }

    #[test]
    fn names_that_are_no_route_are_refused() {
        for bad in [
            "[].rhai",
            "[1].rhai",
            "[a-b].rhai",
            "[...a]/b.rhai",
            "[a]/[a].rhai",
            "a?.rhai",
            "{a}.rhai",
            "a%2fb.rhai",
        ] {
            let errors = routes(&[bad, "zzz.rhai"], "").expect_err(bad);
            assert_eq!(errors[0].code.as_deref(), Some("invalid_route"), "{bad}");
        }
    }
}
