//! The control host's pages: a built dashboard, and who gets what of it.

use std::io::Read as _;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::support::{Answer, Picloud};

const INDEX: &str = "<!doctype html><title>PiCloud</title>";
const SCRIPT: &str = "console.log('the dashboard')";

/// A server with a dashboard that a test can know; the directory is read at the start.
fn start() -> Picloud {
    let build = TempDir::new().unwrap();
    let hashed = build.path().join("_app/immutable/entry");
    std::fs::create_dir_all(&hashed).unwrap();
    std::fs::write(build.path().join("index.html"), INDEX).unwrap();
    std::fs::write(build.path().join("favicon.svg"), "<svg/>").unwrap();
    std::fs::write(hashed.join("start.3f9a2c1b.js"), SCRIPT).unwrap();
    Picloud::start(&["--dashboard-dir", build.path().to_str().unwrap()])
}

const HASHED: &str = "/_app/immutable/entry/start.3f9a2c1b.js";
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const CONTROL: (&str, &str) = ("host", "localhost");

async fn browse(server: &Picloud, method: &str, path: &str) -> Answer {
    server.send(method, path, &[CONTROL, BROWSER], "").await
}

#[tokio::test]
async fn every_address_of_a_page_gets_the_document() {
    let server = start();
    for path in ["/", "/login", "/apps/shop", "/apps/shop/editor/lib/a.rhai", "/join?x=y"] {
        let answer = browse(&server, "GET", path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, INDEX), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{path}");
    }
    // Whoever asks for `/` and nothing special sees it, too.
    assert_eq!(server.request("localhost", "GET", "/", "").await.text(), INDEX);

    let head = browse(&server, "HEAD", "/login").await;
    assert_eq!((head.status.as_u16(), head.text()), (200, ""));
    assert_eq!(head.header("content-length"), Some(&*INDEX.len().to_string()));
}

#[tokio::test]
async fn the_document_runs_nothing_but_its_own_files() {
    let server = start();
    let answer = browse(&server, "GET", "/apps").await;
    let policy = answer.header("content-security-policy").unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|one| one == directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert!(answer.header("permissions-policy").unwrap().contains("camera=()"));
    let script = server.request("localhost", "GET", HASHED, "").await;
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn files_are_kept_by_caches_as_their_names_allow() {
    let server = start();
    let script = server.request("localhost", "GET", HASHED, "").await;
    assert_eq!((script.status.as_u16(), script.text()), (200, SCRIPT));
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    let kept = Some("public, max-age=31536000, immutable");
    assert_eq!(script.header("cache-control"), kept);
    assert_eq!(script.header("vary"), Some("accept-encoding"));

    let icon = server.request("localhost", "GET", "/favicon.svg", "").await;
    assert_eq!(icon.header("cache-control"), Some("no-cache"));
    let etag = icon.header("etag").unwrap();
    let again = server.send("GET", "/favicon.svg", &[CONTROL, ("if-none-match", etag)], "").await;
    assert_eq!((again.status.as_u16(), again.text()), (304, ""));
    assert_eq!(again.header("etag"), Some(etag));
    let other = server.send("GET", HASHED, &[CONTROL, ("if-none-match", etag)], "").await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_file_is_sent_compressed_to_those_who_take_it() {
    let server = start();
    let get = async |coding| {
        server.send("GET", HASHED, &[CONTROL, ("accept-encoding", coding)], "").await
    };
    let packed = get("gzip, deflate, br").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut script = String::new();
    GzDecoder::new(&*packed.body).read_to_string(&mut script).unwrap();
    assert_eq!(script, SCRIPT);
    for coding in ["identity", "br", "gzip;q=0", "gzip;q=0.5, identity"] {
        let plain = get(coding).await;
        assert_eq!((plain.header("content-encoding"), plain.text()), (None, SCRIPT), "{coding}");
        assert_ne!(plain.header("etag"), packed.header("etag"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = start();
    for path in [
        "/robots.txt",
        "/_app/immutable/entry/gone.3f9a2c1b.js",
        "/api/v1/nothing",
        "/api/v1/apps/none",
        "/api/nothing",
        "/internal/nothing",
    ] {
        let answer = browse(&server, "GET", path).await;
        assert!(matches!(answer.status.as_u16(), 404 | 401), "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    let nothing = server.api("GET", "/nothing", "").await;
    assert_eq!((nothing.status.as_u16(), &nothing.json()["code"]), (404, &"not_found".into()));
    // A program that has lost its way is told so, and nothing is written to a page.
    let program = server.request("localhost", "GET", "/v1/apps", "").await;
    assert_eq!(program.status, 404);
    assert_eq!(browse(&server, "POST", "/login").await.status, 404);
}

#[tokio::test]
async fn apps_never_share_their_host_with_the_dashboard() {
    let server = start();
    server.deploy("shop", &[("a.rhai", "1"), ("b.rhai", "2")]).await;
    for host in ["shop.localhost", "r1--shop.localhost", "none.localhost", "example.org"] {
        for path in ["/", "/login", "/index.html", "/favicon.svg", HASHED] {
            let answer = server.send("GET", path, &[("host", host), BROWSER], "").await;
            assert!(matches!(answer.status.as_u16(), 404 | 421), "{host}{path}: {answer:?}");
        }
    }
}
