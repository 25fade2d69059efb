//! Every function of the SDK with arguments that it should not be given: an
//! error with a code, a message, a service and the script's line.

use picloud_guest::sdk::Registration;
use picloud_guest::sdk::register::Kind;
use picloud_guest::{model::ScriptError, reference};

use crate::fake::{World, code, get, request, send, thrown};

/// Values that a function must take or refuse, each on a line of its own.
const POOL: &str = r#"
    (), true, 0, -1, 1, 255, 9223372036854775807, -9223372036854775807 - 1,
    1.5, 1.0 / 0.0, "", "x", "\u0000", "ä€😀", "/../" + x, "%", "(", "{{",
    x, 'c', [], [1, ()], [x, [#{}]], #{}, #{nope: 1}, #{a: x}, blob(0), blob(3, 255),
    |x| x, || throw #{code: "own", message: "own", service: "own"}, kv::collection("c"), req
"#;
/// What is tried where the whole pool would be too many combinations.
const SMALL_POOL: &str = r#"
    (), 0, -1, 9223372036854775807, "x", "", x, [], #{}, #{nope: 1}, blob(3, 255), |x| x,
    kv::collection("c")
"#;

/// How a call of a function is written, up to its arguments.
fn callee(one: &Registration) -> String {
    let receiver = match (one.namespace, one.kind, one.name()) {
        (namespace, Kind::Function, name) => return format!("{namespace}::{name}"),
        (_, Kind::Global, name) => return name.to_owned(),
        ("kv", ..) => "kv::collection(\"c\")",
        ("queue", ..) => "queue::named(\"mail\")",
        ("files", ..) => "files::bucket(\"b\")",
        ("http", ..) => "http::get(\"http://h/\")",
        ("response", ..) => "response::status(200)",
        ("req", _, "to_map") => "req.headers",
        ("req", ..) => "req",
        _ => panic!("how does a script come by what has the method {}?", one.signature),
    };
    format!("{receiver}.{}", one.name())
}

fn callables() -> impl Iterator<Item = Registration> {
    reference(Box::new(World::default())).into_iter().filter(|one| one.kind != Kind::Property)
}

/// A script that calls `callee` with every combination of so many values.
/// It answers how often a value came back, the codes, and what was amiss.
fn walk(callee: &str, namespace: &str, arity: usize) -> String {
    let pool = if arity <= 2 { POOL } else { SMALL_POOL };
    let names: Vec<String> = (0..arity).map(|n| format!("a{n}")).collect();
    let open: Vec<String> = names.iter().map(|name| format!("for {name} in pool {{")).collect();
    let open = open.join(" ");
    let close = "} ".repeat(arity);
    let arguments = names.join(", ");
    format!(
        r#"
        fn get(req) {{
            let x = "x";
            while x.len < 3000 {{ x += x; }}
            let pool = [{pool}];
            let values = 0;
            let codes = #{{}};
            let amiss = [];
            {open}
                try {{
                    {callee}({arguments});
                    values += 1;
                }} catch (e) {{
                    let own = type_of(e) == "map" && e.service == "own";
                    if type_of(e) != "map" || type_of(e.code) != "string" || e.code == ""
                        || type_of(e.message) != "string" || e.message == ""
                        || (e.service != "{namespace}" && !own) {{
                        amiss.push(`${{e}} ${{[{arguments}]}}`);
                    }} else {{
                        codes[e.code] = true;
                    }}
                }}
            {close}
            #{{values: values, codes: codes.keys(), amiss: amiss}}
        }}
        "#
    )
}

#[test]
fn every_function_takes_or_refuses_whatever_it_is_given() {
    for one in callables() {
        for arity in 0..=(one.arity() + 1).min(4) {
            let script = walk(&callee(&one), one.namespace, arity);
            let answer = get(&script);
            let shown: String = answer.chars().take(1_000).collect();
            assert!(answer.starts_with(r#"{"amiss":[],"#), "{} {shown}", one.signature);
            let takes_options = one.signature.split(" -> ").next().unwrap().contains("#{");
            if takes_options && arity == one.arity() {
                assert!(answer.contains("\"unknown_option\""), "{} {answer}", one.signature);
            }
        }
    }
}

#[test]
fn every_function_says_what_it_takes_and_where_it_was_called() {
    for one in callables() {
        let call = format!("{}((), (), (), (), (), (), ())", callee(&one));
        let error = thrown(&format!("fn get(req) {{\n\n    {call}\n}}"));
        assert_eq!(error.code.as_deref(), Some("invalid_argument"), "{call}");
        assert_eq!(error.position.as_ref().map(|at| at.line), Some(3), "{call}");
        let takes = match one.kind {
            Kind::Method => format!("{} of a ", one.name()),
            Kind::Global => format!("{} takes (", one.name()),
            _ => format!("{}::{} takes (", one.namespace, one.name()),
        };
        assert!(error.message.starts_with(&takes), "{call} {}", error.message);
        let given = "; it was called with ((), (), (), (), (), (), ())";
        assert!(error.message.ends_with(given), "{call} {}", error.message);
    }
}

#[track_caller]
fn check(call: &str, message: &str) {
    let ScriptError { message: actual, code, .. } = thrown(call);
    assert_eq!((actual.as_str(), code.as_deref()), (message, Some("invalid_argument")), "{call}");
}

#[test]
fn a_message_names_parameters_and_their_types() {
    check("kv::collection(1)", "kv::collection takes (name: string); it was called with (int)");
    check("kv::collection()", "kv::collection takes (name: string); it was called with ()");
    check(
        "kv::collection(\"c\").set(1, 2)",
        "set of a kv collection takes (key: string, value) or (key: string, value, #{ttl}); it was \
         called with (int, int)",
    );
    check(
        "kv::collection(\"c\").update(\"k\", 5)",
        "update of a kv collection takes (key: string, |value| …); it was called with (string, int)",
    );
    check(
        "response::status(req)",
        "response::status takes (code: int); it was called with (request)",
    );
    check(
        "response::status(200).status(\"404\")",
        "status of a response takes (code: int); it was called with (string)",
    );
    check("json::parse(blob(1))", "json::parse takes (text: string); it was called with (blob)");
}

#[test]
fn it_can_be_caught() {
    assert_eq!(code("kv::collection(1.5)"), "kv invalid_argument");
    assert_eq!(code("kv::collection(\"c\").get()"), "kv invalid_argument");
    // Values that a closure shares have types like others.
    assert_eq!(code("let n = 1; let f = || n += 1; kv::collection(n)"), "kv invalid_argument");
}

#[test]
fn a_function_that_is_not_there_is_told_the_nearest() {
    let error = thrown("kv::colection(\"c\")");
    assert_eq!(error.code.as_deref(), Some("unknown_function"));
    assert_eq!(error.message, "there is no function kv::colection; did you mean kv::collection?");
    assert_eq!(error.position.unwrap().column, 5);
    assert_eq!(thrown("kv::nope()").message, "there is no function kv::nope");
    assert_eq!(code("kv::nope()"), "kv unknown_function");
}

#[test]
fn a_function_that_is_passed_takes_one_argument() {
    let script = r#"kv::collection("c").update("k", |a, b| a)"#;
    check(script, "the function that update is given must take one argument");
    // An error of its own is not mistaken for one of its call.
    let error = thrown(r#"kv::collection("c").update("k", |a| nope(a))"#);
    assert_eq!(error.message, "Function not found: nope(())");
}

#[test]
fn functions_of_the_script_are_called_as_ever() {
    let main = r#"
        fn get(key) { `own ${key}` }
        fn set(a, b, c, d) { a + b + c + d }
        fn handle(req) { let c = kv::collection("c"); [get(1), set(1, 2, 3, 4), c.get("k")] }
    "#;
    let response = send(&World::default(), main, &[], request("POST")).unwrap();
    assert_eq!(response.body, br#"["own 1",10,null]"#);
    // The method is the collection's although the file has a function get.
    let main = "fn get(req) { kv::collection(\"c\").get(1) }";
    check(main, "get of a kv collection takes (key: string); it was called with (int)");
}

#[test]
fn calls_in_files_that_are_parsed_at_run_time_are_checked_too() {
    let main = "let p = \"late\"; import p as late; late::run()";
    for (call, message) in [
        ("kv::collection(1)", "kv::collection takes (name: string); it was called with (int)"),
        (
            "kv::collection(\"c\").has()",
            "has of a kv collection takes (key: string); it was called with ()",
        ),
    ] {
        let late = format!("fn run() {{ {call} }}");
        let files = [("late.rhai", late.as_str())];
        let error = send(&World::default(), main, &files, request("GET")).unwrap_err();
        assert_eq!(error.message, message);
        assert_eq!(error.position.unwrap().file, "late.rhai");
    }
}
