//! Who may call what. Each handler says so in its `security`, which the
//! document shows to clients and which is all that the middleware goes by:
//! what says nothing is refused.

use std::collections::{BTreeMap, HashMap};

use http::Method;
use utoipa::openapi::path::Operation;

use super::{PREFIX, document, routes};

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::http) enum Need {
    /// Nothing.
    Public,
    /// An account.
    User,
    /// The role `viewer` of the app, or a higher one.
    Read,
    /// The role `developer` of the app, or a higher one.
    Deploy,
    /// The role `owner` of the app.
    Admin,
    /// The role `admin` of the instance.
    Instance,
}

/// The need of every operation.
pub(in crate::http) struct Policy {
    /// By the route as the router knows it.
    needs: HashMap<String, HashMap<Method, Need>>,
}

impl Policy {
    /// What the handlers say.
    pub(in crate::http) fn new() -> Self {
        let needs = routes().into_openapi().paths.paths.into_iter().map(|(path, mut item)| {
            let operations = document::operations(&mut item);
            let needs =
                operations.filter_map(|(method, operation)| Some((method, need(operation)?)));
            (path, needs.collect())
        });
        Self { needs: needs.collect() }
    }

    /// What calling `method` on the route takes, the router's matched path.
    /// `None` is to be refused: there is no such operation, or it does not say.
    pub(in crate::http) fn of(&self, method: &Method, matched_path: &str) -> Option<Need> {
        let needs = self.needs.get(matched_path.strip_prefix(PREFIX)?)?;
        // The router answers HEAD where there is GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        needs.get(method).copied()
    }
}

/// The need that an operation states, if it states one and only one.
fn need(operation: &Operation) -> Option<Need> {
    let [requirement] = operation.security.as_deref()? else { return None };
    // What it holds is shown to serde alone.
    let schemes: BTreeMap<String, Vec<String>> =
        serde_json::from_value(serde_json::to_value(requirement).ok()?).ok()?;
    if schemes.is_empty() {
        return Some(Need::Public);
    }
    let (1, [need]) = (schemes.len(), schemes.get(document::TOKEN)?.as_slice()) else {
        return None;
    };
    Some(match need.as_str() {
        "user" => Need::User,
        "read" => Need::Read,
        "deploy" => Need::Deploy,
        "admin" => Need::Admin,
        "instance" => Need::Instance,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::OperationBuilder;
    use utoipa::openapi::security::SecurityRequirement;

    use super::*;

    #[test]
    fn every_operation_says_who_may_call_it() {
        for (path, mut item) in routes().into_openapi().paths.paths {
            for (method, operation) in document::operations(&mut item) {
                assert!(need(operation).is_some(), "{method} {path} has no valid `security`");
            }
        }
    }

    #[test]
    fn an_operation_is_found_by_the_path_that_the_router_matched() {
        let policy = Policy::new();
        let of = |method, path: &str| policy.of(&method, &format!("{PREFIX}{path}"));
        assert_eq!(of(Method::GET, "/openapi.json"), Some(Need::Public));
        assert_eq!(of(Method::GET, "/apps"), Some(Need::User));
        assert_eq!(of(Method::GET, "/apps/{app}"), Some(Need::Read));
        assert_eq!(of(Method::HEAD, "/apps/{app}"), Some(Need::Read));
        assert_eq!(of(Method::PUT, "/apps/{app}"), Some(Need::User));
        assert_eq!(of(Method::DELETE, "/apps/{app}"), Some(Need::Admin));
        let entry = "/apps/{app}/kv/{collection}/{*key}";
        assert_eq!(of(Method::GET, entry), Some(Need::Read));
        assert_eq!(of(Method::PUT, entry), Some(Need::Deploy));
    }

    #[test]
    fn what_is_not_in_the_document_is_refused() {
        let policy = Policy::new();
        for (method, path) in [
            (Method::PATCH, "/api/v1/apps/{app}"),
            (Method::GET, "/api/v1/apps/hello"),
            (Method::GET, "/api/v1/nothing"),
            (Method::GET, "/apps"),
            (Method::GET, "/api/v1"),
            (Method::GET, ""),
        ] {
            assert_eq!(policy.of(&method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn security_that_is_not_one_known_need_is_none() {
        let token = |needs: &[&str]| SecurityRequirement::new("token", needs.to_vec());
        let of = |requirements: Vec<SecurityRequirement>| {
            let operation = OperationBuilder::new().securities(Some(requirements));
            need(&operation.build())
        };
        assert_eq!(of(vec![token(&["deploy"])]), Some(Need::Deploy));
        assert_eq!(of(vec![SecurityRequirement::default()]), Some(Need::Public));
        assert_eq!(need(&Operation::new()), None);
        for refused in [
            vec![],
            vec![token(&[])],
            vec![token(&["write"])],
            vec![token(&["read", "deploy"])],
            vec![token(&["read"]), token(&["deploy"])],
            vec![token(&["read"]), SecurityRequirement::default()],
            vec![token(&["read"]).add("other", ["read"])],
            vec![SecurityRequirement::new("other", ["read"])],
        ] {
            assert_eq!(of(refused.clone()), None, "{:?}", serde_json::to_value(refused));
        }
    }
}
