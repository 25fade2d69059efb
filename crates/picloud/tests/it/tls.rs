//! The server behind Caddy, with the very `deploy/caddy/Caddyfile`. Where there
//! is no caddy, this says that it was skipped; `PICLOUD_REQUIRE_CADDY=1` makes
//! that a failure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::{Certificate, Client, RequestBuilder, Response};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{PATIENCE, Picloud};
use crate::zone::Zone;

/// Where the client of these tests is, so that it is told from the proxy.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const APP: &str = "log::info(\"asked\"); `${app::slug()} ${req.ip} ${req.url} ${app::url(\"/x\")}`";

/// PiCloud with Caddy in front.
struct Site {
    picloud: Picloud,
    caddy: Caddy,
    zone: Zone,
    client: Client,
}

struct Caddy {
    child: Child,
    https: u16,
    http: u16,
    data: TempDir,
}

impl Site {
    /// `None` where there is no Caddy.
    async fn start() -> Option<Self> {
        if Command::new("caddy").arg("version").stdout(Stdio::null()).status().is_err() {
            let required = std::env::var_os("PICLOUD_REQUIRE_CADDY").is_some();
            assert!(!required, "there is no caddy, and PICLOUD_REQUIRE_CADDY is set");
            eprintln!("skipped: there is no caddy on the PATH");
            return None;
        }
        let zone = Zone::start().await;
        let (https, http) = (free_port(), free_port());
        let public_url = format!("--public-url=https://picloud.example:{https}");
        let picloud = Picloud::start(&[
            &public_url,
            "--apps-domain=apps.example",
            "--trusted-proxy=127.0.0.1",
            &zone.flag(),
        ]);
        let caddy = Caddy::start(picloud.port(), https, http);
        let root = caddy.root();
        let client = picloud::client::http(false)
            .tls_certs_only([root])
            .local_address(CLIENT)
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE);
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, https));
        let names = [
            "picloud.example",
            "alice.apps.example",
            "bob.apps.example",
            "r1--alice.apps.example",
            "r2--alice.apps.example",
            "nobody.apps.example",
            "shop.example",
            "stranger.example",
            "localhost",
        ];
        let client = names.iter().fold(client, |client, name| client.resolve(name, at));
        let client = client.build().unwrap();
        Some(Self { picloud, caddy, zone, client })
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.caddy.https)
    }

    fn request(&self, host: &str, path: &str) -> RequestBuilder {
        self.client.get(self.url(host, path))
    }

    async fn get(&self, host: &str, path: &str) -> (u16, String) {
        text(self.request(host, path).send().await.unwrap()).await
    }

    /// Whether no certificate is shown for the name.
    async fn has_no_certificate(&self, host: &str) -> bool {
        match self.request(host, "/").send().await {
            Ok(response) => panic!("{host} answers {response:?}"),
            Err(error) => error.is_connect(),
        }
    }
}

impl Caddy {
    fn start(upstream: u16, https: u16, http: u16) -> Self {
        let data = TempDir::new().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/caddy/Caddyfile");
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file)
            .env("HOME", data.path())
            .env("XDG_DATA_HOME", data.path())
            .env("XDG_CONFIG_HOME", data.path())
            .env("PICLOUD_CONTROL_HOST", "picloud.example")
            .env("PICLOUD_UPSTREAM", format!("127.0.0.1:{upstream}"))
            .env("PICLOUD_HTTPS_PORT", https.to_string())
            .env("PICLOUD_HTTP_PORT", http.to_string())
            .env("PICLOUD_CADDY_ADMIN", "off")
            .env("PICLOUD_CADDY_GLOBAL", "local_certs\nskip_install_trust")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(data.path().join("log")).unwrap());
        let child = command.spawn().unwrap();
        let mut caddy = Self { child, https, http, data };
        let end = Instant::now() + PATIENCE;
        while !caddy.root_path().exists() || !caddy.listens() {
            assert!(caddy.child.try_wait().unwrap().is_none(), "caddy has ended: {}", caddy.log());
            assert!(Instant::now() < end, "caddy does not begin: {}", caddy.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        caddy
    }

    fn listens(&self) -> bool {
        [self.https, self.http].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
    }

    /// The certificate of Caddy's own CA.
    fn root(&self) -> Certificate {
        Certificate::from_pem(&std::fs::read(self.root_path()).unwrap()).unwrap()
    }

    fn root_path(&self) -> PathBuf {
        self.data.path().join("caddy/pki/authorities/local/root.crt")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("caddy's log:\n{}", self.log());
        }
    }
}

