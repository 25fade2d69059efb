//! Where scripts differ from plain Rhai, and what must not differ.

use crate::fake::{World, get, get_with, request, send};

#[track_caller]
fn check(main: &str, expected: &str) {
    assert_eq!(get(main), expected, "{main}");
}

#[test]
fn a_function_never_hides_a_method() {
    let world = World::default();
    let main = r#"
        const USERS = kv::collection("users");
        fn get(req) {
            USERS.set("ann", #{get: "field"});
            [USERS.get("ann").get, USERS.delete("ann"), USERS.count(), text("x")]
        }
        fn delete(key) { "hidden" }
        fn count() { "hidden" }
        fn set(key, value) { throw "hidden" }
        fn text(x) { "own " + x }
    "#;
    assert_eq!(get_with(&world, main), r#"["field",true,0,"own x"]"#);
}

#[test]
fn a_module_may_wrap_a_collection_in_functions_of_the_same_names() {
    let files = [(
        "lib/users.rhai",
        r#"
        const USERS = kv::collection("users");
        fn get(name) { USERS.get(name) }
        fn set(name, value) { USERS.set(name, value); get(name) }
        "#,
    )];
    let main = r#"
        import "lib/users" as users;
        fn get(req) { [users::get("ann"), users::set("ann", 3), users::get("ann")] }
    "#;
    let response = send(&World::default(), main, &files, request("GET")).unwrap();
    assert_eq!(String::from_utf8(response.body).unwrap(), "[null,3,3]");
}

#[test]
fn rhais_own_methods_of_those_names_work_on() {
    check(
        r#"
        fn get(req) {
            let a = [1, 2, 3];
            let m = #{k: 5};
            a.set(0, 9);
            m.set("n", 6);
            [a.get(0), m.get("k"), m.get("none"), "abc".get(1), m.keys(), m.n]
        }
        fn set(a, b) { "hidden" }
        fn keys() { "hidden" }
        "#,
        r#"[9,5,null,"b",["k","n"],6]"#,
    );
}

#[test]
fn a_function_of_such_a_name_is_still_called_as_a_method_of_other_values() {
    check(
        r#"
        fn text() { "text of " + this }
        fn get(req) { let o = #{get: |x| this.base + x, base: 40}; [5.text(), o.get(2)] }
        "#,
        r#"["text of 5",42]"#,
    );
}

#[test]
fn handlers_may_call_one_another() {
    check("fn post(req) { req.method + 1 } fn get(req) { post(req) }", "GET1");
}

#[test]
fn a_method_call_is_recognised_wherever_it_is_written() {
    check(
        r#"
        fn get(req) {
            let c = kv::collection("c");
            c.set("é", 1);
            let é_free = 2; // é moves columns, not bytes
            let s = "é"; let v = c . get (s);
            let w = c?.get("é");
            `${c.get("é")} ${v} ${w} ${c
                .get("é")}`
        }
        "#
        .replace("é_free", "free")
        .as_str(),
        "1 1 1 1",
    );
}

#[test]
fn constants_are_seen_by_functions_and_may_be_hidden_by_locals() {
    check(
        r"
        const LIMIT = 3;
        const LIST = [1, 2];
        fn plain() { LIMIT + LIST.len }
        fn hidden(LIMIT) { LIMIT }
        fn local() { let LIMIT = 8; LIMIT }
        fn closure() { [1].map(|x| x + LIMIT) }
        fn explicit() { global::LIMIT }
        fn get(req) { [plain(), hidden(7), local(), closure(), explicit(), LIST[1], `${LIMIT}`] }
        ",
        r#"[5,7,8,[4],3,2,"3"]"#,
    );
}

#[test]
fn a_constant_cannot_be_changed_from_a_function() {
    let main = "const A = [1]; fn get(req) { A.push(2); A }";
    let error = send(&World::default(), main, &[], request("GET")).unwrap_err();
    assert!(error.message.contains("constant"), "{}", error.message);
}

#[test]
fn what_would_reach_outside_is_absent() {
    for name in ["sleep(1)", "timestamp()", "eval(\"1\")", "open_file(\"x\")"] {
        let main = format!("fn get(req) {{ {name} }}");
        match picloud_guest::Script::compile(
            Box::new(World::default()),
            crate::fake::program(&main, &[]),
        ) {
            Err(_) => {}
            Ok((script, _)) => {
                let event = picloud_guest::model::Event::Http(request("GET"));
                let error = script.handle(crate::fake::invocation(), event).unwrap_err();
                assert!(error.message.starts_with("Function not found"), "{}", error.message);
            }
        }
    }
}
