//! What an app asks of requests and adds to its answers: `[ingress]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Answer, Picloud};

const ECHO: &str = "fn handle(req) { `${req.method} ${req.bytes().len()}` }";
const PROXIED: &[&str] = &["--trusted-proxy", "127.0.0.1"];

/// A server with an app of these files and `picloud.toml`.
async fn app(args: &[&str], manifest: &str, files: &[(&str, &str)]) -> Picloud {
    let server = Picloud::start(args);
    let files: Vec<_> = files.iter().copied().chain([("picloud.toml", manifest)]).collect();
    server.deploy("shop", &files).await;
    server
}

/// A request to the app with these headers.
async fn send(server: &Picloud, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = headers.iter().copied().chain([("host", "shop.localhost")]).collect();
    server.send(method, path, &headers, "").await
}

fn seen(answer: &Answer) -> (u16, String) {
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    let text = if is_problem {
        answer.json()["code"].as_str().unwrap().to_owned()
    } else {
        answer.text().to_owned()
    };
    (answer.status.as_u16(), text)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// All values of a header, in one line.
fn all(answer: &Answer, name: &str) -> String {
    let values = answer.headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_browser_is_told_which_pages_may_read_answers_even_errors() {
    let script = r#"
        fn get(req) {
            response::text("hi").header("access-control-allow-origin", "https://evil.example")
        }
        fn options(req) { "the script's" }
        fn put(req) { throw "no" }"#;
    let manifest = "[ingress.cors]\norigins = ['https://a.example', 'http://localhost:5173']
methods = ['GET', 'PUT']\nheaders = ['Content-Type', 'X-Key']\nexpose = ['X-Total']
credentials = true\nmax_age_s = 7";
    let files = [("index.rhai", script), ("public/a.css", "a {}")];
    let server = app(&[], manifest, &files).await;
    for (method, path, status) in [
        ("GET", "/", 200),
        ("PUT", "/", 500),
        ("GET", "/none", 404),
        ("GET", "/%", 400),
        ("GET", "/a.css", 200),
        ("GET", "/.picloud/files/none", 403),
    ] {
        let answer = send(&server, method, path, &[("origin", "https://a.example")]).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-total"));
        assert!(all(&answer, "vary").contains("origin"), "{answer:?}");
    }
    for origin in
        ["https://evil.example", "https://a.example.evil.org", "null", "HTTPS://A.EXAMPLE"]
    {
        let answer = send(&server, "GET", "/", &[("origin", origin)]).await;
        assert_eq!(seen(&answer), (200, "hi".to_owned()));
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{origin}");
        assert!(all(&answer, "vary").contains("origin"), "{answer:?}");
    }

    let ask = async |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "PUT")];
        send(&server, "OPTIONS", "/", &headers).await
    };
    let allowed = ask("http://localhost:5173").await;
    assert_eq!(seen(&allowed), (204, String::new()));
    for (name, expected) in [
        ("access-control-allow-origin", "http://localhost:5173"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "content-type, x-key"),
        ("access-control-max-age", "7"),
    ] {
        assert_eq!(allowed.header(name), Some(expected), "{name}");
    }
    let refused = ask("https://evil.example").await;
    assert_eq!(seen(&refused), (204, String::new()));
    assert!(!refused.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    // An OPTIONS that is no question of a browser is the script's.
    let own = send(&server, "OPTIONS", "/", &[("origin", "https://a.example")]).await;
    assert_eq!(seen(&own), (200, "the script's".to_owned()));
    // The sandbox has run for what the script answered, and for nothing else.
    let executions = server.api("GET", "/apps/shop/executions", "").await.json();
    assert_eq!(executions["items"].as_array().unwrap().len(), 7, "{executions}");
}

