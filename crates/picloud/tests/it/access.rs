//! Who may do what: every operation of the API's document, asked for by
//! everybody who could ask.

use std::collections::BTreeMap;

use picloud_store::testing::with_postgres;
use serde_json::{Value, json};

use crate::support::{Answer, Picloud};

/// What each operation needs, beside the document: whoever adds an operation
/// says twice who may call it.
const NEEDS: &[(&str, &[&str])] = &[
    ("", &["accept_invite", "find_invite", "log_in", "show_api", "show_sdk"]),
    ("any", &["log_out", "whoami"]),
    (
        "user",
        &[
            "change_password",
            "create_token",
            "end_session",
            "list_apps",
            "list_sessions",
            "list_tokens",
            "revoke_token",
            "show_own_usage",
        ],
    ),
    (
        "read",
        &[
            "diff_release",
            "list_buckets",
            "list_collections",
            "list_config",
            "list_dead_letters",
            "list_domains",
            "list_entries",
            "list_events",
            "list_executions",
            "list_files",
            "list_logs",
            "list_members",
            "list_queues",
            "list_release_files",
            "list_releases",
            "list_schedules",
            "list_secrets",
            "list_triggers",
            "show_active_release",
            "show_app",
            "show_dead_letter",
            "show_entry",
            "show_event",
            "show_execution",
            "show_file",
            "show_release",
            "show_release_file",
            "show_script",
            "show_stats",
            "show_usage",
        ],
    ),
    (
        "deploy",
        &[
            "activate_release",
            "check",
            "delete_entry",
            "delete_file",
            "delete_release",
            "delete_script",
            "delete_secret",
            "discard_dead_letter",
            "invoke",
            "pause_schedule",
            "publish_event",
            "put_file",
            "replay_all_dead_letters",
            "replay_dead_letter",
            "resume_schedule",
            "run_schedule",
            "send_message",
            "set_entry",
            "set_secret",
        ],
    ),
    ("deploy, create", &["create_release", "import_app", "put_app", "put_script"]),
    (
        "admin",
        &[
            "claim_domain",
            "delete_app",
            "export_app",
            "list_audit_of_app",
            "remove_domain",
            "remove_member",
            "set_member",
            "verify_domain",
        ],
    ),
    (
        "instance",
        &[
            "approve_domain",
            "change_user",
            "create_backup",
            "create_invite",
            "delete_user",
            "list_audit",
            "list_invites",
            "list_users",
            "reset_password",
            "set_user_limits",
            "show_instance",
            "show_user",
            "show_user_limits",
            "withdraw_invite",
        ],
    ),
];

/// What cannot be undone for those who come after: refused to those who may
/// not, and tried by the others at the very end.
const FINAL: &[&str] = &["delete_app", "log_out"];

/// Everybody who could ask, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Nobody,
    Guesser,
    /// Has an app, and not this one.
    Stranger,
    Viewer,
    Developer,
    Owner,
    Admin,
    Operator,
}

const EVERYBODY: [Who; 8] = [
    Who::Nobody,
    Who::Guesser,
    Who::Stranger,
    Who::Viewer,
    Who::Developer,
    Who::Owner,
    Who::Admin,
    Who::Operator,
];

/// The status and code with which they are refused; `None` if they are not.
fn refusal(who: Who, need: &str) -> Option<(u16, &'static str)> {
    let least = match need {
        "" => return None,
        "any" | "user" => Who::Stranger,
        "read" => Who::Viewer,
        "deploy" | "deploy, create" => Who::Developer,
        "admin" => Who::Owner,
        "instance" => Who::Admin,
        _ => panic!("no rule for {need}"),
    };
    match who {
        Who::Nobody | Who::Guesser => Some((401, "unauthorized")),
        who if who >= least => None,
        _ if need == "instance" => Some((403, "forbidden")),
        Who::Stranger if need == "deploy, create" => Some((409, "name_taken")),
        Who::Stranger => Some((404, "not_found")),
        _ => Some((403, "forbidden")),
    }
}

/// A server with an app, `shop`, and everybody's token.
struct World {
    server: Picloud,
    tokens: BTreeMap<&'static str, String>,
}

