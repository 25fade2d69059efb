//! Domains of apps' own, on the real server with a domain name system of the
//! test's.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::future::join_all;
use picloud_store::testing::with_postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Picloud};
use crate::zone::Zone;

const WHERE: &str = "`${app::slug()} ${req.host} ${req.url}`";

impl Picloud {
    async fn claim(&self, app: &str, domain: &str) -> Value {
        let body = json!({ "domain": domain }).to_string();
        let answer = self.api("POST", &format!("/apps/{app}/domains"), body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// The status and the code of a refusal.
    async fn refused(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.api(method, path, body.to_owned()).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap().to_owned())
    }

    /// Claims a domain and gives it to the app.
    async fn give(&self, app: &str, domain: &str) {
        self.claim(app, domain).await;
        let answer = self.api("POST", &format!("/apps/{app}/domains/{domain}/approve"), "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    async fn at(&self, host: &str) -> (u16, String) {
        let answer = self.request(host, "GET", "/", "").await;
        (answer.status.as_u16(), answer.text().to_owned())
    }

    async fn tls_allow(&self, domain: &str) -> u16 {
        let path = format!("/internal/tls-allow?domain={domain}");
        self.request("localhost", "GET", &path, "").await.status.as_u16()
    }
}

// The name system answers while a command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_answers_at_a_domain_once_its_record_is_published_and_until_it_is_removed() {
    let zone = Zone::start().await;
    let server = Picloud::start(&[&zone.flag()]);
    server.deploy("shop", &[("index.rhai", WHERE)]).await;
    let cli = |args: &[&str]| server.cli(["domains", "--app", "shop"].iter().chain(args));
    assert!(cli(&[]).stderr.contains("shop has no domains of its own"));

    let added = cli(&["add", "Shop.Example.ORG."]).ok();
    let listed = cli(&["--json"]).json();
    let domain = &listed["items"][0];
    let value = domain["record"]["value"].as_str().unwrap();
    assert_eq!(domain["record"]["name"], "_picloud.shop.example.org");
    assert!(added.contains(&format!("_picloud.shop.example.org.  TXT  \"{value}\"")), "{added}");
    assert!(added.contains("shop.example.org is a CNAME of shop.localhost"), "{added}");
    assert_eq!(server.at("shop.example.org").await.0, 421);

    let early = cli(&["verify", "shop.example.org"]);
    assert_eq!(early.code, 1);
    assert!(early.stderr.contains("error[domain_unproved]"), "{early:?}");
    assert!(early.stderr.contains(value), "{early:?}");
    zone.publish("_picloud.shop.example.org", "something else");
    assert!(cli(&["verify", "shop.example.org"]).stderr.contains("something else"));
    assert_eq!(server.at("shop.example.org").await.0, 421);

    zone.publish("_picloud.shop.example.org", value);
    let verified = cli(&["verify", "shop.example.org"]).ok();
    assert!(verified.contains("verified shop.example.org: http://shop.example.org:"), "{verified}");
    let answer = "shop shop.example.org http://shop.example.org/";
    assert_eq!(server.at("shop.example.org").await, (200, answer.to_owned()));
    let port = server.at("SHOP.example.org.:8443").await;
    assert_eq!(port.0, 200, "{port:?}");
    assert_eq!(server.at("a.shop.example.org").await.0, 421);
    assert_eq!(server.at("example.org").await.0, 421);

    assert!(cli(&[]).ok().contains("verified shop.example.org"));
    cli(&["remove", "shop.example.org"]).ok();
    assert_eq!(server.at("shop.example.org").await.0, 421);
    assert!(cli(&["remove", "shop.example.org"]).stderr.contains("not_found"));
}

#[tokio::test]
async fn a_domain_of_one_app_is_nothing_to_another() {
    let zone = Zone::start().await;
    let server = Picloud::start(&[&zone.flag()]);
    for app in ["alice", "bob"] {
        server.deploy(app, &[("index.rhai", WHERE)]).await;
    }
    let alices = server.claim("alice", "shop.example").await;
    zone.publish("_picloud.shop.example", alices["record"]["value"].as_str().unwrap());
    let path = |app: &str, verb: &str| format!("/apps/{app}/domains/shop.example{verb}");
    let not_found = (404, "not_found".to_owned());
    // Not claimed by bob: nothing that he asks for reaches alice's claim.
    for (method, verb) in [("POST", "/verify"), ("POST", "/approve"), ("DELETE", "")] {
        assert_eq!(server.refused(method, &path("bob", verb), "").await, not_found, "{verb}");
    }
    assert_eq!(server.api("GET", "/apps/bob/domains", "").await.json()["items"], json!([]));
    // Claimed by bob, too: alice's record does not prove his claim.
    let bobs = server.claim("bob", "shop.example").await;
    assert_ne!(alices["record"], bobs["record"]);
    let unproved = (409, "domain_unproved".to_owned());
    assert_eq!(server.refused("POST", &path("bob", "/verify"), "").await, unproved);
    assert_eq!(server.api("POST", &path("alice", "/verify"), "").await.status, 200);
    assert!(server.at("shop.example").await.1.starts_with("alice "));
    zone.publish("_picloud.shop.example", bobs["record"]["value"].as_str().unwrap());
    let taken = (409, "domain_taken".to_owned());
    assert_eq!(server.refused("POST", &path("bob", "/verify"), "").await, taken);
    assert_eq!(server.refused("POST", &path("bob", "/approve"), "").await, taken);
    assert_eq!(server.api("DELETE", &path("bob", ""), "").await.status, 204);
    assert!(server.at("shop.example").await.1.starts_with("alice "), "bob gave up his own claim");

    // Whoever makes an app of that name again has none of its domains.
    assert_eq!(server.api("DELETE", "/apps/alice", "").await.status, 204);
    assert_eq!(server.at("shop.example").await.0, 421);
    server.deploy("alice", &[("index.rhai", WHERE)]).await;
    assert_eq!(server.at("shop.example").await.0, 421);
    assert_eq!(server.api("GET", "/apps/alice/domains", "").await.json()["items"], json!([]));
}

#[tokio::test]
async fn names_that_no_app_can_have_are_refused() {
    let args = ["--control-host", "picloud.example", "--apps-domain", "apps.example"];
    let server = Picloud::start(&args);
    server.deploy("shop", &[("index.rhai", WHERE)]).await;
    let claim = async |domain: &str| {
        let body = json!({ "domain": domain }).to_string();
        server.refused("POST", "/apps/shop/domains", &body).await
    };
    for domain in ["", "localhost", "127.0.0.1", "[::1]", "*.example", "a_b.example", "a.example/"]
    {
        assert_eq!(claim(domain).await, (400, "invalid_domain".to_owned()), "{domain}");
    }
    for domain in ["picloud.example", "PICLOUD.example.", "a.apps.example", "shop.localhost"] {
        assert_eq!(claim(domain).await, (422, "domain_reserved".to_owned()), "{domain}");
    }
    for body in ["", "{}", "[]", "{\"domain\": \"a.example\", \"app\": \"other\"}"] {
        let refused = server.refused("POST", "/apps/shop/domains", body).await;
        assert_eq!(refused, (400, "invalid_body".to_owned()), "{body}");
    }
    let usage = server.cli(["domains", "add", "127.0.0.1", "--app", "shop"]);
    assert_eq!(usage.code, 2, "{usage:?}");
    assert_eq!(server.claim("shop", "bücher.example").await["domain"], "xn--bcher-kva.example");
}

#[tokio::test]
async fn a_name_system_that_does_not_answer_is_told_from_a_missing_record() {
    // Nobody listens there.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Picloud::start(&["--dns-server", &format!("127.0.0.1:{port}")]);
    server.deploy("shop", &[("index.rhai", WHERE)]).await;
    server.claim("shop", "shop.example").await;
    let refused = server.refused("POST", "/apps/shop/domains/shop.example/verify", "").await;
    assert_eq!(refused, (503, "dns_unavailable".to_owned()));
}

#[tokio::test]
async fn a_certificate_is_allowed_where_somebody_answers() {
    let args = ["--control-host", "picloud.example", "--apps-domain", "apps.example"];
    let server = Picloud::start(&args);
    server.deploy("shop", &[("index.rhai", WHERE)]).await;
    server.claim("shop", "claimed.example").await;
    server.give("shop", "shop.example").await;
    for (domain, expected) in [
        ("picloud.example", 200),
        ("shop.apps.example", 200),
        ("SHOP.apps.example.", 200),
        ("shop.localhost", 200),
        ("r1--shop.apps.example", 200),
        ("shop.example", 200),
        ("r2--shop.apps.example", 404),
        ("r1--other.apps.example", 404),
        ("other.apps.example", 404),
        ("apps.example", 404),
        ("a.shop.apps.example", 404),
        ("claimed.example", 404),
        ("a.shop.example", 404),
        ("example.org", 404),
        ("192.0.2.1", 404),
        ("shop.example:443", 404),
        ("", 404),
    ] {
        assert_eq!(server.tls_allow(domain).await, expected, "{domain}");
    }
    let none = server.request("localhost", "GET", "/internal/tls-allow", "").await;
    assert_eq!((none.status.as_u16(), none.json()["code"].clone()), (400, "invalid_query".into()));
    // What a proxy passes on is not the proxy's own question, and an app's
    // host is not the control plane's.
    let path = "/internal/tls-allow?domain=shop.example";
    for forwarded in ["x-forwarded-for", "forwarded"] {
        let headers = [("host", "localhost"), (forwarded, "192.0.2.1")];
        assert_eq!(server.send("GET", path, &headers, "").await.status, 404, "{forwarded}");
    }
    assert_eq!(server.request("shop.localhost", "GET", path, "").await.status, 404);
    // Of invented names only so many are looked for in a second.
    let end = Instant::now() + PATIENCE;
    while !answers_of_many(&server).await.contains(&503) {
        assert!(Instant::now() < end, "all of them are looked for");
    }
    assert_eq!(server.tls_allow("shop.example").await, 200, "this one needs no looking for");
}

/// What is answered for invented names, all at once.
async fn answers_of_many(server: &Picloud) -> BTreeSet<u16> {
    let names: Vec<String> = (0..200).map(|n| format!("n{n}.apps.example")).collect();
    join_all(names.iter().map(|name| server.tls_allow(name))).await.into_iter().collect()
}

#[tokio::test]
async fn urls_are_those_of_the_proxy_in_front() {
    let args = ["--public-url", "https://picloud.example", "--apps-domain", "apps.example"];
    let server = Picloud::start(&args);
    let deployed = server.deploy("shop", &[("index.rhai", WHERE)]).await;
    assert_eq!(deployed["url"], "https://shop.apps.example/");
    assert_eq!(server.claim("shop", "shop.example").await["url"], "https://shop.example/");
    let health = server.request("picloud.example", "GET", "/healthz", "").await;
    assert_eq!(health.status, 200, "its host is the control plane's");
    let end = Instant::now() + PATIENCE;
    while !server.stderr().contains("picloud join 'https://picloud.example/join#") {
        assert!(Instant::now() < end, "{}", server.stderr());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_domain_is_still_the_apps_after_a_restart() {
    let temp = TempDir::new().unwrap();
    let data_dir = temp.path().join("data");
    let mut server = Picloud::start_in(&data_dir, &[]);
    server.deploy("shop", &[("index.rhai", WHERE)]).await;
    server.give("shop", "shop.example").await;
    server.kill9();
    let server = Picloud::start_in(&data_dir, &[]);
    assert_eq!(server.at("shop.example").await.0, 200);
}

#[tokio::test]
async fn another_server_on_the_same_database_learns_of_a_domain() {
    with_postgres("another_server_on_the_same_database_learns_of_a_domain", async |url| {
        let (a, b) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = "7".repeat(64);
        let shared = ["--database-url", url, "--master-key", &key];
        let first = Picloud::start_in(&a.path().join("data"), &shared);
        let second = Picloud::start_in(&b.path().join("data"), &shared);
        first.deploy("shop", &[("index.rhai", WHERE)]).await;
        assert_eq!(second.at("shop.example").await.0, 421);
        let wait_for = async |status: u16| {
            let end = Instant::now() + PATIENCE;
            while second.at("shop.example").await.0 != status {
                assert!(Instant::now() < end, "it does not become {status}");
            }
        };
        first.give("shop", "shop.example").await;
        wait_for(200).await;
        first.api("DELETE", "/apps/shop/domains/shop.example", "").await;
        wait_for(421).await;
    })
    .await;
}
