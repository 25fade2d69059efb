//! What scripts can call, for an editor's completion and hover.

use std::sync::Arc;

use axum::response::IntoResponse;
use http::header;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::node::Node;

/// Made of what the SDK registers, by `just regen`.
const DEFINITIONS: &str = include_str!("../../../../../docs/sdk/sdk.json");

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The SDK, namespace by namespace.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(serde::Deserialize), serde(deny_unknown_fields))]
struct Sdk {
    namespaces: Vec<SdkNamespace>,
}

/// A `::` namespace with what comes from it.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(serde::Deserialize), serde(deny_unknown_fields))]
struct SdkNamespace {
    name: String,
    doc: String,
    functions: Vec<SdkFunction>,
}

/// One way to call something; what has several comes several times.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(serde::Deserialize), serde(deny_unknown_fields))]
struct SdkFunction {
    name: String,
    /// `function` (`kv::collection`), `method`, `property` or `global`.
    kind: String,
    /// What has the method or property: `collection`.
    of: Option<String>,
    /// As a script writes it: `collection.get_or(key, default) -> value`.
    signature: String,
    /// Without a method's receiver.
    parameters: Vec<SdkParameter>,
    /// `null` if it returns nothing.
    returns: Option<String>,
    doc: String,
}

/// What a function takes in one place.
#[derive(Serialize, ToSchema)]
#[cfg_attr(test, derive(serde::Deserialize), serde(deny_unknown_fields))]
struct SdkParameter {
    /// As the signature has it: `key`, `#{ttl}`, `|value| …`.
    name: String,
    /// `null` if it takes anything.
    r#type: Option<String>,
}

/// What scripts can call, with signatures and docs, for editors.
#[utoipa::path(
    get,
    path = "/sdk.json",
    operation_id = "show_sdk",
    tag = "api",
    responses((status = 200, body = Sdk)),
    security(()),
)]
async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DEFINITIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_what_the_document_says() {
        let sdk: Sdk = serde_json::from_str(DEFINITIONS).unwrap();
        let kv = sdk.namespaces.iter().find(|namespace| namespace.name == "kv").unwrap();
        let get_or = kv.functions.iter().find(|function| function.name == "get_or").unwrap();
        assert_eq!(get_or.signature, "collection.get_or(key, default) -> value");
        assert_eq!((&*get_or.kind, get_or.of.as_deref()), ("method", Some("collection")));
    }
}
