//! The API's description in OpenAPI 3.1, made of what the handlers say of
//! themselves, so that it cannot be behind them.
//!
//! To add an operation: give its handler a `#[utoipa::path(…)]` with an
//! `operation_id`, its noun's `tag` and its `security`; the comment's first line
//! is the summary. What it takes from the query is named once more in `params`.
//! Parameters of the path are seen from the arguments, and every operation can
//! answer with a problem; neither is written down.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::response::IntoResponse;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{Modify, OpenApi, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::List;
use crate::http::problem;
use crate::node::Node;

/// The security scheme that handlers name.
pub(super) const TOKEN: &str = "token";

/// The response that every operation can have.
const PROBLEM: &str = "Problem";

/// Parameters that mean the same wherever they are in a path.
const PARAMETERS: &[(&str, &str)] = &[
    ("app", "The app's name."),
    ("bucket", "The bucket's name."),
    ("collection", "The collection's name."),
    ("domain", "The domain."),
    ("id", "Its id."),
    ("key", "The entry's key. It may have slashes."),
    ("name", "Its name."),
    ("number", "The release's number."),
    ("path", "The file's path. It may have slashes."),
    ("queue", "The queue's name."),
    ("user", "The user's name."),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "PiCloud",
        description = "The control plane's API. What a call takes is in its `security`: \
            `any`, whatever proves who you are; `user`, an account, by more than a token for one app; \
            `read`, `deploy` or `admin`, that role for the app, as a viewer, \
            a developer or an owner has it, and with `create`, where there is no app yet, an \
            account; `instance`, an admin of the instance; nothing, nothing."
    ),
    servers((url = "/api/v1")),
    tags(
        (name = "apps", description = "Apps and their limits."),
        (name = "releases", description = "Deploying, and what is deployed."),
        (name = "executions", description = "What ran, how it ended, and what it logged."),
        (name = "files", description = "An app's files: listed, fetched, written."),
        (name = "kv", description = "An app's entries."),
        (name = "secrets", description = "An app's secrets: written and listed, never read."),
        (name = "domains", description = "An app's own domains: claimed, proved, given up."),
        (name = "events", description = "What happened, and publishing."),
        (name = "queues", description = "How full queues are, and sending."),
        (name = "dead-letters", description = "Deliveries that have failed for good."),
        (name = "schedules", description = "The schedules of the active release."),
        (name = "invoke", description = "Running a handler, with everything there is to see."),
        (name = "members", description = "Who may use an app."),
        (name = "session", description = "Logging in and out, and your own account."),
        (name = "tokens", description = "Your own API tokens."),
        (name = "users", description = "The instance's users, and links for new ones."),
        (name = "instance", description = "The instance as a whole."),
        (name = "audit", description = "Who changed what, when, from where."),
        (name = "usage", description = "What was used, and how much of the limits."),
        (name = "backup", description = "Everything that the instance has, in one file."),
        (name = "api", description = "About the API itself."),
    ),
    components(schemas(problem::Sent)),
    modifiers(&Common)
)]
struct Api;

/// What is said once for all operations.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let problem = Content::builder().schema(Some(Ref::from_schema_name("Problem"))).build();
        let problem = ResponseBuilder::new()
            .description("Why it was not done.")
            .content("application/problem+json", problem)
            .build();
        let components = document.components.get_or_insert_default();
        components.security_schemes.insert(TOKEN.to_owned(), SecurityScheme::Http(token).into());
        components.responses.insert(PROBLEM.to_owned(), problem.into());
    }
}

/// The document of all of the API's routes.
pub(in crate::http) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Api::openapi();
    document.merge(super::routes().into_openapi());
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| complete(&path, item)).collect();
    document
}

/// The operations of a path, of the methods that the API uses.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    let operations = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::PATCH, patch),
        (Method::DELETE, delete),
    ];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A route as OpenAPI has it, whose parameters never span segments, with what
