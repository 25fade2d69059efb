//! Every error code has a page in `docs/errors/`, every page has a code, is
//! reached through `type`, and tells the truth: its example leads to its code.

mod page;
mod sources;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::page::{Block, Page};
use crate::support::{Answer, Picloud};

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes = sources::codes();
    let pages: BTreeSet<String> = page::all().into_iter().map(|page| page.code).collect();
    let missing: Vec<_> = codes.iter().filter(|(code, _)| !pages.contains(*code)).collect();
    assert!(missing.is_empty(), "docs/errors/ has no page for these codes: {missing:#?}");
    let spare: Vec<_> = pages.iter().filter(|page| !codes.contains_key(*page)).collect();
    assert!(spare.is_empty(), "docs/errors/ has pages for codes that there are not: {spare:?}");
    assert!(codes.len() > 50, "the sources are not read as they should: {codes:?}");
}

#[test]
fn the_index_lists_every_page_with_its_first_sentence() {
    let line = |page: &Page| {
        let sentence = page.summary.split(". ").next().unwrap().trim_end_matches('.');
        format!("| [`{0}`]({0}.md) | {sentence}. |", page.code)
    };
    let expected: Vec<String> = page::all().iter().map(line).collect();
    let index = std::fs::read_to_string(page::folder().join("README.md")).unwrap();
    let listed: Vec<&str> = index.lines().filter(|line| line.starts_with("| [")).collect();
    assert_eq!(listed, expected, "docs/errors/README.md should have:\n{}", expected.join("\n"));
}

#[tokio::test]
async fn type_leads_to_the_page_on_whatever_host() {
    let server = Picloud::start(&[]);
    server.deploy("example", &[("index.rhai", "1")]).await;
    for (host, path, code) in [
        ("localhost", "/nothing", "not_found"),
        ("localhost", "/api/v1/apps", "unauthorized"),
        ("example.localhost", "/nothing", "not_found"),
        ("none.localhost", "/", "not_found"),
        ("other.example", "/", "misdirected"),
    ] {
        let problem = server.request(host, "GET", path, "").await.json();
        assert_eq!(problem["code"], code, "{host}{path}");
        let page = server.request(host, "GET", problem["type"].as_str().unwrap(), "").await;
        assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(page.text().starts_with(&format!("# {code}\n")), "{page:?}");
    }
    for page in page::all() {
        let path = format!("/.picloud/errors/{}", page.code);
        let answer = server.get("example", &path).await;
        assert_eq!(answer.status, 200, "add {} to PAGES in http/error_pages.rs", page.code);
        assert_eq!(answer.text(), page.text);
    }
    let index = server.get("example", "/.picloud/errors/").await;
    assert!(index.text().starts_with("# Error codes\n"), "{index:?}");
    assert_eq!(server.get("example", "/.picloud/errors/teapot").await.status, 404);
    let post = server.request("example.localhost", "POST", "/.picloud/errors/", "").await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn a_code_that_a_script_makes_up_has_no_page() {
    let server = Picloud::start(&[]);
    let lib = "throw #{ code: \"teapot\", message: \"short and stout\" }";
    let files = [("index.rhai", "import \"lib/a\" as a;"), ("lib/a.rhai", lib)];
    let problem = server.try_deploy("example", &files).await.json();
    assert_eq!((&problem["code"], &problem["type"]), (&"teapot".into(), &Value::Null));
}

#[tokio::test]
async fn every_example_leads_to_its_code() {
    let server = Picloud::start(&[]);
    let (mut ran, mut wrong) = (0, Vec::new());
    for page in page::all() {
        let Some(found) = run(&server, &page).await else { continue };
        ran += 1;
        if !found.contains(&page.code) {
            wrong.push((page.code, found));
        }
    }
    assert!(wrong.is_empty(), "these lead to other codes: {wrong:#?}");
    assert!(ran > 35, "only {ran} pages have an example that can be run");
}

/// Codes that a page's example leads to; `None` if there is nothing to run.
///
/// Files are deployed as the app `example`. Requests are then sent as they are
/// written; where there are none, the app's root is asked for.
async fn run(server: &Picloud, page: &Page) -> Option<BTreeSet<String>> {
    let files: BTreeMap<&str, &str> = page.example.iter().filter_map(Block::as_file).collect();
    let requests: Vec<_> = page.example.iter().filter_map(Block::as_request).collect();
    if files.is_empty() && requests.is_empty() {
        return None;
    }
    let mut codes = BTreeSet::new();
    let mut files: Vec<_> = files.into_iter().collect();
    if !files.iter().any(|(path, _)| picloud_shared::routes::is_script(path)) {
        files.push(("index.rhai", "1"));
    }
    let deployed = server.try_deploy("example", &files).await;
    codes.extend(codes_of(&deployed));
    let mut answer = None;
    for request in requests {
        let bearer = format!("Bearer {}", server.token());
        let mut headers: Vec<_> = request.headers();
        if request.wants_token() {
            headers.push(("authorization", &bearer));
        }
        let body = request.body.clone();
        answer = Some(server.send(&request.method, &request.path, &headers, body).await);
    }
    if answer.is_none() {
        answer = Some(server.get("example", "/").await);
    }
    codes.extend(answer.iter().flat_map(codes_of));
    let executions = server.api("GET", "/apps/example/executions?limit=1", "").await.json();
    codes.extend(executions["items"][0]["error"]["code"].as_str().map(ToOwned::to_owned));
    server.api("DELETE", "/apps/example", "").await;
    Some(codes)
}

/// The code of a problem, and those of what is wrong with files.
fn codes_of(answer: &Answer) -> Vec<String> {
    let Ok(problem) = serde_json::from_slice::<Value>(&answer.body) else { return Vec::new() };
    let issues = problem["errors"].as_array().into_iter().flatten();
    let codes = std::iter::once(&problem["code"]).chain(issues.map(|issue| &issue["code"]));
    codes.filter_map(|code| code.as_str().map(ToOwned::to_owned)).collect()
}
