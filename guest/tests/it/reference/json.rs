//! Definitions for editors that speak no Rhai: what completes a name, and what is
//! shown of it.

use picloud_guest::sdk::Registration;
use picloud_guest::sdk::register::Kind;
use serde_json::{Value, json};

use super::{Namespace, prefix, variable};

/// The definitions of everything, in the reference's order.
pub fn of(namespaces: &[Namespace]) -> String {
    let namespace = |one: &Namespace| {
        let all = one.entries.iter().flat_map(|entry| &entry.overloads);
        let functions: Vec<Value> = all.map(definition).collect();
        json!({ "name": one.name, "doc": one.doc, "functions": functions })
    };
    let namespaces: Vec<Value> = namespaces.iter().map(namespace).collect();
    let mut text = serde_json::to_string_pretty(&json!({ "namespaces": namespaces })).unwrap();
    text.push('\n');
    text
}

fn definition(one: &Registration) -> Value {
    let kind = match one.kind {
        Kind::Function => "function",
        Kind::Method => "method",
        Kind::Property => "property",
        Kind::Global => "global",
    };
    let parameters = one.parameters().into_iter();
    let parameters: Vec<Value> = parameters
        .map(|parameter| json!({ "name": parameter.name, "type": parameter.of }))
        .collect();
    json!({
        "name": one.name(),
        "kind": kind,
        // The value that has the method or property, by the name that it has in
        // the reference.
        "of": one.receiver.map(variable),
        "signature": format!("{}{}", prefix(one), one.signature),
        "parameters": parameters,
        "returns": one.signature.rsplit_once(" -> ").map(|(_, of)| of),
        "doc": one.doc,
    })
}
