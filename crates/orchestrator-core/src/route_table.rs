//! Which of an app's files answers a method and a path.
//!
//! Nothing here touches a file system: a static file is found by equality with
//! a path in the release's list or not at all, so there is nothing to traverse.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use picloud_shared::files::content_type_of;
use picloud_shared::routes::Method;
use picloud_shared::{BlobHash, Handler, ReleaseFile, Routes};

/// A release's routes, ready for matching.
#[derive(Debug, Default)]
pub struct RouteTable {
    matcher: matchit::Router<Vec<Endpoint>>,
    /// By canonical path.
    statics: HashMap<String, StaticFile>,
}

#[derive(Debug)]
struct Endpoint {
    /// Empty for every method.
    methods: Vec<Method>,
    handler: Handler,
}

/// A file under `public/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFile {
    /// Path within the app.
    pub path: String,
    pub hash: BlobHash,
    pub bytes: u64,
    pub content_type: String,
    /// The same contents compressed, where the app ships them: `style.css.br`
    /// beside `style.css`.
    pub brotli: Option<Precompressed>,
    /// `style.css.gz`.
    pub gzip: Option<Precompressed>,
}

/// A file that stands for another one, compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precompressed {
    pub hash: BlobHash,
    pub bytes: u64,
}

/// What answers a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'a> {
    Script {
        handler: &'a Handler,
        /// Names and percent-decoded values, in the order of the path.
        params: Vec<(String, String)>,
    },
    /// The request is a GET or a HEAD.
    Static(&'a StaticFile),
    /// The methods that the path does answer, as the `Allow` header has them.
    MethodNotAllowed {
        allow: String,
    },
    NotFound,
    /// The path is not validly encoded, or holds what no link leads to.
    BadRequest,
}

impl RouteTable {
    /// Builds the table of a release out of its routes and its list of files.
    ///
    /// # Errors
    /// The pattern that contradicts another. [`Routes`] has none such.
    pub fn new(routes: &Routes, files: &[ReleaseFile]) -> Result<Self, String> {
        let mut by_pattern: Vec<(&str, Vec<Endpoint>)> = Vec::new();
        for route in &routes.routes {
            let pattern = route.pattern.as_str();
            let endpoint =
                Endpoint { methods: route.methods.clone(), handler: route.handler.clone() };
            match by_pattern.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, endpoints)) => endpoints.push(endpoint),
                None => by_pattern.push((pattern, vec![endpoint])),
            }
        }
        let mut matcher = matchit::Router::new();
        for (pattern, endpoints) in by_pattern {
            matcher.insert(pattern, endpoints).map_err(|error| format!("{pattern}: {error}"))?;
        }
        let files: HashMap<&str, &ReleaseFile> =
            files.iter().map(|file| (file.path.as_str(), file)).collect();
        let statics = routes
            .statics
            .iter()
            .filter_map(|(url, path)| {
                let file = StaticFile::new(path, &files)?;
                // A file's name is decoded text: see `canonical`.
                Some((url.replace('%', "%25"), file))
            })
            .collect();
        Ok(Self { matcher, statics })
    }

    /// What answers `method` on `path`, which is percent-encoded and without
    /// its query. One slash at the path's end makes no difference.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Match<'_> {
        let Some(path) = canonical(path) else { return Match::BadRequest };
        let file = self.statics.get(&*path);
        if let (Some(file), "GET" | "HEAD") = (file, method) {
            return Match::Static(file);
        }
        let Ok(matched) = self.matcher.at(&path) else {
            return match file {
                Some(_) => Match::MethodNotAllowed { allow: "GET, HEAD".to_owned() },
                None => Match::NotFound,
            };
        };
        let Some(endpoint) = matched.value.iter().find(|endpoint| endpoint.answers(method)) else {
            return Match::MethodNotAllowed { allow: allow(matched.value, file.is_some()) };
        };
        let decode = |value| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let params = matched.params.iter();
        let params = params.map(|(name, value)| (name.to_owned(), decode(value))).collect();
        Match::Script { handler: &endpoint.handler, params }
    }
}

impl Endpoint {
    fn answers(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|known| known.answers(method))
    }
}