#[tokio::test]
async fn without_a_policy_origins_are_the_scripts_business() {
    let script = r#"fn get(req) { response::text("").header("access-control-allow-origin", "x") }"#;
    let server = app(&[], "", &[("index.rhai", script)]).await;
    let answer = send(&server, "GET", "/", &[("origin", "https://a.example")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("x"));
    let ask = [("origin", "https://a.example"), ("access-control-request-method", "GET")];
    let answer = send(&server, "OPTIONS", "/", &ask).await;
    assert_eq!(answer.header("access-control-allow-methods"), None, "{answer:?}");

    let files = [("index.rhai", script), ("picloud.toml", "[ingress.cors]\norigins = ['*']")];
    server.deploy("shop", &files).await;
    let answer = send(&server, "GET", "/", &[("origin", "https://a.example")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("vary"), None);
}

#[tokio::test]
async fn answers_have_headers_of_security_unless_the_app_has_others() {
    let script = r#"fn get(req) { response::text("").header("x-frame-options", "DENY") }"#;
    let files = [("index.rhai", script), ("public/a.txt", "a")];
    let server = app(PROXIED, "", &files).await;
    for path in ["/a.txt", "/none", "/%"] {
        let answer = send(&server, "GET", path, &[]).await;
        assert_eq!(all(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(all(&answer, "referrer-policy"), "strict-origin-when-cross-origin", "{path}");
        assert_eq!(all(&answer, "x-frame-options"), "SAMEORIGIN", "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
    assert_eq!(all(&send(&server, "GET", "/", &[]).await, "x-frame-options"), "DENY");
    let secure = send(&server, "GET", "/", &[("x-forwarded-proto", "https")]).await;
    assert_eq!(secure.header("strict-transport-security"), Some("max-age=31536000"));

    let manifest = "[ingress.headers]\nX-Frame-Options = ''\nreferrer-policy = 'no-referrer'
strict-transport-security = 'max-age=60'\ncontent-security-policy = \"default-src 'self'\"";
    let files: Vec<_> = files.into_iter().chain([("picloud.toml", manifest)]).collect();
    server.deploy("shop", &files).await;
    let answer = send(&server, "GET", "/a.txt", &[]).await;
    assert_eq!(answer.header("x-frame-options"), None);
    assert_eq!(all(&answer, "referrer-policy"), "no-referrer");
    assert_eq!(all(&answer, "content-security-policy"), "default-src 'self'");
    assert_eq!(all(&answer, "x-content-type-options"), "nosniff");
    assert_eq!(answer.header("strict-transport-security"), None, "over HTTP it means nothing");
    let secure = send(&server, "GET", "/a.txt", &[("x-forwarded-proto", "https")]).await;
    assert_eq!(secure.header("strict-transport-security"), Some("max-age=60"));
    assert_eq!(all(&send(&server, "GET", "/", &[]).await, "x-frame-options"), "DENY");

    // Who is no trusted proxy says nothing about how it was asked.
    let server = app(&[], "", &files[..2]).await;
    let answer = send(&server, "GET", "/", &[("x-forwarded-proto", "https")]).await;
    assert_eq!(answer.header("strict-transport-security"), None);
}

const GUARDED: &str = "[[ingress.rules]]\npath = '/{*rest}'\nauth = 'basic'\nsecret = 'USERS'
[[ingress.rules]]\npath = '/api/{*rest}'\nauth = 'token'\nsecret = 'TOKENS'
[[ingress.rules]]\npath = '/open.txt'\nauth = 'none'";
const GUARDED_FILES: &[(&str, &str)] = &[
    ("index.rhai", r#"fn get(req) { "in" } fn hash(req) { crypto::password_hash("s3cret") }"#),
    ("api/[...rest].rhai", "fn get(req) { \"api\" }"),
    ("public/open.txt", "open"),
    ("public/3f9a2c1b.css", "a {}"),
];

#[tokio::test]
async fn who_has_no_right_credentials_stays_outside() {
    let server = app(&["--trusted-proxy", "127.0.0.1"], GUARDED, GUARDED_FILES).await;
    let get = async |path: &str, authorization: &str, ip: &str| {
        let headers = [("authorization", authorization), ("x-forwarded-for", ip)];
        send(&server, "GET", path, &headers).await
    };
    // Nobody is in before there is a secret.
    let answer = get("/", &basic("ann", "pw"), "10.0.0.1").await;
    assert_eq!(seen(&answer), (401, "unauthorized".to_owned()));
    assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"shop\", charset=\"UTF-8\""));
    let users = "ann:pw:with:colons\r\n\nbob:bäcker\nempty:\nno-colon\n";
    server.api("PUT", "/apps/shop/secrets/USERS", users).await;
    server.api("PUT", "/apps/shop/secrets/TOKENS", "old-token\nnew-token\n").await;

    for (index, (path, authorization, expected)) in [
        ("/", String::new(), 401),
        ("/", basic("ann", "pw:with:colons"), 200),
        ("/", basic("bob", "bäcker"), 200),
        ("/", basic("bob", "backer"), 401),
        ("/", basic("ann", ""), 401),
        ("/", basic("", ""), 401),
        ("/", basic("empty", ""), 401),
        ("/", basic("no-colon", ""), 401),
        ("/", basic("ann\n", "pw:with:colons"), 401),
        ("/", basic("ANN", "pw:with:colons"), 401),
        ("/", "Bearer old-token".to_owned(), 401),
        ("/none", String::new(), 401),
        ("//", String::new(), 401),
        ("/api/x", "Bearer old-token".to_owned(), 200),
        ("/api/x", "bearer new-token".to_owned(), 200),
        ("/api/x", "Bearer old-token\tnew-token".to_owned(), 401),
        ("/api/x", "Bearer ".to_owned(), 401),
        ("/api/x", basic("ann", "pw:with:colons"), 401),
        ("/%61pi/x", basic("ann", "pw:with:colons"), 401),
        ("/api", basic("ann", "pw:with:colons"), 401),
        ("/open.txt", String::new(), 200),
        ("/3f9a2c1b.css", String::new(), 401),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = get(path, &authorization, &format!("10.0.1.{index}")).await;
        assert_eq!(answer.status, expected, "{path} {authorization}");
        if expected == 401 {
            let scheme = if path.contains("pi") { "Bearer" } else { "Basic" };
            assert!(answer.header("www-authenticate").unwrap().starts_with(scheme), "{path}");
        }
    }
    // Whoever sends a lot with wrong ones is told so, too.
    let headers = [("host", "shop.localhost"), ("x-forwarded-for", "10.0.2.1")];
    let answer = server.send("POST", "/", &headers, vec![b'x'; 4 << 20]).await;
    assert_eq!(seen(&answer), (401, "unauthorized".to_owned()));
    let file = get("/3f9a2c1b.css", &basic("bob", "bäcker"), "10.0.0.1").await;
    assert_eq!(file.header("cache-control"), Some("private, max-age=31536000, immutable"));
    let open = get("/open.txt", "", "10.0.0.1").await;
    assert!(open.header("cache-control").unwrap().starts_with("public"), "{open:?}");
    // A preview of a release without rules is no way around them.
    server.deploy("shop", &[("index.rhai", "\"bare\"")]).await;
    assert_eq!(server.get("shop", "/").await.text(), "bare");
    server.api("POST", "/apps/shop/releases/1/activate", "").await;
    assert_eq!(server.get("r2--shop", "/").await.status, 401);
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down_by_address_and_known_ones_are_not_hashed_again() {
    let server = app(PROXIED, GUARDED, GUARDED_FILES).await;
    let script = r#"fn get(req) { crypto::password_hash("s3cret") }"#;
    server.deploy("hasher", &[("index.rhai", script)]).await;
    let hash = server.get("hasher", "/").await.text().to_owned();
    server.api("PUT", "/apps/shop/secrets/USERS", format!("bob:plain\nann:{hash}")).await;
    let get = async |user: &str, password: &str, ip: &str| {
        let headers = [("authorization", &*basic(user, password)), ("x-forwarded-for", ip)];
        send(&server, "GET", "/", &headers).await
    };
    // A page with many pictures asks for all of them at once.
    let crowd = (0..40).map(|_| get("ann", "s3cret", "10.0.0.1"));
    for answer in futures_util::future::join_all(crowd).await {
        assert_eq!(seen(&answer), (200, "in".to_owned()));
    }
    for (user, ip) in [("ann", "10.0.0.2"), ("bob", "10.0.0.3"), ("eve", "10.0.0.4")] {
        for attempt in 0..10 {
            let answer = get(user, &format!("guess {attempt}"), ip).await;
            assert_eq!(answer.status, 401, "{user} {attempt}");
        }
        let answer = get(user, "guess", ip).await;
        assert_eq!(seen(&answer), (429, "rate_limited".to_owned()), "{user}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=6).contains(&wait), "{wait}");
    }
    // From there nobody gets in any more, right or wrong; from elsewhere they do.
    assert_eq!(get("ann", "s3cret", "10.0.0.2").await.status, 429);
    assert_eq!(get("bob", "plain", "10.0.0.3").await.status, 429);
    assert_eq!(get("ann", "s3cret", "10.0.0.1").await.status, 200);
    assert_eq!(get("bob", "plain", "10.0.0.1").await.status, 200);
    // Many guesses at once are no more than one after the other.
    let guesses = (0..40).map(async |n| get("ann", &format!("guess {n}"), "10.0.0.5").await.status);
    let statuses = futures_util::future::join_all(guesses).await;
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!((1..=10).contains(&looked_at), "{statuses:?}");
    // A new password is in effect at once.
    server.api("PUT", "/apps/shop/secrets/USERS", "ann:other").await;
    assert_eq!(get("ann", "s3cret", "10.0.0.6").await.status, 401);
    assert_eq!(get("ann", "other", "10.0.0.6").await.status, 200);
}

#[tokio::test]
async fn a_rate_counts_a_clients_requests_and_nobody_elses() {
    let manifest = "[[ingress.rules]]\npath = '/'\nmethods = ['POST']
rate = { requests = 2, per_s = 3600 }
[[ingress.rules]]\npath = '/all'\nrate = { requests = 3, per_s = 3600, by = 'app' }";
    let files = [("index.rhai", ECHO), ("all.rhai", ECHO)];
    let server = app(PROXIED, manifest, &files).await;
    let status = async |method: &str, path: &str, ip: &str| {
        send(&server, method, path, &[("x-forwarded-for", ip)]).await.status.as_u16()
    };
    for expected in [200, 200, 429, 429] {
        assert_eq!(status("POST", "/", "10.0.0.1").await, expected);
    }
    assert_eq!(status("GET", "/", "10.0.0.1").await, 200);
    assert_eq!(status("POST", "/", "10.0.0.2").await, 200);
    // What the client itself says of its address changes nothing.
    assert_eq!(status("POST", "/", "10.9.9.9, 10.0.0.1").await, 429);
    let answer = send(&server, "POST", "/", &[("x-forwarded-for", "10.0.0.1")]).await;
    assert_eq!(seen(&answer), (429, "rate_limited".to_owned()));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    for (n, expected) in [200, 200, 200, 429].into_iter().enumerate() {
        assert_eq!(status("GET", "/all", &format!("10.0.2.{n}")).await, expected);
    }
    // Neither a deploy nor an older release is a way around it.
    let files: Vec<_> = files.into_iter().chain([("picloud.toml", manifest)]).collect();
    server.deploy("shop", &files).await;
    assert_eq!(status("POST", "/", "10.0.0.1").await, 429);
    let preview = [("host", "r1--shop.localhost"), ("x-forwarded-for", "10.0.0.1")];
    assert_eq!(server.send("POST", "/", &preview, "").await.status, 429);
    // Another app of the same policy has counts of its own.
    server.deploy("other", &files).await;
    let other = [("host", "other.localhost"), ("x-forwarded-for", "10.0.0.1")];
    assert_eq!(server.send("POST", "/", &other, "").await.status, 200);
}

#[tokio::test]
async fn an_app_has_a_rate_of_its_own_and_its_neighbour_does_not_notice() {
    let server = app(&[], "", &[("index.rhai", ECHO), ("public/a.txt", "a")]).await;
    server.deploy("neighbour", &[("index.rhai", ECHO)]).await;
    let limits = r#"{"limits":{"requests_per_s":1,"requests_burst":5}}"#;
    let changed = server.api("PUT", "/apps/shop", limits).await;
    assert!(changed.status.is_success(), "{changed:?}");
    let mut statuses = Vec::new();
    for path in ["/", "/a.txt", "/none", "/%", "/.picloud/files/x", "/", "/a.txt", "/none"] {
        statuses.push(send(&server, "GET", path, &[]).await.status.as_u16());
    }
    assert_eq!(statuses[..5], [200, 200, 404, 400, 403]);
    // A second may have gone by, so one more may have been let in.
    assert!(statuses[5..].iter().filter(|status| **status == 429).count() >= 2, "{statuses:?}");
    assert_eq!(server.get("neighbour", "/").await.status, 200);
}

#[tokio::test]
async fn a_rule_lowers_what_a_body_may_have() {
    let manifest = "[[ingress.rules]]\npath = '/'\nbody_bytes = 10";
    let server = app(&[], manifest, &[("index.rhai", ECHO), ("large.rhai", ECHO)]).await;
    let post = async |path: &str, bytes: usize| {
        seen(&server.request("shop.localhost", "POST", path, vec![b'x'; bytes]).await)
    };
    assert_eq!(post("/", 10).await, (200, "POST 10".to_owned()));
    assert_eq!(post("/", 11).await, (413, "body_too_large".to_owned()));
    assert_eq!(post("/large", 11).await, (200, "POST 11".to_owned()));
}
