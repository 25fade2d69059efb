//! An app that wants everything, and its neighbour.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::support::Picloud;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// Another server, which answers a request once it is let.
struct Slow {
    addr: SocketAddr,
    answers: Arc<Semaphore>,
}

impl Slow {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answers = Arc::new(Semaphore::new(0));
        let allowed = Arc::clone(&answers);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let allowed = Arc::clone(&allowed);
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut request).await? == 0 {
                            return Ok(());
                        }
                    }
                    allowed.acquire().await.unwrap().forget();
                    let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                    stream.write_all(answer).await
                });
            }
        });
        Self { addr, answers }
    }
}

/// Waits until so many invocations run and wait.
async fn until(server: &Picloud, running: u64, waiting: u64) {
    let end = Instant::now() + PATIENCE;
    let wanted = [("running", running), ("waiting", waiting)]
        .map(|(name, count)| format!("picloud_executions_{name} {count}\n"));
    loop {
        let metrics = server.request("localhost", "GET", "/metrics", "").await;
        if wanted.iter().all(|line| metrics.text().contains(line)) {
            return;
        }
        assert!(Instant::now() < end, "never {wanted:?}: {}", metrics.text());
    }
}

#[tokio::test]
async fn the_next_place_goes_to_the_neighbour_and_not_to_whoever_has_them_all() {
    let slow = Slow::start().await;
    let server =
        Picloud::start(&["--max-concurrent-executions", "4", "--egress-private", "127.0.0.0/8"]);
    let script = format!(r#"http::get("http://{}/").status"#, slow.addr);
    let manifest = format!("[egress]\nallow = [\"{}\"]", slow.addr);
    server.deploy("flood", &[("index.rhai", &script), ("picloud.toml", &manifest)]).await;
    server.deploy("neighbour", &[("index.rhai", "\"well\"")]).await;
    assert_eq!(server.get("neighbour", "/").await.text(), "well");

    let flood = join_all((0..12).map(|_| server.get("flood", "/")));
    let neighbour = async {
        until(&server, 4, 8).await;
        let answer = server.get("neighbour", "/");
        let let_one_go = async {
            until(&server, 4, 9).await;
            slow.answers.add_permits(1);
        };
        let (answer, ()) = tokio::join!(answer, let_one_go);
        slow.answers.add_permits(100);
        answer
    };
    let (flood, neighbour) = tokio::join!(flood, neighbour);
    // The place that became free was one of the flood's, eight of which waited
    // for it before the neighbour did.
    assert_eq!((neighbour.status.as_u16(), neighbour.text()), (200, "well"));
    assert!(flood.iter().all(|answer| answer.status == 200), "{flood:?}");
    until(&server, 0, 0).await;
}
