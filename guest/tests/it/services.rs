//! Every function, method and property of the SDK: one line each at least, in a
//! file per namespace. A registration without a line fails
//! `every_registration_has_a_case`.

mod app;
mod base64;
mod config;
mod crypto;
mod csv;
mod events;
mod files;
mod hex;
mod html;
mod http;
mod json;
mod kv;
mod log;
mod queue;
mod random;
mod regex;
mod req;
mod response;
mod secrets;
mod template;
mod test;
mod time;
mod url;

use std::collections::BTreeSet;

use picloud_guest::reference;

use crate::fake::{World, code, get_with, request, send};

/// The signature as registered, a script, and what it answers.
pub type Case = (&'static str, &'static str, &'static str);
/// An expression, and the code that it throws.
pub type Failure = (&'static str, &'static str);

const NAMESPACES: &[(&str, &[Case], &[Failure])] = &[
    ("kv", kv::CASES, kv::FAILURES),
    ("events", events::CASES, events::FAILURES),
    ("queue", queue::CASES, queue::FAILURES),
    ("files", files::CASES, files::FAILURES),
    ("http", http::CASES, http::FAILURES),
    ("secrets", secrets::CASES, secrets::FAILURES),
    ("config", config::CASES, config::FAILURES),
    ("log", log::CASES, log::FAILURES),
    ("response", response::CASES, response::FAILURES),
    ("req", req::CASES, req::FAILURES),
    ("json", json::CASES, json::FAILURES),
    ("csv", csv::CASES, csv::FAILURES),
    ("base64", base64::CASES, base64::FAILURES),
    ("hex", hex::CASES, hex::FAILURES),
    ("url", url::CASES, url::FAILURES),
    ("regex", regex::CASES, regex::FAILURES),
    ("html", html::CASES, html::FAILURES),
    ("template", template::CASES, template::FAILURES),
    ("time", time::CASES, time::FAILURES),
    ("random", random::CASES, random::FAILURES),
    ("crypto", crypto::CASES, crypto::FAILURES),
    ("app", app::CASES, app::FAILURES),
    ("test", test::CASES, test::FAILURES),
];

fn run(namespace: &str, script: &str) -> String {
    let world = World::default();
    match namespace {
        "kv" => {
            for (key, json) in [("a", "1"), ("b", "\"two\""), ("c", "[3.0]")] {
                world.put("c", key, json);
            }
            get_with(&world, &format!("let c = kv::collection(\"c\"); {script}"))
        }
        "log" => {
            get_with(&world, script);
            world.log().join("\n")
        }
        "response" => {
            let response = send(&world, script, &[], request("GET")).unwrap();
            let headers: Vec<_> =
                response.headers.iter().map(|(name, value)| format!("{name}: {value} ")).collect();
            let headers = headers.concat();
            let body = String::from_utf8(response.body).unwrap();
            format!("{} {headers}| {body}", response.status)
        }
        "files" => {
            let bucket =
                r#"let b = files::bucket("b"); b.put("x.txt", "x"); b.put("y/z.txt", "yz"); "#;
            get_with(&world, &format!("{bucket}{script}"))
        }
        "http" => get_with(&world, &format!(r#"let a = http::get("http://h/json"); {script}"#)),
        "template" => {
            let response = send(&world, script, template::FILES, request("GET")).unwrap();
            String::from_utf8(response.body).unwrap()
        }
        _ => get_with(&world, script),
    }
}

#[test]
fn every_case_answers_as_it_says() {
    for (namespace, cases, _) in NAMESPACES {
        for (signature, script, expected) in *cases {
            assert_eq!(&run(namespace, script), expected, "{namespace} {signature}\n{script}");
        }
    }
}

#[test]
fn every_registration_has_a_case() {
    let registered: BTreeSet<_> = reference(Box::new(World::default()))
        .iter()
        .map(|one| (one.namespace, one.signature))
        .collect();
    let cases: BTreeSet<_> = NAMESPACES
        .iter()
        .flat_map(|(namespace, cases, _)| cases.iter().map(|case| (*namespace, case.0)))
        .collect();
    assert_eq!(cases.difference(&registered).collect::<Vec<_>>(), [&("", ""); 0], "not registered");
    assert_eq!(registered.difference(&cases).collect::<Vec<_>>(), [&("", ""); 0], "without a case");
    for (namespace, cases, _) in NAMESPACES {
        for (signature, script, _) in *cases {
            let name = signature.split(['(', ' ']).next().unwrap();
            assert!(script.contains(name), "the case of {namespace} {signature} does not use it");
        }
    }
}

#[test]
fn failures_throw_a_code() {
    for (namespace, _, failures) in NAMESPACES {
        for (expression, expected) in *failures {
            assert_eq!(code(expression), format!("{namespace} {expected}"), "{expression}");
        }
    }
}
