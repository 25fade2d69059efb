//! The isolation matrix: every function of `wit/` that a guest can import, what
//! an app does with it, and what another app finds. A function that is added to
//! `wit/` fails the test until it has a row here.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::Picloud;

/// Names that have fooled others: each must be the app's own, or refused.
const HOSTILE: &[&str] = &[
    "k",
    "../k",
    "alice:k",
    "1/c/k",
    "%",
    "_",
    "%_",
    "k'--",
    "é",
    "e\u{301}",
    "K",
    "k ",
    "\u{10FFFF}",
];

/// `interface.function`; what alice does with the name `n` and the text `mark`;
/// what bob must not see `mark` in.
const ROWS: &[(&str, &str, &str)] = &[
    ("app.origin", "()", "app::url(\"/\")"),
    ("config.get", "()", "config::get(n)"),
    ("crypto.password-hash", "()", "crypto::password_hash(\"pw\")"),
    ("crypto.password-verify", "()", "crypto::password_verify(mark, crypto::password_hash(\"x\"))"),
    ("events.publish", "events::publish(n, mark)", "events::publish(n, 1)"),
    ("files.put", "b.put(n, mark)", "b.info(n)"),
    ("files.get", "b.put(n, mark)", "b.get(n)"),
    ("files.info", "b.put(n, mark)", "b.info(n)"),
    ("files.list", "b.put(n, mark)", "[b.list(), b.list(n), b.list(#{after: n})]"),
    ("files.delete", "b.put(n, mark)", "b.delete(n)"),
    ("files.url", "b.put(n, mark)", "b.url(n)"),
    ("http.send", "()", "http::get(\"http://alice.localhost/\" + n)"),
    ("kv.get", "c.set(n, mark)", "c.get(n)"),
    ("kv.set", "c.set(n, mark)", "c.update(n, |old| [old, 1])"),
    ("kv.delete", "c.set(n, mark)", "c.delete(n)"),
    ("kv.list", "c.set(n, mark)", "[c.list(), c.list(n), c.list(#{after: n})]"),
    ("kv.count", "c.set(n, mark)", "c.count()"),
    ("kv.clear", "c.set(n, mark)", "c.clear()"),
    ("log.write", "log::info(mark + n)", "log::info(\"bob's\")"),
    (
        "queue.send",
        "queue::named(\"q\").send(mark, #{key: n})",
        "queue::named(\"q\").send(1, #{key: n})",
    ),
    ("secrets.get", "()", "secrets::get(\"MARK\")"),
    ("test.add-stub", "()", "test::stub(#{url: \"http://alice.localhost/*\"})"),
    ("test.dead-letters", "()", "test::dead_letters()"),
    ("test.outbound-requests", "()", "test::requests()"),
    ("test.send", "()", "app::request(\"GET\", \"/\" + n)"),
    ("test.set-secret", "()", "test::secret(\"MARK\", n)"),
    ("test.set-time", "()", "test::set_time(0)"),
];

/// The functions of every interface that the world imports.
fn wit_functions() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let world = std::fs::read_to_string(folder.join("world.wit")).unwrap();
    let imports = world.lines().filter_map(|line| line.trim().strip_prefix("import "));
    let mut functions = BTreeSet::new();
    for interface in imports.map(|name| name.trim_end_matches(';')) {
        let text = std::fs::read_to_string(folder.join(format!("{interface}.wit"))).unwrap();
        for line in text.lines().map(str::trim).filter(|line| line.contains(": func(")) {
            let name = line.split(':').next().unwrap().trim_start_matches('%');
            functions.insert(format!("{interface}.{name}"));
        }
    }
    functions
}

#[test]
fn every_function_of_wit_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(rows, wit_functions());
}

/// An app with a function for each row.
fn app(own: impl Fn(&(&str, &str, &str)) -> String) -> String {
    let cases: Vec<String> =
        ROWS.iter().map(|row| format!("\"{}\" => {{ {} }}", row.0, own(row))).collect();
    format!(
        "fn post(req) {{
            let asked = req.json();
            let n = asked.name; let mark = asked.mark;
            let c = kv::collection(\"c\"); let b = files::bucket(\"b\");
            let found = ();
            try {{ found = switch asked.row {{ {} }}; }} catch (e) {{ found = e.code; }}
            if type_of(found) == \"blob\" {{ found = found.as_string(); }}
            response::json(found)
        }}",
        cases.join(", ")
    )
}

#[tokio::test]
async fn nothing_of_one_app_reaches_another_whatever_it_is_called() {
    let server = Picloud::start(&[]);
    server.deploy("alice", &[("index.rhai", &app(|row| row.1.to_owned()))]).await;
    server.deploy("bob", &[("index.rhai", &app(|row| row.2.to_owned()))]).await;
    server.deploy("carol", &[("index.rhai", &app(|row| row.2.to_owned()))]).await;
    let mark = "alices-own-mark";
    server.api("PUT", "/apps/alice/secrets/MARK", mark).await;
    let ask = async |app: &str, row: &str, name: &str| -> Value {
        let body = json!({ "row": row, "name": name, "mark": mark }).to_string();
        let host = format!("{app}.localhost");
        let answer = server.request(&host, "POST", "/", body).await;
        assert_eq!(answer.status, 200, "{app} {row} {name:?} {answer:?}");
        answer.json()
    };
    for (row, ..) in ROWS {
        for name in HOSTILE {
            ask("alice", row, name).await;
            let bob = ask("bob", row, name).await;
            let text = bob.to_string();
            assert!(!text.contains(mark), "{row} {name:?}: bob sees {text}");
            let as_if_alice_were_not = ask("carol", row, name).await;
            // What is made of random numbers or the clock is not compared.
            if !matches!(*row, "crypto.password-hash" | "files.url" | "app.origin") {
                assert_eq!(bob, as_if_alice_were_not, "{row} {name:?}");
            }
        }
    }
    // And alice's is all there still.
    for name in HOSTILE.iter().filter(|name| !name.contains("..")) {
        let body = json!({ "row": "kv.get", "name": name, "mark": mark }).to_string();
        let check = app(|row| if row.0 == "kv.get" { "c.get(n)".into() } else { "()".into() });
        server.deploy("alice", &[("index.rhai", &check)]).await;
        let kept = server.request("alice.localhost", "POST", "/", body).await.json();
        assert_eq!(kept, mark, "{name:?}");
    }
    let logs = server.cli(["logs", "--app", "bob", "-n", "1000"]).ok();
    assert!(!logs.contains(mark), "{logs}");
}
