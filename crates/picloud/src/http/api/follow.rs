//! Answers that go on: one JSON object after another, as things happen, until
//! the client goes away, may have no more of it, or the server stops.
//!
//! They are lines, or server-sent events for a client that accepts those. An
//! event has an id where there is one to go on from; a client that lost its
//! connection says it as `Last-Event-ID`, which browsers do by themselves.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http::{HeaderMap, header};
use serde::Serialize;
use tokio::time::Instant;

/// A server-sent event or a comment comes at least this often, so that nobody
/// between server and client takes the connection for a dead one. At least this
/// often it is looked for what no word came of, from another server.
const HEARTBEAT: Duration = Duration::from_secs(15);
const EVENT_STREAM: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";

/// What a client follows.
pub(super) trait Source: Send + Sized + 'static {
    /// Waits until there may be something new; `None` if there never will be.
    /// Whoever gives up waiting misses nothing.
    fn changed(&mut self) -> impl Future<Output = Option<()>> + Send;

    /// What is new. The first time nothing has changed before.
    fn take(&mut self) -> impl Future<Output = Vec<Item>> + Send;
}

/// One object of a stream.
pub(super) struct Item {
    id: Option<String>,
    json: Vec<u8>,
}

impl Item {
    /// `id` is where to go on from after this one.
    pub(super) fn new(id: Option<String>, value: &impl Serialize) -> Self {
        // A struct of strings and numbers always serializes.
        Self { id, json: serde_json::to_vec(value).unwrap_or_default() }
    }
}

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Lines,
    Events,
}

impl Format {
    /// Server-sent events for a client that names them.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut types = accepted
            .flat_map(|value| value.split(','))
            .map(|range| range.split(';').next().unwrap_or_default().trim());
        let is_wanted = types.any(|range| range.eq_ignore_ascii_case(EVENT_STREAM));
        if is_wanted { Self::Events } else { Self::Lines }
    }

    fn write(self, Item { id, mut json }: Item) -> Bytes {
        match self {
            Self::Lines => json.push(b'\n'),
            Self::Events => {
                // JSON as it is written here has no line ends.
                let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
                json = [id.as_bytes(), b"data: ", &json, b"\n\n"].concat();
            }
        }
        json.into()
    }
}

/// The id after which the client wants to go on.
pub(super) fn last_event_id<T: std::str::FromStr>(headers: &HeaderMap) -> Option<T> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

/// Answers with what comes from `source`, until the `end`.
pub(super) fn response(
    source: impl Source,
    format: Format,
    end: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let following = Following {
        source,
        format,
        pending: VecDeque::new(),
        has_begun: false,
        heard_of: Instant::now(),
        end: Box::pin(end),
    };
    let content_type = match format {
        Format::Lines => LINES,
        Format::Events => EVENT_STREAM,
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(stream::unfold(following, Following::next))).into_response()
}

/// A client that follows.
struct Following<S> {
    source: S,
    format: Format,
    pending: VecDeque<Bytes>,
    has_begun: bool,
    /// When something was last sent, or there was nothing to send.
    heard_of: Instant,
    end: BoxFuture<'static, ()>,
}

impl<S: Source> Following<S> {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(bytes) = self.pending.pop_front() {
                self.heard_of = Instant::now();
                return Some((Ok(bytes), self));
            }
            let mut is_silent = false;
            if self.has_begun {
                tokio::select! {
                    changed = self.source.changed() => changed?,
                    () = tokio::time::sleep_until(self.heard_of + HEARTBEAT) => is_silent = true,
                    () = &mut self.end => return None,
                }
            }
            self.has_begun = true;
            let items = self.source.take().await;
            self.pending.extend(items.into_iter().map(|item| self.format.write(item)));
            if is_silent {
                self.heard_of = Instant::now();
                if self.pending.is_empty() && self.format == Format::Events {
                    self.pending.push_back(Bytes::from_static(b":\n\n"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    struct Numbers(mpsc::Receiver<u32>, Vec<Item>);

    impl Source for Numbers {
        async fn changed(&mut self) -> Option<()> {
            let number = self.0.recv().await?;
            self.1.push(Item::new(Some(number.to_string()), &number));
            Some(())
        }

        async fn take(&mut self) -> Vec<Item> {
            std::mem::take(&mut self.1)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_heard_of_until_its_end() {
        let (numbers, source) = mpsc::channel(9);
        let (end, ended) = oneshot::channel();
        let source = Numbers(source, Vec::new());
        let response = response(source, Format::Events, async { ended.await.unwrap() });
        assert_eq!(response.headers()[header::CONTENT_TYPE], EVENT_STREAM);
        let mut body = response.into_body().into_data_stream();
        let begun = Instant::now();
        assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
        assert_eq!(begun.elapsed(), HEARTBEAT);
        numbers.send(7).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "id: 7\ndata: 7\n\n");
        end.send(()).unwrap();
        assert!(body.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn lines_have_no_heartbeat_and_end_with_their_source() {
        let (numbers, source) = mpsc::channel(9);
        let source = Numbers(source, Vec::new());
        let response = response(source, Format::Lines, std::future::pending());
        let mut body = response.into_body().into_data_stream();
        let later = tokio::time::timeout(HEARTBEAT * 3, body.next()).await;
        assert!(later.is_err(), "{later:?}");
        numbers.send(7).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "7\n");
        drop(numbers);
        assert!(body.next().await.is_none());
    }

    /// Finds one more whenever it looks, and has no word of it.
    struct Elsewhere(u32);

    impl Source for Elsewhere {
        async fn changed(&mut self) -> Option<()> {
            std::future::pending().await
        }

        async fn take(&mut self) -> Vec<Item> {
            self.0 += 1;
            vec![Item::new(None, &self.0)]
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_word_came_of_is_looked_for() {
        for (format, second) in [(Format::Lines, "2\n"), (Format::Events, "data: 2\n\n")] {
            let response = response(Elsewhere(0), format, std::future::pending());
            let mut body = response.into_body().into_data_stream();
            body.next().await.unwrap().unwrap();
            let begun = Instant::now();
            assert_eq!(body.next().await.unwrap().unwrap(), second);
            assert_eq!(begun.elapsed(), HEARTBEAT);
        }
    }

    #[test]
    fn only_who_names_server_sent_events_gets_them() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::of(&headers)
        };
        for events in ["text/event-stream", "a/b, Text/Event-Stream;q=0.9"] {
            assert_eq!(of(events), Format::Events, "{events}");
        }
        for lines in ["*/*", "text/*", "application/x-ndjson", "text/event-streams", ""] {
            assert_eq!(of(lines), Format::Lines, "{lines}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Format::Lines);
    }
}
