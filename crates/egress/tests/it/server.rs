//! A server that answers each connection's requests by a table of paths, and
//! counts who comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use picloud_egress::{Egress, Policy};
use picloud_shared::AppId;
use picloud_shared::http::{Caps, Error, HttpClient as _, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const APP: AppId = AppId(1);

pub struct Server {
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers `path` with the given bytes of HTTP; what is not in the table is
    /// answered with the request's own head and body.
    pub async fn start(table: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, table));
            }
        });
        Self { addr, connections }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, table: &[(&str, &str)]) -> Option<()> {
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut received).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(received.drain(..end).collect()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while received.len() < length {
            stream.read_buf(&mut received).await.ok()?;
        }
        let body = String::from_utf8(received.drain(..length).collect()).unwrap();
        let path = head.split(' ').nth(1).unwrap();
        let answer = table.iter().find(|(known, _)| *known == path);
        let answer = answer.map_or_else(|| echo(&head, &body), |(_, answer)| (*answer).to_owned());
        stream.write_all(answer.as_bytes()).await.ok()?;
        if answer.contains("never ends") {
            std::future::pending::<()>().await;
        }
    }
}

fn echo(head: &str, body: &str) -> String {
    let text = format!("{head}{body}");
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nX-Tag: 1\r\n\r\n{text}", text.len())
}

/// A client that may reach this machine.
pub fn open() -> Egress {
    let private = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    Egress::new(Policy { private, ..Policy::default() }).unwrap()
}

pub fn caps(allow: &[&str]) -> Caps {
    Caps {
        allow: allow.iter().map(|host| host.parse().unwrap()).collect(),
        response_bytes: 1_000,
        timeout: Duration::from_secs(5),
    }
}

pub fn request(method: &str, url: &str) -> Request {
    Request { method: method.into(), url: url.into(), redirects: 5, ..Request::default() }
}

/// Sends to a server that the manifest allows.
pub async fn send(egress: &Egress, server: &Server, request: Request) -> Result<Response, Error> {
    egress.send(APP, &caps(&[&server.addr.to_string()]), request).await
}

pub fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}
