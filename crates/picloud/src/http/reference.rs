//! The API's reference for people, at `/api` of the control host: one page, made
//! of the API's document. It asks for nothing from elsewhere and runs no script.

#[expect(clippy::indexing_slicing, reason = "of JSON values, which answer null and never panic")]
mod view;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, HtmlEscape};

use self::view::Reference;
use super::api;
use super::problem::Problem;
use crate::node::Node;

const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(super) fn router() -> Router<Arc<Node>> {
    Router::new().route("/api", get(page)).route("/api/style.css", get(style))
}

async fn page() -> Result<Response, Problem> {
    static PAGE: LazyLock<Option<String>> = LazyLock::new(|| match render() {
        Ok(page) => Some(page),
        Err(error) => {
            tracing::error!(%error, "the API's reference cannot be written");
            None
        }
    });
    let page = PAGE.as_deref().ok_or_else(Problem::host_fault)?;
    Ok(answer("text/html; charset=utf-8", page))
}

async fn style() -> Response {
    answer("text/css; charset=utf-8", include_str!("reference/style.css"))
}

fn answer(content_type: &'static str, body: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

fn render() -> Result<String, minijinja::Error> {
    let document = serde_json::to_value(api::document()).unwrap_or_default();
    let mut environment = Environment::new();
    environment.add_filter("prose", prose);
    environment.add_template("page.html", include_str!("reference/page.html"))?;
    environment.get_template("page.html")?.render(Serde(Reference::of(&document)))
}

/// Text with what is between backticks as code.
#[expect(clippy::needless_pass_by_value, reason = "the shape of a filter")]
fn prose(text: String) -> Value {
    let mut html = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        let (begin, end) = if index % 2 == 1 { ("<code>", "</code>") } else { ("", "") };
        // Writing to a String does not fail.
        let _ = write!(html, "{begin}{}{end}", HtmlEscape(part));
    }
    Value::from_safe_string(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_schema_has_its_place_and_every_link_leads_there() {
        let page = render().unwrap();
        let document = serde_json::to_value(api::document()).unwrap();
        for path in document["paths"].as_object().unwrap().values() {
            for operation in path.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(page.contains(&format!("id=\"{id}\"")), "{id} is missing");
            }
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("id=\"{name}\"")), "{name} is missing");
        }
        for link in page.split("href=\"#").skip(1) {
            let to = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{to}\"")), "#{to} leads nowhere");
        }
    }

    #[test]
    fn the_page_has_nothing_that_its_policy_forbids() {
        let page = render().unwrap();
        for forbidden in ["<script", "style=\"", "<style", " on", "src=\"", "http://", "https://"] {
            let tags = page.split('<').filter_map(|rest| rest.split('>').next());
            let is_forbidden = |tag: &str| format!("<{tag}>").contains(forbidden);
            assert_eq!(tags.filter(|tag| is_forbidden(tag)).count(), 0, "{forbidden}");
        }
    }

    #[test]
    fn prose_is_escaped_and_code_is_code() {
        assert_eq!(prose("a `<b>` & \"c\"".to_owned()).to_string().matches('<').count(), 2);
        let html = prose("x <i> `y` z".to_owned()).to_string();
        assert_eq!(html, "x &lt;i&gt; <code>y</code> z");
    }
}
