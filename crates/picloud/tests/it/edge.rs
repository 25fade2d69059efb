//! Requests as no well-behaved client sends them, over sockets: hosts, lengths
//! and speeds of all kinds.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::hostile::{Scene, code};

const LIMIT: usize = 1 << 20;
/// Answers how many bytes it was sent.
const COUNT: &str = "fn post(req) { `${req.bytes().len()}` }";

impl Scene {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    /// Sends bytes as they are and takes whatever comes until the server closes
    /// the connection: it has to be asked to, or to have a reason.
    fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let mut writer = stream.try_clone().unwrap();
        let request = request.as_ref().to_vec();
        // The server may answer, and close, before it has read all.
        let sending = thread::spawn(move || {
            let _ = writer.write_all(&request);
        });
        let answer = read_to_end(&mut stream);
        sending.join().unwrap();
        answer
    }
}

/// What comes until the connection ends, in whichever way.
fn read_to_end(stream: &mut TcpStream) -> String {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all answers in what a server has sent.
fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.").skip(1).map(|answer| &answer[2..5]).collect()
}

#[tokio::test]
async fn a_host_has_one_meaning_or_none() {
    let scene = Scene::new().await;
    let targeted = |target: &str, host: &str| {
        format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{host}\r\n")
    };
    let host = |host: &str| targeted("/", &format!("Host: {host}\r\n"));
    let mut cases = vec![
        (host("neighbour.localhost"), "200"),
        (host("NEIGHBOUR.localhost.:99"), "200"),
        (host("\t neighbour.localhost  "), "200"),
        (targeted("http://neighbour.localhost/", "Host: neighbour.localhost\r\n"), "200"),
        (targeted("http://Neighbour.Localhost./", "Host: neighbour.localhost\r\n"), "200"),
        (targeted("http://neighbour.localhost/", ""), "200"),
        // What a proxy that we do not know says of the host is nothing.
        (targeted("/", "Host: neighbour.localhost\r\nX-Forwarded-Host: localhost\r\n"), "200"),
        (targeted("/", "Host: neighbour.localhost\r\nForwarded: host=localhost\r\n"), "200"),
        // Two hosts, or one twice.
        (targeted("http://neighbour.localhost/", "Host: other.localhost\r\n"), "421"),
        (targeted("http://localhost/", "Host: neighbour.localhost\r\n"), "421"),
        (targeted("/", "Host: neighbour.localhost\r\nHost: localhost\r\n"), "421"),
        (targeted("/", "Host: neighbour.localhost\r\nhost: neighbour.localhost\r\n"), "421"),
        (targeted("http://user@neighbour.localhost/", "Host: neighbour.localhost\r\n"), "421"),
        (targeted("http://user@neighbour.localhost/", ""), "421"),
        // None.
        (targeted("/", ""), "421"),
        (targeted("/", "Host:\r\n"), "421"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "421"),
        // What is no target of a request for an app.
        (host("neighbour.localhost").replace("GET /", "OPTIONS *"), "400"),
        (targeted("neighbour.localhost/", "Host: neighbour.localhost\r\n"), "400"),
        // What is no header.
        (targeted("/", "Host : neighbour.localhost\r\n"), "400"),
        (targeted("/", "Host: neighbour\r\n .localhost\r\n"), "400"),
        (host("neighbour.local\0host"), "400"),
        (host("unknown.localhost"), "404"),
    ];
    let others = [
        "example.org",
        "xn--80ak6aa92e.localhost",
        "neighbour.localhost..",
        "neighbour..localhost",
        "a.neighbour.localhost",
        "neighbour.localhost.evil.org",
        "neighbour.localhost:",
        "neighbour.localhost:65536",
        "neighbour.localhost:80:80",
        "neighbour.localhost:-1",
        "user@neighbour.localhost",
        "user:password@neighbour.localhost",
        "neighbour.localhost/",
        "neighbour.localhost, localhost",
        "neighbour.localhost localhost",
        "neigh_bour.localhost",
        "nëighbour.localhost",
        "neigh%62our.localhost",
        "127.0.0.2",
        "2130706433",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "[::1",
    ];
    cases.extend(others.map(|other| (host(other), "421")));
    cases.push((host(&format!("{}neighbour.localhost", "a.".repeat(5_000))), "421"));
    for (request, expected) in cases {
        let answer = scene.raw(&request);
        assert_eq!(statuses(&answer), [expected], "{request:.200}\n{answer}");
        assert_eq!(answer.ends_with("\r\n\r\nwell"), expected == "200", "{request:.200}");
    }
    // More than a head may have: the rest is not read, so the answer may be lost.
    let answer = scene.raw(host(&"a".repeat(1 << 20)));
    assert!(matches!(statuses(&answer)[..], [] | ["431"]), "{answer}");
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn bodies_are_bounded_whatever_their_length_claims() {
    let scene = Scene::new().await;
    scene.server.deploy("hostile", &[("index.rhai", COUNT)]).await;
    let post = async |bytes: usize| {
        scene.server.request("hostile.localhost", "POST", "/", vec![b'x'; bytes]).await
    };
    assert_eq!(post(LIMIT).await.text(), "1048576");
    assert_eq!(code(&post(LIMIT + 1).await), "body_too_large");

    let head = |length: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: hostile.localhost\r\nConnection: close\r\n{length}\r\n\r\n"
        )
    };
    let chunked = |sizes: &[usize]| {
        let chunk = |size: &usize| format!("{size:x}\r\n{}\r\n", "x".repeat(*size));
        let chunks: String = sizes.iter().map(chunk).collect();
        format!("{}{chunks}0\r\n\r\n", head("Transfer-Encoding: chunked"))
    };
    let answer = scene.raw(chunked(&[LIMIT / 64; 64]));
    assert!(answer.ends_with("\r\n\r\n1048576"), "{answer}");
    let many = scene.raw(chunked(&vec![1; 3_000]));
    assert!(many.ends_with("\r\n\r\n3000"), "{many}");
    for (what, request) in [
        ("one byte more", chunked(&[LIMIT, 1])),
        ("no end", chunked(&[LIMIT; 3]).replace("0\r\n\r\n", "")),
        ("a claim alone", head("Content-Length: 1099511627776")),
    ] {
        let answer = scene.raw(request);
        assert_eq!(statuses(&answer), ["413"], "{what}: {answer}");
    }
    let chunks = head("Transfer-Encoding: chunked");
    for (what, request) in [
        ("no number", head("Content-Length: ten")),
        ("less than nothing", head("Content-Length: -1")),
        ("more than there is", head("Content-Length: 99999999999999999999")),
        ("two lengths", head("Content-Length: 5\r\nContent-Length: 6") + "hello!"),
        ("no such coding", head("Transfer-Encoding: gzip")),
        ("chunks within another coding", head("Transfer-Encoding: chunked, gzip")),
        ("a chunk of more than there is", format!("{chunks}FFFFFFFFFFFFFFFFF\r\nx")),
        ("a chunk of less than nothing", format!("{chunks}-1\r\nx\r\n0\r\n\r\n")),
        ("a chunk without its end", format!("{chunks}1\r\nxx\r\n0\r\n\r\n")),
    ] {
        // Where hyper cannot tell what belongs to the request it closes.
        let answer = scene.raw(request);
        assert!(matches!(statuses(&answer)[..], [] | ["400"]), "{what}: {answer}");
    }
    // More than was claimed is another request, and this one is none.
    let more =
        head("Content-Length: 5").replace("Connection: close\r\n", "") + "hellothere\r\n\r\n";
    assert_eq!(statuses(&scene.raw(more)), ["200", "400"]);
    // A length and chunks: the chunks count, and nothing is smuggled behind them.
    let both = head("Content-Length: 3\r\nTransfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n";
    let both = scene.raw(both);
    assert!(statuses(&both) == ["200"] && both.ends_with("\r\n\r\n5"), "{both}");
    // The script has run for those that were answered, and for nothing else.
    let executions = scene.server.api("GET", "/apps/hostile/executions", "").await.json();
    assert_eq!(executions["items"].as_array().unwrap().len(), 5, "{executions}");
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn a_compressed_body_stays_as_it_is() {
    let scene = Scene::new().await;
    scene.server.deploy("hostile", &[("index.rhai", COUNT)]).await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..100 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < LIMIT, "a hundred megabytes are {} bytes", bomb.len());
    let headers = [("host", "hostile.localhost"), ("content-encoding", "gzip")];
    let answer = scene.server.send("POST", "/", &headers, bomb.clone()).await;
    assert_eq!(answer.text(), bomb.len().to_string());
    let eleven = bomb.repeat(LIMIT / bomb.len() + 1);
    let answer = scene.server.send("POST", "/", &headers, eleven).await;
    assert_eq!((answer.status.as_u16(), &*code(&answer)), (413, "body_too_large"));
    scene.assert_unharmed().await;
}

