//! Reading a request's body: bounded in bytes and in time.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;
use crate::node::BODIES_KIB;

/// A body must be complete after this long, however slowly it drips.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An upload of a release may be larger, and take longer.
pub(super) const UPLOAD_TIMEOUT: Duration = Duration::from_mins(5);
/// How much of a body that is too large is read all the same, and for how long:
/// a client that is still sending when the connection closes does not see its
/// answer.
const DISCARD_BYTES: usize = 16 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a body waits for memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(1);

/// Memory for a body of `max_bytes` at most, out of `kib`; a request without a
/// body needs none. To be held as long as the body is.
pub(super) async fn reserve<'a, B>(
    kib: &'a Semaphore,
    body: &B,
    max_bytes: u64,
) -> Result<Option<SemaphorePermit<'a>>, Problem>
where
    B: hyper::body::Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(None);
    }
    let bytes = body.size_hint().upper().map_or(max_bytes, |bytes| bytes.min(max_bytes));
    // More than there is can only be had as all there is.
    let wanted = u32::try_from(bytes.div_ceil(1024)).unwrap_or(BODIES_KIB).min(BODIES_KIB);
    match tokio::time::timeout(MEMORY_TIMEOUT, kib.acquire_many(wanted)).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        _ => Err(Problem::instance_busy("too many requests with bodies; try again")),
    }
}

/// The whole body, of `max_bytes` at most.
pub(super) async fn read<B>(body: B, max_bytes: u64) -> Result<Bytes, Problem>
where
    B: hyper::body::Body<Data = Bytes>,
{
    read_within(body, max_bytes, TIMEOUT).await
}

/// A body of JSON, of `max_bytes` at most.
pub(super) async fn json<T: DeserializeOwned>(
    body: axum::body::Body,
    max_bytes: u64,
) -> Result<T, Problem> {
    let body = read(body, max_bytes).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request("invalid_body", error.to_string()))
}

/// The whole body, of `max_bytes` at most, within `timeout`.
pub(super) async fn read_within<B>(
    body: B,
    max_bytes: u64,
    timeout: Duration,
) -> Result<Bytes, Problem>
where
    B: hyper::body::Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut body = pin!(body);
    // What says at once that it is too large is not collected at all.
    let collected = if body.size_hint().lower() > max_bytes {
        Ok(Err(Failure::TooLarge))
    } else {
        tokio::time::timeout(timeout, collect(body.as_mut(), max_bytes)).await
    };
    let close = |problem: Problem| {
        // The rest of the body would be taken for the next request.
        problem.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    };
    match collected {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Failure::TooLarge)) => {
            // Either end of this is as good as the other.
            let _ = tokio::time::timeout(DISCARD_TIMEOUT, discard(body)).await;
            let detail = format!("the body may have {max_bytes} bytes");
            Err(close(Problem::new(413, "body_too_large", detail)))
        }
        Ok(Err(Failure::Broken)) => {
            Err(Problem::bad_request("invalid_body", "the body cannot be read"))
        }
        Err(_elapsed) => {
            let detail = format!("the body was not complete after {} s", timeout.as_secs());
            Err(close(Problem::new(408, "timed_out", detail)))
        }
    }
}

/// Reads past a body that nobody wants, as far as is reasonable.
pub(super) async fn skip<B>(body: B)
where
    B: hyper::body::Body<Data = Bytes>,
{
    if !body.is_end_stream() {
        // Either end of this is as good as the other.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, discard(pin!(body))).await;
    }
}

enum Failure {
    TooLarge,
    Broken,
}

async fn collect<B>(mut body: Pin<&mut B>, max_bytes: u64) -> Result<Bytes, Failure>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if (collected.len() + data.len()) as u64 > max_bytes {
            return Err(Failure::TooLarge);
        }
        collected.extend_from_slice(data);
    }
    Ok(collected.into())
}

async fn discard<B>(mut body: Pin<&mut B>)
where
    B: hyper::body::Body<Data = Bytes>,
{
    let mut discarded = 0;
    while let Some(Ok(frame)) = body.frame().await {
        discarded += frame.data_ref().map_or(0, Bytes::len);
        if discarded > DISCARD_BYTES {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_memory_and_requests_without_one_do_not() {
        let kib = Semaphore::new(10);
        let full = |kib: usize| Full::new(Bytes::from(vec![0; kib * 1024]));
        // What is larger than it may be is not collected beyond that.
        let first = reserve(&kib, &full(100), 8 * 1024).await.ok().flatten();
        assert!(first.is_some());
        assert_eq!(kib.available_permits(), 2);
        let refused = reserve(&kib, &full(3), 8 * 1024).await.err().unwrap();
        let refused = http::Response::<axum::body::Body>::from(refused);
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert!(reserve(&kib, &full(2), 8 * 1024).await.is_ok());
        let none = reserve(&kib, &Empty::new(), 8 * 1024).await;
        assert!(matches!(none, Ok(None)));
        drop(first);
        assert!(reserve(&kib, &full(8), 8 * 1024).await.is_ok());
    }
}