/// its handlers need not say.
fn complete(route: &str, mut item: PathItem) -> (String, PathItem) {
    let path = route.replace("{*", "{");
    for (_, operation) in operations(&mut item) {
        let parameters = operation.parameters.get_or_insert_default();
        for name in names(&path) {
            if !parameters.iter().any(|given| is_in_path(given) && name_of(given) == Some(name)) {
                parameters.push(RefOr::T(text_parameter(name)));
            }
        }
        parameters.sort_by_key(|given| {
            let index = names(&path).position(|name| name_of(given) == Some(name));
            if is_in_path(given) { index.unwrap_or_default() } else { usize::MAX }
        });
        for parameter in parameters {
            let known = PARAMETERS.iter().find(|(name, _)| name_of(parameter) == Some(name));
            if let (RefOr::T(parameter), Some((_, description))) = (parameter, known) {
                parameter.description.get_or_insert_with(|| (*description).to_owned());
            }
        }
        for (status, response) in &mut operation.responses.responses {
            let reason =
                status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
            if let (RefOr::T(response), Some(reason)) = (response, reason)
                && response.description.is_empty()
            {
                reason.clone_into(&mut response.description);
            }
        }
        let problem = Ref::from_response_name(PROBLEM);
        operation.responses.responses.insert("default".to_owned(), problem.into());
    }
    (path, item)
}

/// The names of a path's parameters, in their order.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

fn name_of(parameter: &RefOr<Parameter>) -> Option<&str> {
    match parameter {
        RefOr::T(parameter) => Some(&parameter.name),
        RefOr::Ref(_) => None,
    }
}

fn is_in_path(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path)
}

fn text_parameter(name: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

/// By hand, for what the derive makes of a cursor that is any type is no schema.
impl<T: ToSchema, C> PartialSchema for List<T, C> {
    fn schema() -> RefOr<Schema> {
        let cursor = [Type::String, Type::Integer, Type::Null];
        let next = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter(cursor))
            .description(Some("To be passed as `after`; `null` on the last page."));
        ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .required("items")
            .property("next", next)
            .required("next")
            .into()
    }
}

impl<T: ToSchema, C> ToSchema for List<T, C> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(utoipa_axum::routes!(show))
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "show_api",
    tag = "api",
    responses((status = 200, body = Object)),
    security(()),
)]
async fn show() -> impl IntoResponse {
    static JSON: LazyLock<Bytes> =
        // Maps of strings and numbers always serialize.
        LazyLock::new(|| serde_json::to_vec(&document()).unwrap_or_default().into());
    ([(header::CONTENT_TYPE, "application/json")], JSON.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn operations_are_told_apart_and_described() {
        let mut document = document();
        let tags: BTreeSet<_> =
            document.tags.iter().flatten().map(|tag| tag.name.clone()).collect();
        let mut ids = BTreeSet::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let at = format!("{method} {path}");
                let id = operation.operation_id.clone().unwrap();
                assert!(ids.insert(id), "{at}: the operation id is taken");
                let summary = operation.summary.as_deref().unwrap_or_default();
                assert!(summary.ends_with('.'), "{at}: the summary is no sentence: {summary}");
                let [tag] = operation.tags.as_deref().unwrap_or_default() else {
                    panic!("{at} has not one tag");
                };
                assert!(tags.contains(tag), "{at}: the tag {tag} has no description");
                for parameter in operation.parameters.iter().flatten() {
                    let RefOr::T(parameter) = parameter else { continue };
                    let name = &parameter.name;
                    assert!(parameter.description.is_some(), "{at}: {name} is not described");
                }
            }
        }
    }

    #[test]
    fn every_parameter_of_a_path_is_declared_in_its_order() {
        let mut document = document();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let declared = operation.parameters.iter().flatten();
                let declared = declared.filter(|given| is_in_path(given)).filter_map(name_of);
                assert!(declared.eq(names(path)), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_leads_to_something() {
        fn check(document: &Value, at: &Value) {
            match at {
                Value::Object(fields) => {
                    if let Some(Value::String(to)) = fields.get("$ref") {
                        let to = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(to).is_some(), "there is no {to}");
                    }
                    fields.values().for_each(|value| check(document, value));
                }
                Value::Array(items) => items.iter().for_each(|item| check(document, item)),
                _ => {}
            }
        }
        let document = serde_json::to_value(document()).unwrap();
        check(&document, &document);
    }
}
