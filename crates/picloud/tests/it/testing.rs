//! `picloud test`, on apps of its own and on those of the repository.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, Picloud, command, run};

struct App(tempfile::TempDir);

impl App {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn test(&self, args: &[&str]) -> Ended {
        test(self.0.path(), args)
    }

    /// The tests by their names, each with what is known of it, and the summary.
    fn results(&self) -> (Vec<(String, Value)>, Value) {
        let ended = self.test(&["--json", "--app", "tested"]);
        let lines = ended.stdout.lines();
        let mut parts: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = parts.pop().unwrap()["summary"].take();
        assert_eq!(ended.code == 0, summary["failed"] == 0, "{ended:?}");
        let named =
            |part: Value| (part["test"]["name"].as_str().unwrap().to_owned(), part["test"].clone());
        (parts.into_iter().map(named).collect(), summary)
    }

    /// The one test passes; or it shows why not.
    #[track_caller]
    fn passes(&self) {
        let (tests, summary) = self.results();
        assert!(summary["failed"] == 0 && summary["passed"] != 0, "{tests:#?}");
    }
}

fn test(folder: &Path, args: &[&str]) -> Ended {
    let mut command = command();
    command.arg("test").arg(folder).args(args);
    run(command)
}

#[test]
fn a_test_uses_the_app_as_a_client_does() {
    App::new(&[
        ("index.rhai", "fn get(req) { kv::collection(\"c\").get(req.query.key) }\n\
                        fn post(req) { kv::collection(\"c\").set(\"k\", [req.text(), req.headers.x, req.host]) }"),
        ("items/[id].rhai", "`${req.method} ${req.params.id} ${app::url(\"/\")}`"),
        ("public/style.css", "body {}"),
        ("tests/app.rhai", r#"
            fn test_requests() {
                assert_eq(app::request("post", "/", "hello", #{headers: #{X: 1}}).status, 204);
                assert_eq(app::request("GET", "/?key=k").json(), ["hello", "1", "tested.localhost"]);
                assert_eq(app::request("PUT", "/items/a%20b").text(), "PUT a b http://tested.localhost/");
                assert_eq(app::request("GET", app::url("/style.css")).text(), "body {}");
                assert_eq(app::request("PATCH", "/").headers.allow, "GET, POST, HEAD");
                assert_eq(app::request("GET", "/nothing").json().code, "not_found");
                assert_eq(app::request("HEAD", "/style.css").bytes().len, 0);
            }
        "#),
    ])
    .passes();
}

#[test]
fn what_a_test_writes_is_there_for_the_app_and_the_other_way_round() {
    App::new(&[
        (
            "index.rhai",
            r#"
            let c = kv::collection("c");
            let seen = [c.keys().items, files::bucket("b").get("f")?.as_string()];
            c.incr("app"); files::bucket("b").put("g", "from the app");
            seen
        "#,
        ),
        (
            "tests/app.rhai",
            r#"
            fn test_data() {
                let c = kv::collection("c");
                let b = files::bucket("b");
                c.set("a", 1); c.set("b", 2); c.delete("b"); b.put("f", "x");
                assert_eq(app::request("GET", "/").json(), [["a"], "x"]);
                assert_eq([c.get("app"), b.get("g").as_string()], [1, "from the app"]);
                c.update("app", |n| n + 40); b.delete("f");
                app::request("GET", "/");
                assert_eq([c.get("app"), b.info("f"), b.list().items.len], [42, (), 1]);
                c.clear();
                assert_eq(c.count(), 0);
            }
        "#,
        ),
    ])
    .passes();
}

#[test]
fn each_test_begins_anew() {
    let body = r#"
        assert_eq(kv::collection("c").count(), 0);
        assert_eq(files::bucket("b").list().items, []);
        assert_eq(secrets::get("S"), ());
        assert_eq(test::requests(), []);
        assert_eq(time::format(time::now(), "%FT%TZ"), "2026-01-01T00:00:00Z");
        kv::collection("c").set("k", 1); files::bucket("b").put("f", "x"); test::secret("S", "s");
        test::stub(#{url: "https://a.example/", body: "stubbed"});
        assert_eq(http::get("https://a.example/").text(), "stubbed");
        test::advance(60);
        assert_eq(secrets::get("S"), "s");
    "#;
    App::new(&[
        ("index.rhai", "1"),
        ("picloud.toml", "[egress]\nallow = [\"a.example\"]"),
        ("tests/one.rhai", &format!("fn test_one() {{ {body} }} fn test_two() {{ {body} }}")),
        ("tests/two.rhai", &format!("fn test_one() {{ {body} }}")),
    ])
    .passes();
}

#[test]
fn time_is_the_tests_to_tell() {
    App::new(&[
        ("index.rhai", "kv::collection(\"c\").set(\"k\", 1, #{ttl: 10}); time::now()"),
        (
            "tests/app.rhai",
            r#"
            fn test_time() {
                let start = time::now();
                assert_eq(app::request("GET", "/").json(), start);
                test::advance(9);
                assert(kv::collection("c").has("k"));
                test::advance(1);
                assert(!kv::collection("c").has("k"));
                assert_eq(time::now() - start, 10_000);
                test::set_time(0);
                assert_eq([time::now(), app::request("GET", "/").json()], [0, 0]);
            }
        "#,
        ),
    ])
    .passes();
}

#[test]
fn other_servers_are_stubs_and_nothing_else() {
    App::new(&[
        ("index.rhai", r#"
            try { return http::post(req.query.url, #{a: 1}, #{headers: #{x: "y"}}).text(); }
            catch (error) { return error.code; }
        "#),
        ("picloud.toml", "[egress]\nallow = [\"a.example\", \"127.0.0.1:9\"]"),
        ("tests/app.rhai", r#"
            fn ask(url) { app::request("GET", "/?" + url::build_query(#{url: url})).text() }
            fn test_stubs() {
                assert_eq(ask("https://a.example/x"), "failed");
                assert_eq(ask("http://127.0.0.1:9/"), "failed");
                test::stub(#{url: "https://*", body: "any"});
                assert_eq(ask("https://b.example/x"), "denied");
                test::stub(#{method: "post", url: "https://a.example/x?*", status: 201, body: [1]});
                assert_eq([ask("https://a.example/"), ask("https://a.example/x?y")], ["any", "[1]"]);
                let sent = test::requests();
                assert_eq(sent.len, 4);
                assert_eq([sent[3].method, sent[3].url, sent[3].body, sent[3].headers.x],
                    ["POST", "https://a.example/x?y", "{\"a\":1}", "y"]);
            }
        "#),
    ])
    .passes();
}

#[test]
fn a_failure_shows_where_and_what_the_app_did() {
    let app = App::new(&[
        ("index.rhai", "log::info(\"asked\"); nope"),
        (
            "tests/app.rhai",
            "import \"./lib\" as lib;\n\
            fn test_assert() { lib::check(app::request(\"GET\", \"/\").status) }\n\
            fn test_fuel() { loop {} }\n\
            fn test_memory() { let a = [0]; loop { a += a; } }\n\
            fn test_early_exit() { throw response::status(200) }\n\
            fn test_passes() { kv::collection(\"c\") }\n\
            fn test_takes_two(a, b) { }\n\
            private fn test_private() { }\n\
            fn helper() { throw \"no test\" }",
        ),
        ("tests/lib.rhai", "fn check(status) {\n    assert_eq(status, 200)\n}"),
    ]);
    let (tests, summary) = app.results();
    assert_eq!((&summary["passed"], &summary["failed"]), (&1.into(), &5.into()));
    let names: Vec<&str> = tests.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "test_assert",
        "test_fuel",
        "test_memory",
        "test_early_exit",
        "test_passes",
        "test_takes_two",
    ];
    assert_eq!(names, expected);
    let failure = |at: usize| &tests[at].1["failure"];
    assert_eq!(failure(0)["code"], "assertion_failed");
    assert_eq!((&failure(0)["file"], &failure(0)["line"]), (&"tests/lib.rhai".into(), &2.into()));
    assert!(failure(0)["excerpt"].as_str().unwrap().contains("assert_eq(status, 200)"));
    let output = tests[0].1["output"].to_string();
    assert!(output.contains("asked") && output.contains("Variable not found: nope"), "{output}");
    assert_eq!(
        (&failure(1)["code"], &failure(2)["code"]),
        (&"out_of_fuel".into(), &"out_of_memory".into())
    );
    assert!(failure(3)["message"].as_str().unwrap().contains("response of status 200"));

    let ended = app.test(&["--filter", "app.rhai#test_assert"]);
    for part in [
        "FAILED",
        " left: 500",
        "right: 200",
        "tests/lib.rhai:2:5",
        "in check",
        "0 passed, 1 failed",
    ] {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
    assert_eq!(ended.code, 1);
}

#[test]
fn what_keeps_tests_from_running_is_said() {
    let nothing = App::new(&[("index.rhai", "1")]);
    let ended = nothing.test(&[]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("there are no tests in"), "{ended:?}");

    let filtered = App::new(&[("index.rhai", "1"), ("tests/a.rhai", "fn test_a() {}")]);
    assert!(filtered.test(&["--filter", "b#"]).stderr.contains("no test has \"b#\""));
    assert!(
        filtered.test(&["--junit", "no/such/folder.xml"]).stderr.contains("cannot write no/such")
    );

    let binary = App::new(&[("index.rhai", "1"), ("tests/a.rhai", "")]);
    fs::write(binary.0.path().join("tests/a.rhai"), b"\n// \xff").unwrap();
    let ended = binary.test(&[]);
    let is_said = |part: &str| ended.stderr.contains(part);
    assert!(is_said("error[not_utf8]") && is_said("--> tests/a.rhai:2:4"), "{ended:?}");

    for (file, text) in
        [("index.rhai", "let x = ;"), ("tests/a.rhai", "fn test_a( {"), ("picloud.toml", "nme = 1")]
    {
        let wrong =
            App::new(&[("index.rhai", "1"), ("tests/a.rhai", "fn test_a() {}"), (file, text)]);
        let ended = wrong.test(&[]);
        assert_eq!(ended.code, 1, "{file}");
        assert!(ended.stderr.contains(&format!("--> {file}:1:")), "{ended:?}");
    }
}

#[test]
fn a_ci_server_reads_the_results() {
    let app = App::new(&[
        ("index.rhai", "1"),
        ("tests/a.rhai", "fn test_a() { print(\"<&>\") } fn test_b() { assert_eq(1, \"<\") }"),
    ]);
    let file = app.0.path().join("report.xml");
    app.test(&["--junit", file.to_str().unwrap()]);
    let report =
        quick_junit::Report::deserialize_from_str(&std::fs::read_to_string(&file).unwrap())
            .unwrap();
    let [suite] = &report.test_suites[..] else { panic!("{report:?}") };
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures), ("tests/a.rhai", 2, 1));
    let output = suite.test_cases[0].system_out.as_ref().unwrap();
    assert!(output.as_str().contains("<&>"));
}

#[test]
fn tests_run_again_after_each_save_until_they_are_stopped() {
    let app = App::new(&[("index.rhai", "1"), ("tests/a.rhai", "fn test_a() { assert(false) }")]);
    let mut watching = Picloud::watch_tests(app.0.path());
    watching.line(|line| line.starts_with("0 passed, 1 failed"));
    let save = |text: &str| fs::write(app.0.path().join("tests/a.rhai"), text).unwrap();
    save("fn test_a( {");
    save("fn test_a() { assert(true) }");
    watching.line(|line| line.starts_with("1 passed, 0 failed"));
    fs::write(app.0.path().join("index.rhai"), "let x = ;").unwrap();
    while !watching.stderr().contains("--> index.rhai:1:9") {
        std::thread::yield_now();
    }
    fs::write(app.0.path().join("index.rhai"), "2").unwrap();
    watching.line(|line| line.starts_with("1 passed, 0 failed"));
    watching.signal(Signal::INT);
    assert!(watching.wait().success());
}

#[test]
fn nothing_of_a_test_can_be_used_by_a_handler() {
    App::new(&[
        (
            "index.rhai",
            r#"
            let codes = [];
            for attempt in [
                || app::request("GET", "/"), || test::secret("A", "b"), || test::requests(),
                || test::stub(#{url: "http://a/"}), || test::set_time(0), || test::advance(1),
            ] {
                try { attempt.call(); codes.push("done"); } catch (error) { codes.push(error.code); }
            }
            codes
        "#,
        ),
        (
            "tests/a.rhai",
            r#"
            fn test_handler() {
                for code in app::request("GET", "/").json() { assert_eq(code, "not_available"); }
            }
        "#,
        ),
    ])
    .passes();
}

#[test]
fn whatever_an_event_leads_to_has_happened_when_the_test_goes_on() {
    App::new(&[
        (
            "picloud.toml",
            "[[triggers]]\non = 'events.publish'\ntopic = 'chain'\nhandler = 'chain.rhai'\n\
             [[triggers]]\non = 'queue.message'\nqueue = 'later'\nhandler = 'chain.rhai'\n\
             [[schedules]]\ncron = '0 8 * * *'\nhandler = 'chain.rhai'",
        ),
        (
            "chain.rhai",
            r#"
            fn on_event(event) {
                let n = event.payload;
                if n > 0 { events::publish("chain", n - 1); } else { kv::collection("c").incr("ends"); }
            }
            fn on_message(message) { events::publish("chain", 3); }
            fn on_schedule(tick) { queue::named("later").send((), #{ delay: 60 }); }
            "#,
        ),
        (
            "tests/chain.rhai",
            r#"
            fn ends() { kv::collection("c").get_or("ends", 0) }
            fn test_long_chains() {
                for i in 1..31 {
                    events::publish("chain", 12);
                    assert_eq(ends(), i);
                }
            }
            fn test_schedules() {
                for day in 1..8 {
                    test::advance(24 * 3600);
                    assert_eq(ends(), day);
                    assert_eq(time::format(time::now(), "%H:%M"), "00:00");
                }
                assert_eq(test::dead_letters(), []);
            }
            "#,
        ),
    ])
    .passes();
}

#[test]
fn every_example_passes_its_tests() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for example in std::fs::read_dir(examples).unwrap() {
        let folder = example.unwrap().path();
        let ended = test(&folder, &[]);
        assert_eq!(ended.code, 0, "{}\n{}{}", folder.display(), ended.stdout, ended.stderr);
        count += 1;
    }
    assert!(count >= 9, "only {count} examples were found");
}

/// Those of `docs/sdk/`: that each registration has one is a test of the guest's.
#[test]
fn the_examples_of_the_reference_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sdk/examples");
    let ended = test(&folder, &[]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}
