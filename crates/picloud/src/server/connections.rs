//! Accepting connections, with a time limit on everything a client can delay.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use super::peers::Peers;
use crate::http::Front;

/// A request's headers must be complete after this long.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way have this long to end once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// A connection's first request is waited for this long, should the server be
/// told to stop in between.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// A client that reads must take something this often.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
/// Connections at one time; more wait to be accepted.
const MAX_CONNECTIONS: u32 = 8_192;
/// Of these, one client's; more are closed at once.
const MAX_CONNECTIONS_OF_CLIENT: usize = MAX_CONNECTIONS as usize / 4;

/// Serves connections until `stop` resolves, then until those there are have
/// finished their requests.
pub(super) async fn serve(listener: TcpListener, front: Front, stop: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    let stopping = watch::Sender::new(());
    let peers = Peers::new(MAX_CONNECTIONS_OF_CLIENT, front.trusted_proxies().to_vec());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let serve_one = |stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit| {
        let Some(counted) = peers.count(peer.ip()) else { return };
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let front = front.clone();
        let used = Arc::new(Notify::new());
        let first = Arc::clone(&used);
        let service = service_fn(move |request| {
            used.notify_one();
            let front = front.clone();
            async move { front.answer(peer, request).await }
        });
        let connection = http.serve_connection(TokioIo::new(timed(stream)), service);
        let mut stopped = stopping.subscribe();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let over = async {
                // An error means the same: nobody serves any more.
                let _ = stopped.changed().await;
                // A connection without a request would be closed at once,
                // though one may be on its way.
                let _ = tokio::time::timeout(FIRST_REQUEST, first.notified()).await;
            };
            // Errors here are the client's: it went away, or was too slow.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = over => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop((place, counted));
        });
    };

    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut stop => break,
        };
        let (stream, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: let some be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        serve_one(stream, peer, place);
    }
    // The kernel has accepted these already, and their clients may have sent.
    while let Some(Ok((stream, peer, place))) = accept(&listener, &places).now_or_never() {
        serve_one(stream, peer, place);
    }
    drop(listener);
    stopping.send_replace(());
    let all = places.acquire_many(MAX_CONNECTIONS);
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::warn!("requests were still under way after {} s and are cut off", DRAIN.as_secs());
    }
}

/// The stream, failing once a write has stalled for too long.
fn timed<S: AsyncRead + AsyncWrite>(stream: S) -> Pin<Box<TimeoutStream<S>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL));
    Box::pin(stream)
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_cut_off_and_a_slow_one_is_not() {
        let (server, mut client) = tokio::io::duplex(1024);
        let mut server = timed(server);
        let (written, ()) = tokio::join!(server.write_all(&[0; 4096]), async {
            for _ in 0..3 {
                tokio::time::sleep(WRITE_STALL * 9 / 10).await;
                client.read_exact(&mut [0; 1024]).await.unwrap();
            }
        });
        written.unwrap();
        let stalled = Instant::now();
        let error = server.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(stalled.elapsed() < WRITE_STALL + Duration::from_secs(1));
    }
}