impl World {
    async fn start(args: &[&str]) -> Self {
        let server = Picloud::start(args);
        let mut tokens = BTreeMap::new();
        for name in ["stranger", "viewer", "developer", "owner", "admin"] {
            let role = if name == "admin" { "admin" } else { "member" };
            tokens.insert(name, server.account(name, role).await);
        }
        let world = Self { server, tokens };
        for (owner, app) in [("owner", "shop"), ("stranger", "other")] {
            let script = format!("/apps/{app}/scripts/index.rhai");
            assert_eq!(world.ask(Some(owner), "PUT", &script, "1").await.status, 201);
        }
        for role in ["viewer", "developer"] {
            let path = format!("/apps/shop/members/{role}");
            let body = json!({ "role": role }).to_string();
            assert_eq!(world.ask(Some("owner"), "PUT", &path, &body).await.status, 204);
        }
        world
    }

    /// A request with this user's token.
    async fn ask(&self, user: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
        let bearer = user.map(|user| format!("Bearer {}", self.tokens[user]));
        self.send(bearer.as_deref(), method, path, body).await
    }

    async fn send(&self, bearer: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
        let mut headers = vec![("host", "localhost")];
        headers.extend(bearer.map(|bearer| ("authorization", bearer)));
        let path = format!("/api/v1{path}");
        self.server.send(method, &path, &headers, body.to_owned()).await
    }

    async fn ask_as(&self, who: Who, method: &str, path: &str) -> Answer {
        let bearer = match who {
            Who::Nobody => None,
            Who::Guesser => Some("Bearer pic_0000".to_owned()),
            Who::Operator => Some(format!("Bearer {}", self.server.token())),
            user => Some(format!("Bearer {}", self.tokens[&*format!("{user:?}").to_lowercase()])),
        };
        self.send(bearer.as_deref(), method, path, "").await
    }
}

/// The document's operations: name, method, path and need.
async fn operations(server: &Picloud) -> Vec<(String, String, String, String)> {
    let document = server.request("localhost", "GET", "/api/v1/openapi.json", "").await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["get", "put", "post", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let security = operation["security"].as_array().unwrap();
            let needs = security[0]["token"].as_array().map(Vec::as_slice).unwrap_or_default();
            let needs: Vec<_> = needs.iter().filter_map(Value::as_str).collect();
            operations.push((name, method.to_uppercase(), path.clone(), needs.join(", ")));
        }
    }
    operations
}

