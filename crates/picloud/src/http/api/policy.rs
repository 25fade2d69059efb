//! Who may call what. Each handler says so in its `security`, which the
//! document shows to clients and which is all that the middleware goes by:
//! what says nothing is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::Method;
use picloud_manager_core::Need;
use utoipa::openapi::path::Operation;

use super::{PREFIX, document, routes};

/// What an operation says of who may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Rule {
    pub(in crate::http) need: Need,
    /// Whether it makes the app that its path names, if there is none.
    pub(in crate::http) creates: bool,
    /// The operation's name.
    pub(in crate::http) operation: Arc<str>,
}

/// The rule of every operation.
pub(in crate::http) struct Policy {
    /// By the route as the router knows it.
    rules: HashMap<String, HashMap<Method, Rule>>,
}

impl Policy {
    /// What the handlers say.
    pub(in crate::http) fn new() -> Self {
        let rules = routes().into_openapi().paths.paths.into_iter().map(|(path, mut item)| {
            let operations = document::operations(&mut item);
            let rules =
                operations.filter_map(|(method, operation)| Some((method, rule(operation)?)));
            (path, rules.collect())
        });
        Self { rules: rules.collect() }
    }

    /// What calling `method` on the route takes, the router's matched path.
    /// `None` is to be refused: there is no such operation, or it does not say.
    pub(in crate::http) fn of(&self, method: &Method, matched_path: &str) -> Option<&Rule> {
        let rules = self.rules.get(matched_path.strip_prefix(PREFIX)?)?;
        // The router answers HEAD where there is GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        rules.get(method)
    }
}

/// The rule that an operation states, if it states one and only one.
fn rule(operation: &Operation) -> Option<Rule> {
    let [requirement] = operation.security.as_deref()? else { return None };
    // What it holds is shown to serde alone.
    let mut schemes: BTreeMap<String, Vec<String>> =
        serde_json::from_value(serde_json::to_value(requirement).ok()?).ok()?;
    let operation = Arc::from(operation.operation_id.as_deref()?);
    if schemes.is_empty() {
        return Some(Rule { need: Need::Public, creates: false, operation });
    }
    let needs = schemes.remove(document::TOKEN).filter(|_| schemes.is_empty())?;
    let needs: Vec<_> = needs.iter().map(String::as_str).collect();
    let (need, creates) = match *needs {
        ["any"] => (Need::Any, false),
        ["user"] => (Need::User, false),
        ["read"] => (Need::Read, false),
        ["deploy"] => (Need::Deploy, false),
        ["deploy", "create"] => (Need::Deploy, true),
        ["admin"] => (Need::Admin, false),
        ["instance"] => (Need::Instance, false),
        _ => return None,
    };
    Some(Rule { need, creates, operation })
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
                assert!(rule(operation).is_some(), "{method} {path} has no valid `security`");
            }
        }
    }

    #[test]
    fn an_operation_is_found_by_the_path_that_the_router_matched() {
        let policy = Policy::new();
        let of = |method, path: &str| {
            let rule = policy.of(&method, &format!("{PREFIX}{path}"));
            rule.map(|rule| (rule.need, rule.creates))
        };
        assert_eq!(of(Method::GET, "/openapi.json"), Some((Need::Public, false)));
        assert_eq!(of(Method::GET, "/apps"), Some((Need::User, false)));
        assert_eq!(of(Method::GET, "/apps/{app}"), Some((Need::Read, false)));
        assert_eq!(of(Method::HEAD, "/apps/{app}"), Some((Need::Read, false)));
        assert_eq!(of(Method::PUT, "/apps/{app}"), Some((Need::Deploy, true)));
        assert_eq!(of(Method::DELETE, "/apps/{app}"), Some((Need::Admin, false)));
        let entry = "/apps/{app}/kv/{collection}/{*key}";
        assert_eq!(of(Method::GET, entry), Some((Need::Read, false)));
        assert_eq!(of(Method::PUT, entry), Some((Need::Deploy, false)));
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
            let operation = OperationBuilder::new().operation_id(Some("test"));
            let rule = rule(&operation.securities(Some(requirements)).build());
            rule.map(|rule| (rule.need, rule.creates))
        };
        assert_eq!(of(vec![token(&["deploy"])]), Some((Need::Deploy, false)));
        assert_eq!(of(vec![SecurityRequirement::default()]), Some((Need::Public, false)));
        assert_eq!(rule(&Operation::new()), None);
        for refused in [
            vec![],
            vec![token(&[])],
            vec![token(&["write"])],
            vec![token(&["read", "deploy"])],
            vec![token(&["read", "create"])],
            vec![token(&["read"]), token(&["deploy"])],
            vec![token(&["read"]), SecurityRequirement::default()],
            vec![token(&["read"]).add("other", ["read"])],
            vec![SecurityRequirement::new("other", ["read"])],
        ] {
            assert_eq!(of(refused.clone()), None, "{:?}", serde_json::to_value(refused));
        }
    }
}
