//! Requests that are not made: nobody is connected to.

use picloud_egress::{Egress, Policy};
use picloud_shared::AppId;
use picloud_shared::http::{Error, HttpClient as _};

use crate::server::{APP, Server, caps, open, request, send};

/// Asks for a URL that both manifest and operator allow by name.
async fn denied(egress: &Egress, url: &str, port: u16) -> String {
    let allowed = [format!("*:{port}"), "*".to_owned()];
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    match egress.send(APP, &caps(&allowed), request("GET", url)).await {
        Err(Error::Denied(message)) => message,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn no_form_of_an_inner_address_is_connected_to() {
    let server = Server::start(&[]).await;
    let egress = Egress::new(Policy::default()).unwrap();
    let port = server.addr.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let message = denied(&egress, &format!("http://{host}:{port}/"), port).await;
        assert!(message.contains("not public"), "{host}: {message}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_checked_like_a_first_request() {
    let inner = Server::start(&[]).await;
    let moved = |to: String| {
        let answer = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        &*Box::leak(answer.into_boxed_str())
    };
    let table = vec![
        ("/inner", moved(format!("http://127.0.0.2:{}/", inner.addr.port()))),
        ("/metadata", moved("http://169.254.169.254/latest/meta-data/".into())),
        ("/file", moved("file:///etc/passwd".into())),
        ("/elsewhere", moved("https://evil.example/".into())),
    ];
    let outer = Server::start(Box::leak(table.into_boxed_slice())).await;
    // Only the first server's own address is open.
    let private = vec!["127.0.0.1/32".parse().unwrap()];
    let egress = Egress::new(Policy { private, ..Policy::default() }).unwrap();
    let any = format!("*:{}", outer.addr.port());
    let inner_port = format!("*:{}", inner.addr.port());
    let allow = [any.as_str(), inner_port.as_str(), "169.254.169.254"];
    let get = async |path| {
        egress.send(APP, &caps(&allow), request("GET", &outer.url(path))).await.unwrap_err()
    };
    for path in ["/inner", "/metadata"] {
        let error = get(path).await;
        assert!(matches!(&error, Error::Denied(why) if why.contains("not public")), "{error}");
    }
    assert!(matches!(get("/file").await, Error::InvalidRequest(_)));
    let error = get("/elsewhere").await;
    assert!(matches!(&error, Error::Denied(why) if why.contains("picloud.toml")), "{error}");
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn the_manifest_and_the_operator_both_have_to_allow_a_host() {
    let server = Server::start(&[]).await;
    let own = server.addr.to_string();
    let policy = |allow: &[&str]| Policy {
        allow: allow.iter().map(|host| host.parse().unwrap()).collect(),
        private: vec!["127.0.0.0/8".parse().unwrap()],
        own_port: None,
    };
    for (manifest, operator, is_allowed) in [
        (&[own.as_str()][..], &[][..], true),
        (&[own.as_str()], &[own.as_str()], true),
        (&[], &[], false),
        (&[], &[own.as_str()], false),
        (&["api.example.org"], &[], false),
        (&["127.0.0.1"], &[], false),
        (&[own.as_str()], &["api.example.org"], false),
    ] {
        let egress = Egress::new(policy(operator)).unwrap();
        let result = egress.send(APP, &caps(manifest), request("GET", &server.url("/"))).await;
        assert_eq!(result.is_ok(), is_allowed, "{manifest:?} {operator:?} {result:?}");
        assert!(is_allowed || matches!(result, Err(Error::Denied(_))));
    }
}

#[tokio::test]
async fn a_server_is_never_its_own_client() {
    let server = Server::start(&[]).await;
    let policy = Policy {
        allow: vec![],
        private: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        own_port: Some(server.addr.port()),
    };
    let egress = Egress::new(policy).unwrap();
    for host in ["127.0.0.1", "localhost", "127.0.0.9", "[::ffff:127.0.0.1]"] {
        let port = server.addr.port();
        let message = denied(&egress, &format!("http://{host}:{port}/"), port).await;
        assert!(message.contains("this server itself"), "{message}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_asked() {
    // Nobody listens at the proxy's address, so a request that arrives was not
    // sent there.
    let server = Server::start(&[]).await;
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "denied::a_request_arrives_whatever_the_environment", "--ignored"])
        .env("TEST_SERVER", server.addr.to_string())
        .env("http_proxy", "http://127.0.0.1:9/")
        .env("HTTP_PROXY", "http://127.0.0.1:9/")
        .env("all_proxy", "http://127.0.0.1:9/")
        .stdout(std::process::Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
#[ignore = "run by the test above, in an environment of its own"]
async fn a_request_arrives_whatever_the_environment() {
    let addr = std::env::var_os("TEST_SERVER").unwrap().into_string().unwrap();
    let egress = open();
    let caps = caps(&[&addr]);
    egress.send(AppId(1), &caps, request("GET", &format!("http://{addr}/"))).await.unwrap();
}

#[tokio::test]
async fn a_denied_request_says_what_to_do() {
    let server = Server::start(&[]).await;
    let get = request("GET", "https://api.example.org/");
    let error = send(&open(), &server, get).await.unwrap_err();
    assert_eq!(error.to_string(), "api.example.org is not in [egress] allow of picloud.toml");
}
