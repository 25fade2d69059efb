//! Which function answers, and what its value becomes.

use picloud_guest::model::{Event, Response};

use crate::fake::{World, compile, get, invocation, named, request, send};

fn answer(main: &str, method: &str) -> Response {
    send(&World::default(), main, &[], request(method)).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

#[track_caller]
fn check(main: &str, method: &str, status: u16, body: &str) {
    let response = answer(main, method);
    assert_eq!(
        (response.status, String::from_utf8_lossy(&response.body).as_ref()),
        (status, body),
        "{method} {main}"
    );
}

const BOTH: &str = r#"
    fn get(req) { "got" }
    fn delete(req) { () }
"#;

#[test]
fn a_method_is_answered_by_the_function_of_its_name() {
    for method in ["get", "post", "put", "patch", "delete", "head", "options"] {
        let main = format!("fn {method}(req) {{ req.method }} fn other(req) {{ 1 }}");
        check(&main, &method.to_uppercase(), 200, &method.to_uppercase());
    }
}

#[test]
fn handle_answers_what_has_no_function() {
    let main = "fn get(req) { \"get\" } fn handle(req) { \"any \" + req.method }";
    check(main, "GET", 200, "get");
    check(main, "HEAD", 200, "get");
    check(main, "PUT", 200, "any PUT");
    check(main, "OPTIONS", 200, "any OPTIONS");
    check(main, "PROPFIND", 200, "any PROPFIND");
    check("fn handle(req) { 1 }", "HEAD", 200, "1");
}

#[test]
fn a_method_without_a_function_is_not_allowed() {
    let response = answer(BOTH, "POST");
    assert_eq!(response.status, 405);
    assert_eq!(header(&response, "allow"), Some("GET, DELETE, HEAD"));
    assert_eq!(answer(BOTH, "BREW").status, 405);
    assert_eq!(answer("fn post(req) {}", "GET").status, 405);
}

#[test]
fn options_says_what_is_allowed() {
    let response = answer(BOTH, "OPTIONS");
    assert_eq!((response.status, header(&response, "allow")), (204, Some("GET, DELETE, HEAD")));
}

#[test]
fn head_falls_back_to_get() {
    check(BOTH, "HEAD", 200, "got");
}

#[test]
fn a_file_without_functions_answers_with_its_value() {
    for method in ["GET", "POST", "BREW"] {
        check(r#""hello " + req.query.name"#, method, 200, "hello Ann");
    }
    check("fn twice(x) { x * 2 } twice(21)", "GET", 200, "42");
    check("const X = 4; fn twice(x) { x * X } twice(X)", "GET", 200, "16");
}

#[test]
fn a_function_may_take_no_parameters() {
    check("fn get() { 1 }", "GET", 200, "1");
    let error = send(&World::default(), "fn get(a, b) { 1 }", &[], request("GET")).unwrap_err();
    assert_eq!(error.message, "get in main.rhai must take one parameter, or none");
}

#[test]
fn a_private_function_is_no_handler() {
    check("private fn get(req) { 1 } 2", "GET", 200, "2");
}

#[test]
fn top_level_statements_are_in_effect_in_functions() {
    let world = World::default();
    let main = r#"
        import "lib" as lib;
        const GREETING = "hello";
        const USERS = kv::collection("users");
        fn name() { let upper = |x| lib::shout(x + GREETING.len); upper.call("ann") }
        fn get(req) { USERS.set("a", 1); GREETING + " " + name() + USERS.count() }
    "#;
    let files = [("lib.rhai", "const MARK = \"!\"; fn shout(x) { x.to_upper() + MARK }")];
    let response = send(&world, main, &files, request("GET")).unwrap();
    assert_eq!(String::from_utf8(response.body).unwrap(), "hello ANN5!1");
}

#[test]
fn a_handler_named_by_the_route_is_called_and_no_other() {
    let (script, info) = compile(
        &World::default(),
        "fn b(req) { req.path } fn a(event) { event.name + event.key } fn get(req) { 0 }",
        &[],
    );
    assert_eq!(info.functions, ["b", "a", "get"]);
    let call = |name: &str, event: Event| {
        let mut invocation = invocation();
        invocation.function = Some(name.into());
        script.handle(invocation, event).map(|response| String::from_utf8(response.body).unwrap())
    };
    assert_eq!(call("b", Event::Http(request("POST"))).unwrap(), "/a%20b");
    assert_eq!(call("a", named("kv", "set", r#"{"key": "k"}"#)).unwrap(), "");
    let missing = call("c", Event::Http(request("GET"))).unwrap_err();
    assert_eq!(missing.message, "main.rhai has no function c");
}

#[test]
fn events_go_to_the_function_for_their_service() {
    let main = r"
        fn on_event(event) { print(`${event.service}.${event.name} ${event.n}`); |x| x }
        fn on_schedule(tick) { print(`tick ${tick.n}`); 1 }
        fn on_message(message) { print(`message ${message.n}`); }
    ";
    let world = World::default();
    let (script, _) = compile(&world, main, &[]);
    for (service, name, expected) in [
        ("kv", "set", "kv.set 1"),
        ("schedule", "fire", "tick 1"),
        ("queue", "message", "message 1"),
        ("events", "publish", "events.publish 1"),
    ] {
        let response = script.handle(invocation(), named(service, name, r#"{"n":1}"#)).unwrap();
        // Whatever their value is, nobody reads it.
        assert_eq!((response.status, response.body), (204, vec![]));
        assert_eq!(world.log().pop().unwrap(), format!("info {expected}"));
    }
    let (script, _) = compile(&World::default(), "1", &[]);
    let error = script.handle(invocation(), named("queue", "message", "{}")).unwrap_err();
    assert_eq!(error.message, "main.rhai has no function on_message");
}

#[test]
fn a_value_becomes_an_answer_by_its_type() {
    let text = "text/plain; charset=utf-8";
    let json = "application/json";
    for (value, status, content_type, body) in [
        ("()", 204, None, ""),
        ("\"\"", 200, Some(text), ""),
        ("\"é\"", 200, Some(text), "é"),
        ("'c'", 200, Some(json), "\"c\""),
        ("42", 200, Some(json), "42"),
        ("1.0", 200, Some(json), "1.0"),
        ("true", 200, Some(json), "true"),
        ("[1, [], ()]", 200, Some(json), "[1,[],null]"),
        ("#{status: 404, body: \"x\"}", 200, Some(json), r#"{"body":"x","status":404}"#),
        ("blob(2, 65)", 200, Some("application/octet-stream"), "AA"),
        (
            "req.headers",
            200,
            Some(json),
            r#"{"accept":"text/html, */*","cookie":"a=1; b=two","user-agent":"test"}"#,
        ),
    ] {
        for main in [value.to_owned(), format!("fn get(req) {{ {value} }}")] {
            let response = answer(&main, "GET");
            assert_eq!(response.status, status, "{main}");
            assert_eq!(header(&response, "content-type"), content_type, "{main}");
            assert_eq!(String::from_utf8_lossy(&response.body), body, "{main}");
        }
    }
}

#[test]
fn a_thrown_response_is_an_early_exit() {
    check(
        "fn check() { throw response::status(404).header(\"x-a\", \"b\") } fn get(req) { check(); 1 }",
        "GET",
        404,
        "",
    );
    check("throw response::text(\"no\").status(403)", "GET", 403, "no");
    check("if true { return 7 } 8", "GET", 200, "7");
    check("fn get(req) { exit(9); 8 }", "GET", 200, "9");
}

#[test]
fn a_body_that_cannot_be_read_is_the_clients_mistake() {
    for read in ["req.text()", "req.json()", "req.form()"] {
        let mut bad = request("POST");
        bad.body = vec![0xff, 0xfe];
        let main = format!("fn post(req) {{ {read} }}");
        // Uncaught it is an error like any other; the host answers 400.
        let error = send(&World::default(), &main, &[], bad.clone()).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("invalid_body"), "{read}");
        assert_eq!(error.message, "the request's body is not UTF-8 text", "{read}");
        let main = format!("fn post(req) {{ try {{ {read} }} catch (e) {{ return e.code; }} }}");
        let response = send(&World::default(), &main, &[], bad.clone()).unwrap();
        assert_eq!(response.body, b"invalid_body", "{read}");
        let main = "fn post(req) { req.bytes() }";
        assert_eq!(send(&World::default(), main, &[], bad).unwrap().body, [0xff, 0xfe]);
    }
    let mut bad = request("POST");
    bad.body = b"{".to_vec();
    let error = send(&World::default(), "req.json()", &[], bad).unwrap_err();
    assert_eq!(error.code.as_deref(), Some("invalid_body"));
}

#[test]
fn each_invocation_sees_its_own_request() {
    let (script, _) = compile(&World::default(), "fn get(req) { req.path + req.id }", &[]);
    for n in 0..3 {
        let mut invocation = invocation();
        invocation.id = n.to_string();
        let mut request = request("GET");
        request.path = format!("/{n}/");
        let response = script.handle(invocation, Event::Http(request)).unwrap();
        assert_eq!(String::from_utf8(response.body).unwrap(), format!("/{n}/{n}"));
    }
}

#[test]
fn one_program_with_one_seed_gives_one_answer() {
    let main = "[random::uuid(), random::int(0, 1000000), random::shuffle([1, 2, 3, 4, 5])]";
    assert_eq!(get(main), get(main));
}
