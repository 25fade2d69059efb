//! A load: so many connections, each asking again as soon as it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Load {
    pub name: &'static str,
    port: u16,
    /// What each connection sends in turn, byte for byte.
    requests: Box<dyn Fn(usize) -> Vec<String>>,
    pub rounds: Vec<Round>,
}

/// What one round measured.
#[derive(Clone, Copy)]
pub struct Round {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Round {
    /// The median of each figure.
    pub fn median(rounds: &[Self]) -> Self {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let seconds = |pick: fn(&Self) -> Duration| {
            let values = rounds.iter().map(|round| pick(round).as_secs_f64()).collect();
            Duration::from_secs_f64(middle(values))
        };
        Self {
            per_second: middle(rounds.iter().map(|round| round.per_second).collect()),
            p50: seconds(|round| round.p50),
            p99: seconds(|round| round.p99),
        }
    }
}

/// A request as it goes over the wire: `GET /`, to a host, with headers.
pub fn request(line: &str, host: &str, headers: &[(&str, &str)], body: &str) -> String {
    let length = body.len();
    let mut text = format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n");
    for &(name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.extend(["\r\n", body]);
    text
}

impl Load {
    /// `requests` are a connection's, which it begins anew after the last.
    pub fn new(
        name: &'static str,
        port: u16,
        requests: impl Fn(usize) -> Vec<String> + 'static,
    ) -> Self {
        Self { name, port, requests: Box::new(requests), rounds: Vec::new() }
    }

    /// So many connections for so long.
    pub async fn round(&self, connections: usize, time: Duration) -> anyhow::Result<Round> {
        let (round, ()) = self.during(connections, tokio::time::sleep(time)).await?;
        Ok(round)
    }

    /// So many connections until the work is done; with its result.
    pub async fn during<T>(
        &self,
        connections: usize,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<(Round, T)> {
        let started = Instant::now();
        let is_done = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..connections)
            .map(|i| tokio::spawn(client(self.port, (self.requests)(i), Arc::clone(&is_done))))
            .collect();
        let result = work.await;
        is_done.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.await?.with_context(|| format!("load {:?}", self.name))?);
        }
        let elapsed = started.elapsed();
        latencies.sort_unstable();
        let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
        Ok((Round { per_second, p50: at(50), p99: at(99) }, result))
    }
}

async fn client(
    port: u16,
    requests: Vec<String>,
    is_done: Arc<AtomicBool>,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::with_capacity(1 << 16);
    let mut buffer = vec![0; 16 * 1024];
    for request in requests.iter().cycle() {
        if is_done.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream, &mut buffer).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer to its end; anything but a 2xx is an error.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = parsed.parse(&buffer[..filled])? else { continue };
        if !matches!(parsed.code, Some(200..=299)) {
            bail!("{}", String::from_utf8_lossy(&buffer[..filled]));
        }
        if parsed.code == Some(204) {
            return Ok(());
        }
        let length = parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
        let length = length.context("an answer without a length")?.value;
        let length: usize = std::str::from_utf8(length)?.parse()?;
        if filled >= head + length {
            return Ok(());
        }
    }
}