/// The path with an app that exists and otherwise nothing that does.
fn filled_in(path: &str) -> String {
    path.replace("{app}", "shop")
        .replace("{number}", "999")
        .replace("{id}", "999")
        .replace("{user}", "nobody")
        .replace("{domain}", "nobody.example")
        .split('/')
        .map(|segment| if segment.starts_with('{') { "none" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

async fn everybody_gets_exactly_what_is_theirs(args: &[&str]) {
    let world = World::start(args).await;
    let mut expected: BTreeMap<_, _> = NEEDS
        .iter()
        .flat_map(|(need, names)| names.iter().map(move |name| (*name, *need)))
        .collect();
    for (name, method, path, need) in operations(&world.server).await {
        let Some(stated) = expected.remove(&*name) else {
            panic!("{name} ({method} {path}) needs {need:?}; is that right? Add it to NEEDS")
        };
        assert_eq!(need, stated, "{name} ({method} {path})");
        let path = filled_in(&path);
        for who in EVERYBODY {
            let refusal = refusal(who, &need);
            if refusal.is_none() && FINAL.contains(&&*name) {
                continue;
            }
            let answer = world.ask_as(who, &method, &path).await;
            let status = answer.status.as_u16();
            let case = format!("{who:?}: {method} {path} ({name}) → {status} {:?}", answer.body);
            if let Some((refused, code)) = refusal {
                assert_eq!(status, refused, "{case}");
                assert_eq!(answer.json()["code"], code, "{case}");
                if code == "not_found" {
                    assert_eq!(answer.json()["detail"], "there is no app shop", "{case}");
                }
            } else {
                // Whoever runs the server has no account of their own.
                let is_own = ["any", "user"].contains(&&*need) && who == Who::Operator;
                assert!(status != 403 || is_own, "{case}");
                let is_app_missing = status == 404 && answer.text().contains("there is no app");
                assert!(status != 401 || need.is_empty(), "{case}");
                assert!(!is_app_missing && status < 500, "{case}");
            }
        }
    }
    assert!(expected.is_empty(), "these are no operations any more: {expected:?}");
    // What the stranger asked for has changed nothing.
    assert_eq!(world.ask(Some("owner"), "GET", "/apps/shop", "").await.status, 200);
    let members = world.ask(Some("owner"), "GET", "/apps/shop/members", "").await.json();
    assert_eq!(members["items"].as_array().unwrap().len(), 3);
    the_final_ones(&world).await;
}

/// What is [`FINAL`], by those who may.
async fn the_final_ones(world: &World) {
    for who in [Who::Owner, Who::Admin, Who::Operator] {
        assert_eq!(world.ask(Some("owner"), "PUT", "/apps/brief", "").await.status, 201);
        assert_eq!(world.ask_as(who, "DELETE", "/apps/brief").await.status, 204, "{who:?}");
        assert_eq!(world.ask(Some("owner"), "GET", "/apps/brief", "").await.status, 404);
    }
    for who in EVERYBODY.into_iter().filter(|who| (Who::Stranger..=Who::Admin).contains(who)) {
        assert_eq!(world.ask_as(who, "DELETE", "/session").await.status, 204, "{who:?}");
        assert_eq!(world.ask_as(who, "GET", "/session").await.status, 401, "{who:?}");
    }
}

#[tokio::test]
async fn everybody_gets_exactly_what_is_theirs_on_sqlite() {
    everybody_gets_exactly_what_is_theirs(&[]).await;
}

#[tokio::test]
async fn everybody_gets_exactly_what_is_theirs_on_postgres() {
    let test = async |url: &str| {
        everybody_gets_exactly_what_is_theirs(&["--database-url", url]).await;
    };
    with_postgres("access", test).await;
}

#[tokio::test]
async fn apps_that_are_not_ones_own_are_neither_listed_nor_told_from_none() {
    let world = World::start(&[]).await;
    let listed = async |user| {
        let apps = world.ask(Some(user), "GET", "/apps", "").await.json();
        let slugs = apps["items"].as_array().unwrap().iter().map(|app| app["slug"].to_string());
        slugs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed("owner").await, r#""shop""#);
    assert_eq!(listed("viewer").await, r#""shop""#);
    assert_eq!(listed("stranger").await, r#""other""#);
    assert_eq!(listed("admin").await, r#""other" "shop""#);

    // And everybody is told what they are to an app.
    for (user, role) in [("viewer", json!("viewer")), ("owner", json!("owner"))] {
        let shown = world.ask(Some(user), "GET", "/apps/shop", "").await.json();
        let listed = world.ask(Some(user), "GET", "/apps", "").await.json();
        assert_eq!((&shown["role"], &listed["items"][0]["role"]), (&role, &role), "{user}");
    }
    let admins = world.ask(Some("admin"), "GET", "/apps", "").await.json();
    assert_eq!(admins["items"][0]["role"], Value::Null);

    for method in ["GET", "DELETE"] {
        let real = world.ask(Some("stranger"), method, "/apps/shop", "").await;
        let none = world.ask(Some("stranger"), method, "/apps/shoq", "").await;
        assert_eq!(real.status, none.status);
        assert_eq!(real.text().replace("shop", "shoq"), none.text());
    }
    // A token for an app that one cannot see is none either.
    let wish = |app| json!({ "name": "t", "scope": "read", "app": app }).to_string();
    let real = world.ask(Some("stranger"), "POST", "/tokens", &wish("shop")).await;
    let none = world.ask(Some("stranger"), "POST", "/tokens", &wish("shoq")).await;
    assert_eq!((real.status.as_u16(), none.status.as_u16()), (404, 404));
    assert_eq!(real.text().replace("shop", "shoq"), none.text());
}

#[tokio::test]
async fn a_token_does_what_its_scope_says_in_the_app_that_it_is_for() {
    let world = World::start(&[]).await;
    let make = async |scope: &str, app: Option<&str>| {
        let wish = json!({ "name": "t", "scope": scope, "app": app }).to_string();
        let made = world.ask(Some("owner"), "POST", "/tokens", &wish).await;
        assert_eq!(made.status, 201, "{made:?}");
        format!("Bearer {}", made.json()["secret"].as_str().unwrap())
    };
    assert_eq!(world.ask(Some("owner"), "PUT", "/apps/blog", "").await.status, 201);
    let (read, deploy) = (make("read", None).await, make("deploy", None).await);
    let only_shop = make("admin", Some("shop")).await;
    let entry = |app: &str| format!("/apps/{app}/kv/c/k");
    for (bearer, method, path, body, expected) in [
        (&read, "GET", "/apps/shop", "", 200),
        (&read, "PUT", &*entry("shop"), "1", 403),
        (&read, "PUT", "/apps/newapp", "", 403),
        (&read, "POST", "/tokens", "{}", 403),
        (&deploy, "PUT", &entry("shop"), "1", 204),
        (&deploy, "PUT", "/apps/newapp", "", 201),
        (&deploy, "DELETE", "/apps/shop", "", 403),
        (&deploy, "PUT", "/password", "{}", 403),
        (&only_shop, "PUT", &entry("shop"), "1", 204),
        (&only_shop, "GET", "/apps/blog", "", 404),
        (&only_shop, "GET", "/apps", "", 403),
        (&only_shop, "PUT", "/apps/another", "", 403),
        (&only_shop, "POST", "/tokens", "{}", 403),
        (&only_shop, "GET", "/session", "", 200),
    ] {
        let answer = world.send(Some(bearer), method, path, body).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {answer:?}");
    }
    // Logging out revokes the token that is presented.
    assert_eq!(world.send(Some(&read), "DELETE", "/session", "").await.status, 204);
    assert_eq!(world.send(Some(&read), "GET", "/apps/shop", "").await.status, 401);
}

#[tokio::test]
async fn limits_are_an_admins_to_set() {
    let world = World::start(&[]).await;
    let body = json!({ "limits": { "fuel": 2_000_000_000_u64 } }).to_string();
    let answer = world.ask(Some("owner"), "PUT", "/apps/shop", &body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (403, &json!("forbidden")));
    let answer = world.ask(Some("owner"), "PUT", "/apps/fresh", &body).await;
    assert_eq!(answer.status, 403);
    assert_eq!(world.ask(Some("owner"), "GET", "/apps/fresh", "").await.status, 404);
    let answer = world.ask(Some("admin"), "PUT", "/apps/shop", &body).await;
    assert_eq!(answer.json()["limits"]["fuel"], 2_000_000_000_u64);
}

#[tokio::test]
async fn what_becomes_of_a_role_is_felt_at_once() {
    let world = World::start(&[]).await;
    let role = async |name: &str, role: &str| {
        let path = format!("/apps/shop/members/{name}");
        world.ask(Some("owner"), "PUT", &path, &json!({ "role": role }).to_string()).await.status
    };
    let write =
        async || world.ask(Some("viewer"), "PUT", "/apps/shop/kv/c/k", "1").await.status.as_u16();
    assert_eq!(write().await, 403);
    role("viewer", "developer").await;
    assert_eq!(write().await, 204);
    let removed = world.ask(Some("owner"), "DELETE", "/apps/shop/members/viewer", "").await;
    assert_eq!(removed.status, 204);
    assert_eq!(write().await, 404);
    assert_eq!(role("owner", "viewer").await, 409, "an app keeps an owner");
    assert_eq!(world.ask(Some("admin"), "DELETE", "/users/viewer", "").await.status, 204);
    assert_eq!(write().await, 401);
    let deleted = world.ask(Some("admin"), "DELETE", "/users/owner", "").await;
    assert_eq!(deleted.json()["code"], "owns_apps");
    let deleted = world.ask(Some("admin"), "DELETE", "/users/admin", "").await;
    assert_eq!(deleted.json()["code"], "oneself");
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_and_no_app_sees_anothers() {
    let world = World::start(&[]).await;
    world.ask(Some("developer"), "PUT", "/apps/shop/kv/c/a%2Fb", "1").await;
    world.ask(Some("developer"), "DELETE", "/apps/shop", "").await;
    world.ask(Some("stranger"), "PUT", "/apps/other/kv/c/k", "not JSON").await;
    let entries = world.ask(Some("owner"), "GET", "/apps/shop/audit", "").await.json();
    let newest = &entries["items"][0];
    for (field, expected) in [
        ("actor", json!("developer")),
        ("token", json!("test")),
        ("action", json!("set_entry")),
        ("target", json!("/apps/shop/kv/c/a/b")),
        ("ip", json!("127.0.0.1")),
        ("status", json!(204)),
    ] {
        assert_eq!(newest[field], expected, "{newest}");
    }
    assert!(!entries.to_string().contains("/apps/other"), "{entries}");
    // What was refused changed nothing.
    assert!(!entries.to_string().contains("delete_app"), "{entries}");

    let all = world.ask(Some("admin"), "GET", "/audit?limit=1", "").await.json();
    assert_eq!(
        (&all["items"][0]["actor"], &all["items"][0]["status"]),
        (&json!("stranger"), &json!(400))
    );
    let next = format!("/audit?limit=1&after={}", all["next"]);
    let older = world.ask(Some("admin"), "GET", &next, "").await.json();
    assert_eq!(older["items"][0]["actor"], "developer");
    // Nobody's password is in it.
    let all = world.ask(Some("admin"), "GET", "/audit?limit=1000", "").await;
    assert!(all.text().contains("accept_invite") && !all.text().contains("battery"));
}