impl StaticFile {
    /// The file at `path`, which is one of `files`.
    fn new(path: &str, files: &HashMap<&str, &ReleaseFile>) -> Option<Self> {
        let file = files.get(path)?;
        let compressed = |extension: &str| {
            let sibling = files.get(format!("{path}.{extension}").as_str())?;
            // One that saves nothing is no help, and an empty one is a mistake.
            let saves = (1..file.bytes).contains(&sibling.bytes);
            saves.then_some(Precompressed { hash: sibling.hash, bytes: sibling.bytes })
        };
        Some(Self {
            path: file.path.clone(),
            hash: file.hash,
            bytes: file.bytes,
            content_type: content_type_of(path),
            brotli: compressed("br"),
            gzip: compressed("gz"),
        })
    }
}

fn allow(endpoints: &[Endpoint], has_file: bool) -> String {
    let mut methods: Vec<Method> =
        endpoints.iter().flat_map(|endpoint| &endpoint.methods).copied().collect();
    if has_file {
        methods.push(Method::Get);
    }
    if methods.contains(&Method::Get) {
        methods.push(Method::Head);
    }
    methods.sort_unstable();
    methods.dedup();
    methods.into_iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

/// A path in the form in which it is compared: decoded, but for `%2F` and
/// `%25`, which keep an encoded slash from dividing segments; without a slash
/// at its end. `None` if it is not a path.
pub(crate) fn canonical(path: &str) -> Option<Cow<'_, str>> {
    let rest = path.strip_prefix('/')?;
    if !path.contains(['%', '\0']) && !path.contains("/.") {
        let end = if rest.is_empty() { None } else { path.strip_suffix('/') };
        return Some(Cow::Borrowed(end.unwrap_or(path)));
    }
    let mut canonical = String::with_capacity(path.len());
    for segment in rest.split('/') {
        let encoded = segment.split('%').skip(1);
        let is_hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
        if !encoded.into_iter().all(|tail| tail.get(..2).is_some_and(is_hex)) {
            return None;
        }
        let decoded = percent_decode_str(segment).decode_utf8().ok()?;
        if matches!(&*decoded, "." | "..") || decoded.contains('\0') {
            return None;
        }
        canonical.push('/');
        canonical.push_str(&decoded.replace('%', "%25").replace('/', "%2F"));
    }
    if canonical.len() > 1 && canonical.ends_with('/') {
        canonical.pop();
    }
    Some(Cow::Owned(canonical))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use picloud_shared::Manifest;

    use super::*;

    fn table(paths: &[&str], manifest: &str) -> RouteTable {
        let names: BTreeSet<&str> = paths.iter().copied().collect();
        let routes = Routes::of(&names, &Manifest::parse(manifest).unwrap()).unwrap();
        let files: Vec<ReleaseFile> = paths
            .iter()
            .map(|path| ReleaseFile {
                path: (*path).to_owned(),
                hash: BlobHash::of(path.as_bytes()),
                bytes: 3,
            })
            .collect();
        RouteTable::new(&routes, &files).unwrap()
    }

    /// The match as one line: `handler name=value`, `static path`, or the refusal.
    fn line(table: &RouteTable, method: &str, path: &str) -> String {
        match table.find(method, path) {
            Match::Script { handler, params } => params
                .iter()
                .fold(handler.to_string(), |line, (name, value)| format!("{line} {name}={value}")),
            Match::Static(file) => format!("static {}", file.path),
            Match::MethodNotAllowed { allow } => format!("405 {allow}"),
            Match::NotFound => "404".to_owned(),
            Match::BadRequest => "400".to_owned(),
        }
    }

    fn check(table: &RouteTable, cases: &[(&str, &str)]) {
        for (request, expected) in cases {
            let (method, path) = request.split_once(' ').unwrap();
            assert_eq!(line(table, method, path), *expected, "{request}");
        }
    }

    const APP: [&str; 9] = [
        "index.rhai",
        "posts/index.rhai",
        "posts/[id].rhai",
        "posts/new.rhai",
        "docs/[...rest].rhai",
        "größe.rhai",
        "lib/secret.rhai",
        "tests/secret.rhai",
        "templates/secret.html",
    ];

    #[test]
    fn paths_find_their_scripts() {
        check(
            &table(&APP, ""),
            &[
                ("GET /", "index.rhai"),
                ("BREW /", "index.rhai"),
                ("GET /posts", "posts/index.rhai"),
                ("GET /posts/", "posts/index.rhai"),
                ("GET /posts/7", "posts/[id].rhai id=7"),
                ("GET /posts/7/", "posts/[id].rhai id=7"),
                ("GET /posts/new", "posts/new.rhai"),
                ("GET /posts/7/x", "404"),
                ("GET /docs", "404"),
                ("GET /docs/a", "docs/[...rest].rhai rest=a"),
                ("GET /docs/a/b/", "docs/[...rest].rhai rest=a/b"),
                ("GET /Posts", "404"),
                ("GET //", "index.rhai"),
                ("GET //posts", "404"),
                ("GET /posts//", "404"),
            ],
        );
    }

    #[test]
    fn parameters_are_decoded_and_segments_are_not_divided_by_it() {
        check(
            &table(&APP, ""),
            &[
                ("GET /posts/a%20b", "posts/[id].rhai id=a b"),
                ("GET /posts/a+b", "posts/[id].rhai id=a+b"),
                ("GET /posts/%C3%A4", "posts/[id].rhai id=ä"),
                ("GET /posts/a%2Fb", "posts/[id].rhai id=a/b"),
                ("GET /posts/a%2fb", "posts/[id].rhai id=a/b"),
                ("GET /posts/100%25", "posts/[id].rhai id=100%"),
                ("GET /posts/%252F", "posts/[id].rhai id=%2F"),
                ("GET /posts/%6Eew", "posts/new.rhai"),
                ("GET /%70osts/7", "posts/[id].rhai id=7"),
                ("GET /posts%2F7", "404"),
                ("GET /gr%C3%B6%C3%9Fe", "größe.rhai"),
                ("GET /posts/{id}", "posts/[id].rhai id={id}"),
                ("GET /docs/a%2Fb/c%25", "docs/[...rest].rhai rest=a/b/c%"),
                ("GET /docs/.well-known", "docs/[...rest].rhai rest=.well-known"),
            ],
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let table = table(&APP, "");
        for path in [
            "",
            "*",
            "posts",
            "/posts/%",
            "/posts/%2",
            "/posts/%zz",
            "/posts/%+1",
            "/posts/%ff",
            "/posts/%C3",
            "/posts/\0",
            "/posts/%00",
            "/.",
            "/..",
            "/../posts",
            "/posts/..",
            "/posts/../lib/secret.rhai",
            "/docs/%2e%2e/x",
            "/docs/.%2E/x",
        ] {
            assert_eq!(line(&table, "GET", path), "400", "{path:?}");
        }
    }

    #[test]
    fn only_listed_files_under_public_are_served() {
        let mut files = APP.to_vec();
        files.extend(["public/style.css", "public/100%.txt", "public/a/index.html"]);
        check(
            &table(&files, ""),
            &[
                ("GET /style.css", "static public/style.css"),
                ("HEAD /style.css", "static public/style.css"),
                ("POST /style.css", "405 GET, HEAD"),
                ("GET /styl%65.css", "static public/style.css"),
                ("GET /100%25.txt", "static public/100%.txt"),
                ("GET /a", "static public/a/index.html"),
                ("GET /a/", "static public/a/index.html"),
                ("GET /a%2Findex.html", "404"),
                ("GET /public/style.css", "404"),
                ("GET /lib/secret.rhai", "404"),
                ("GET /tests/secret.rhai", "404"),
                ("GET /templates/secret.html", "404"),
                ("GET /picloud.toml", "404"),
                ("GET /public%2Fstyle.css", "404"),
                ("GET /a\\..\\style.css", "404"),
                (
                    "GET /docs/..%2F..%2Flib%2Fsecret.rhai",
                    "docs/[...rest].rhai rest=../../lib/secret.rhai",
                ),
                ("GET /etc/passwd", "404"),
            ],
        );
    }

    #[test]
    fn methods_choose_the_handler() {
        let manifest =
            "[[routes]]\npath = '/x'\nmethods = ['GET', 'DELETE']\nhandler = 'a.rhai#one'
[[routes]]\npath = '/x'\nmethods = ['PUT']\nhandler = 'b.rhai'
[[routes]]\npath = '/style.css'\nmethods = ['POST']\nhandler = 'b.rhai'
[[routes]]\npath = '/{name}'\nmethods = ['PATCH']\nhandler = 'b.rhai'";
        check(
            &table(&["a.rhai", "b.rhai", "public/logo.svg"], manifest),
            &[
                ("GET /x", "a.rhai#one"),
                ("HEAD /x", "a.rhai#one"),
                ("DELETE /x", "a.rhai#one"),
                ("PUT /x", "b.rhai"),
                ("POST /x", "405 GET, HEAD, PUT, DELETE"),
                ("get /x", "405 GET, HEAD, PUT, DELETE"),
                ("GET /logo.svg", "static public/logo.svg"),
                ("PATCH /logo.svg", "b.rhai name=logo.svg"),
                ("POST /logo.svg", "405 GET, HEAD, PATCH"),
            ],
        );
    }

    #[test]
    fn content_types_come_from_names() {
        let table = table(&["public/a.html", "public/b.js", "public/c.png", "public/d"], "");
        for (path, expected) in [
            ("/a.html", "text/html; charset=utf-8"),
            ("/b.js", "text/javascript; charset=utf-8"),
            ("/c.png", "image/png"),
            ("/d", "application/octet-stream"),
        ] {
            let Match::Static(file) = table.find("GET", path) else { panic!("{path}") };
            assert_eq!(file.content_type, expected);
        }
    }

    #[test]
    fn a_file_knows_its_compressed_siblings_where_they_save_something() {
        let file = |path: &str, bytes: u64| ReleaseFile {
            path: path.to_owned(),
            hash: BlobHash::of(path.as_bytes()),
            bytes,
        };
        let files = [
            file("public/a.css", 100),
            file("public/a.css.br", 99),
            file("public/a.css.gz", 1),
            file("public/b.css", 100),
            file("public/b.css.br", 100),
            file("public/b.css.gz", 0),
            file("lib/c.css.br", 1),
            file("public/c.css", 100),
        ];
        let paths = files.iter().map(|file| file.path.as_str()).collect();
        let routes = Routes::of(&paths, &Manifest::default()).unwrap();
        let table = RouteTable::new(&routes, &files).unwrap();
        let siblings = |url: &str| match table.find("GET", url) {
            Match::Static(file) => (file.brotli, file.gzip),
            other => panic!("{url}: {other:?}"),
        };
        let sibling = |file: &ReleaseFile| Precompressed { hash: file.hash, bytes: file.bytes };
        assert_eq!(siblings("/a.css"), (Some(sibling(&files[1])), Some(sibling(&files[2]))));
        for url in ["/b.css", "/c.css", "/a.css.br"] {
            assert_eq!(siblings(url), (None, None), "{url}");
        }
        assert_eq!(line(&table, "GET", "/a.css.gz"), "static public/a.css.gz");
    }

    #[test]
    fn every_set_of_routes_that_is_free_of_contradictions_makes_a_table() {
        // All sets of up to four of these segments-in-place, checked exhaustively.
        let names = [
            "index",
            "a",
            "[p]",
            "[...r]",
            "a/index",
            "a/b",
            "a/[q]",
            "a/[...r]",
            "[p]/b",
            "[x]/index",
            "[p]/[q]",
            "[p]/[...r]",
            "a/b/c",
            "[p]/b/[q]",
            "a/[q]/c",
        ];
        let mut made = 0;
        for bits in 0_u32..1 << names.len() {
            if bits.count_ones() > 4 {
                continue;
            }
            let files: Vec<String> = (0..names.len())
                .filter(|i| bits & (1 << i) != 0)
                .map(|i| format!("{}.rhai", names[i]))
                .collect();
            let paths = files.iter().map(String::as_str).collect();
            if let Ok(routes) = Routes::of(&paths, &Manifest::default()) {
                made += 1;
                RouteTable::new(&routes, &[]).unwrap_or_else(|e| panic!("{files:?}: {e}"));
            }
        }
        assert!(made > 500, "{made}");
    }
}