/// A port that was free a moment ago: Caddy cannot say which one it was given.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn text(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_and_their_domains_are_reached_over_https_through_caddy() {
    let Some(site) = Site::start().await else { return };
    for app in ["alice", "bob"] {
        let deployed = site.picloud.deploy(app, &[("index.rhai", APP)]).await;
        let url = site.url(&format!("{app}.apps.example"), "/");
        assert_eq!(deployed["url"], url, "as it is reached");
        let answer = format!("{app} {CLIENT} {url} {url}x");
        assert_eq!(site.get(&format!("{app}.apps.example"), "/").await, (200, answer));
    }
    let preview = site.get("r1--alice.apps.example", "/").await;
    assert!(preview.1.starts_with("alice "), "{preview:?}");

    // A domain has a certificate when it has been proved, and not before.
    assert!(site.has_no_certificate("shop.example").await);
    let body = json!({ "domain": "shop.example" }).to_string();
    let claim = site.picloud.api("POST", "/apps/alice/domains", body).await.json();
    assert!(site.has_no_certificate("shop.example").await);
    site.zone.publish("_picloud.shop.example", claim["record"]["value"].as_str().unwrap());
    let verify = "/apps/alice/domains/shop.example/verify";
    assert_eq!(site.picloud.api("POST", verify, "").await.status, 200);
    let url = site.url("shop.example", "/");
    assert_eq!(claim["url"], url);
    let answer = format!("alice {CLIENT} {url} {url}x");
    assert_eq!(site.get("shop.example", "/").await, (200, answer));

    for nobody in ["nobody.apps.example", "r2--alice.apps.example", "stranger.example"] {
        assert!(site.has_no_certificate(nobody).await, "{nobody}");
    }
    // Once a certificate is there, whose it is decides nothing.
    let remove = "/apps/alice/domains/shop.example";
    assert_eq!(site.picloud.api("DELETE", remove, "").await.status, 204);
    assert_eq!(site.get("shop.example", "/").await.0, 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_of_itself_is_not_believed() {
    let Some(site) = Site::start().await else { return };
    let show = "`${req.ip} ${req.url} ${req.headers[\"x-real-ip\"] ?? \"none\"} \
                ${req.headers.forwarded ?? \"none\"}`";
    site.picloud.deploy("alice", &[("index.rhai", show)]).await;
    let lies = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "bob.apps.example"),
        ("forwarded", "for=203.0.113.9;host=bob.apps.example"),
        ("x-real-ip", "203.0.113.9"),
    ];
    let with = |request: RequestBuilder| {
        lies.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let host = "alice.apps.example";
    let (_, told) = text(with(site.request(host, "/")).send().await.unwrap()).await;
    assert_eq!(told, format!("{CLIENT} {} none none", site.url(host, "/")));
    // Past the proxy, from an address that is not the proxy's.
    let direct = site.client.get(site.picloud.url("/")).header("host", host);
    let (_, told) = text(with(direct).send().await.unwrap()).await;
    assert!(told.starts_with(&format!("{CLIENT} http://{host}/ ")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_is_reached_but_not_what_is_for_the_machine_itself() {
    let Some(site) = Site::start().await else { return };
    site.picloud.deploy("alice", &[("index.rhai", APP)]).await;
    let host = "picloud.example";
    assert_eq!(site.get(host, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(site.get(host, "/api/v1/apps").await.0, 401);
    for path in
        ["/metrics", "/internal/tls-allow?domain=alice.apps.example", "/internal%2ftls-allow"]
    {
        assert_eq!(site.get(host, path).await.0, 404, "{path}");
    }
    // Nor is it by way of an app's name.
    for (name, expected) in [("localhost", 421), (host, 404)] {
        let fronted = site.request("alice.apps.example", "/metrics").header("host", name);
        assert_eq!(text(fronted.send().await.unwrap()).await.0, expected, "{name}");
    }

    // Logs that are followed come at once, while their answer goes on.
    let follow = site.request(host, "/api/v1/apps/alice/logs?follow=true");
    let follow = follow.bearer_auth(site.picloud.token()).send().await.unwrap();
    assert_eq!(follow.status(), 200);
    let mut lines = follow.bytes_stream();
    assert_eq!(site.get("alice.apps.example", "/").await.0, 200);
    let line = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap().unwrap().unwrap();
    assert!(std::str::from_utf8(&line).unwrap().contains("asked"), "{line:?}");

    // Whoever comes by HTTP is sent to HTTPS, on whatever name.
    for name in [host, "alice.apps.example"] {
        let plain = format!("http://127.0.0.1:{}/a?b", site.caddy.http);
        let redirect = site.client.get(plain).header("host", name).send().await.unwrap();
        assert_eq!(redirect.status(), 308, "{name}");
        let to = redirect.headers()["location"].to_str().unwrap();
        assert!(to.starts_with(&format!("https://{name}")) && to.ends_with("/a?b"), "{to}");
    }

    // Bodies pass up to the app's own limit.
    let post = async |bytes: usize| {
        let request = site.client.post(site.url("alice.apps.example", "/")).body(vec![b'x'; bytes]);
        text(request.send().await.unwrap()).await.0
    };
    assert_eq!(post(1 << 20).await, 200);
    assert_eq!(post((1 << 20) + 1).await, 413);
}