#[tokio::test]
async fn a_body_that_is_no_text_is_its_clients_fault() {
    let scene = Scene::new().await;
    let text = "fn post(req) { req.text() }";
    scene.server.deploy("hostile", &[("index.rhai", text)]).await;
    let answer = scene.server.request("hostile.localhost", "POST", "/", &b"\xff\xfe"[..]).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(!answer.text().contains("index.rhai"), "{}", answer.text());
    scene.assert_unharmed().await;
}

/// Sends `drop` again and again until the server ends it; what it has answered.
fn drip(mut stream: TcpStream, drop: &[u8]) -> String {
    let started = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(started.elapsed() < Duration::from_secs(30), "the server is too patient");
                // The next read tells whether the connection is still there.
                let _ = stream.write_all(drop);
            }
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_clients_are_closed_and_hold_up_nobody() {
    let scene = Scene::new().await;
    scene.server.deploy("hostile", &[("index.rhai", COUNT)]).await;
    let head = "POST / HTTP/1.1\r\nHost: hostile.localhost\r\n";
    let length = "Content-Length: 1000\r\n\r\n";
    let chunks = "Transfer-Encoding: chunked\r\n\r\n";
    let started = Instant::now();
    let clients = [
        ("a head that stops", format!("{head}x-a: "), "", ""),
        ("a head that drips", format!("{head}x-a: "), "x", ""),
        ("a head without an end", head.to_owned(), "x: y\r\n", ""),
        ("a body that stops", format!("{head}{length}x"), "", "408"),
        ("a body that drips", format!("{head}{length}x"), "x", "408"),
        ("chunks that drip", format!("{head}{chunks}"), "1\r\nx\r\n", "408"),
    ];
    let clients = clients.map(|(what, start, drop, expected)| {
        let mut stream = scene.connect();
        stream.write_all(start.as_bytes()).unwrap();
        (what, expected, thread::spawn(move || drip(stream, drop.as_bytes())))
    });
    scene.assert_unharmed().await;
    for (what, expected, client) in clients {
        let answer = client.join().unwrap();
        let statuses = statuses(&answer);
        // Of a head that is not complete nothing is known, not even a version.
        let is_expected = statuses == [expected] || (expected.is_empty() && statuses.is_empty());
        assert!(is_expected || (expected.is_empty() && statuses == ["408"]), "{what}: {answer}");
    }
    // Ten seconds, and what a busy machine takes.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    scene.assert_unharmed().await;
}
