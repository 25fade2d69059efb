//! The API's document, as the server has it.

use std::path::Path;

use crate::support::Picloud;

/// `docs/openapi.json` is what the server says. `just regen` writes it anew.
#[tokio::test]
async fn the_committed_document_is_fresh() {
    let server = Picloud::start(&[]);
    let answer = server.api("GET", "/openapi.json", "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, Some("application/json"))
    );
    let mut document = serde_json::to_string_pretty(&answer.json()).unwrap();
    document.push('\n');
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("PICLOUD_REGEN").is_some() {
        std::fs::write(&file, document).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    let fresh = committed == document;
    assert!(fresh, "docs/openapi.json is not what the API is; `just regen` writes it anew");
}

/// The page for people, which asks for no token and for nothing from elsewhere.
#[tokio::test]
async fn the_reference_is_a_page_of_its_own() {
    let server = Picloud::start(&[]);
    let page = server.request("localhost", "GET", "/api", "").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.text().contains("id=\"create_release\""));
    let style = server.request("localhost", "GET", "/api/style.css", "").await;
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(server.get("hi", "/api").await.status, 404, "it is not on an app's host");
}
