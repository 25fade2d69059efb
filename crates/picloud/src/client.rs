//! A typed client of the control plane's API.

mod account;
mod answer;
mod deploy;
mod diff;
mod domain;
mod error;
mod executions;
mod files;
mod health;
mod outbox;
mod usage;

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use picloud_shared::{AppSlug, ExecutionId, Level, ReleaseNumber};
use reqwest::{RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use account::{InviteLink, MadeToken, NewToken, Whoami};
pub use answer::{
    App, Collection, Deployed, Entry, ExecutionDetail, ImportedApp, Invoked, List, LogLine,
    Release, ReleaseDetail, ReleaseFile, Route, Secret,
};
pub use diff::{ConfigDiff, Diff, FileDiff, LimitDiff, ManifestDiff, SetDiff};
pub use domain::{DomainInfo, DomainRecord};
pub use error::{Error, Issue, Problem};
pub use executions::ExecutionFilter;
pub use files::{Bucket, Checked, Diagnostic, FileInfo};
pub use health::Probe;
pub use outbox::{DeadLetter, Delivery, Event, EventDetail, Queue, Replayed, ScheduleInfo, Sent};
pub use usage::{DayUsage, Usage};

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection is kept for a next request: less than the server's 10 s.
const POOL_IDLE: Duration = Duration::from_secs(5);
/// How long it may take to answer; a deploy may take longer, and a stream of
/// logs may take for ever.
const ANSWER: Duration = Duration::from_mins(2);
/// Bytes of one line of a stream of logs; a longer one is no line of ours.
const MAX_LINE: usize = 4 << 20;

/// What stays itself in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A server's control plane.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<String>,
}

/// The beginnings of an HTTP client that goes where it is told and nowhere
/// else: no redirects, no proxies.
pub fn http(with_tls: bool) -> reqwest::ClientBuilder {
    // An error says that there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        // A request fails that is sent just when the server closes the connection.
        .pool_idle_timeout(POOL_IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("picloud/", env!("CARGO_PKG_VERSION")));
    // Without TLS the system's certificates need not be there.
    if with_tls { http } else { http.tls_certs_only([]) }
}

/// Which log lines are asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LogFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    pub limit: u32,
}

/// One page of a list.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A request for a handler of an app, made through the control plane.
#[derive(Clone, Debug, Serialize)]
pub struct Invoke {
    pub method: String,
    /// With its query, if it has one.
    pub path: String,
    pub headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Instead of `body`, for what is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Instead of the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
}

/// A message for a queue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Message {
    pub payload: Value,
    /// Seconds until it may be handled.
    pub delay: u64,
    /// While one with this key waits or is handled, another one is not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Client {
    /// A client of the server at `server`, which presents `token`, if any.
    pub fn new(server: Url, token: Option<String>) -> anyhow::Result<Self> {
        let http = http(server.scheme() == "https").connect_timeout(CONNECT);
        Ok(Self { http: http.build().context("cannot set up HTTP")?, server, token })
    }

    pub async fn apps(&self) -> Result<List<App>, Error> {
        self.all(&["apps"]).await
    }

    pub async fn app(&self, app: &AppSlug) -> Result<App, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str()])).await
    }

    /// Makes the app, if there is none of this name.
    pub async fn create_app(&self, app: &AppSlug) -> Result<App, Error> {
        self.read(self.request(Method::PUT, &["apps", app.as_str()])).await
    }

    pub async fn delete_app(&self, app: &AppSlug) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, &["apps", app.as_str()])).await.map(drop)
    }

    /// The app's newest releases, newest first.
    pub async fn releases(&self, app: &AppSlug, page: &Page) -> Result<List<Release>, Error> {
        let request = self.request(Method::GET, &["apps", app.as_str(), "releases"]);
        self.read(request.query(page)).await
    }

    pub async fn release(
        &self,
        app: &AppSlug,
        number: ReleaseNumber,
    ) -> Result<ReleaseDetail, Error> {
        let number = number.to_string();
        self.read(self.request(Method::GET, &["apps", app.as_str(), "releases", &number])).await
    }

    /// Deletes an earlier release.
    pub async fn delete_release(&self, app: &AppSlug, number: ReleaseNumber) -> Result<(), Error> {
        let number = number.to_string();
        let path = ["apps", app.as_str(), "releases", &number];
        self.send(self.request(Method::DELETE, &path)).await.map(drop)
    }

    /// What is different from the release `from`, or else from the active one.
    pub async fn diff(
        &self,
        app: &AppSlug,
        from: Option<ReleaseNumber>,
        to: ReleaseNumber,
    ) -> Result<Diff, Error> {
        let path = ["apps", app.as_str(), "releases", &to.to_string(), "diff"];
        let mut request = self.request(Method::GET, &path);
        if let Some(from) = from {
            request = request.query(&[("from", from)]);
        }
        self.read(request).await
    }

    /// Makes a release the active one.
    pub async fn activate(&self, app: &AppSlug, number: ReleaseNumber) -> Result<Deployed, Error> {
        let number = number.to_string();
        let path = ["apps", app.as_str(), "releases", &number, "activate"];
        self.read(self.request(Method::POST, &path)).await
    }

    /// Stored log lines, oldest first.
    pub async fn logs(&self, app: &AppSlug, filter: &LogFilter) -> Result<List<LogLine>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "logs"]).query(filter)).await
    }

    /// Stored log lines and then every new one as it comes.
    pub async fn follow_logs(
        &self,
        app: &AppSlug,
        filter: &LogFilter,
    ) -> Result<impl Stream<Item = Result<LogLine, Error>> + use<>, Error> {
        let request = self
            .unlimited(Method::GET, &["apps", app.as_str(), "logs"])
            .query(filter)
            .query(&[("follow", "true")]);
        self.stream(request).await
    }

    pub async fn collections(&self, app: &AppSlug) -> Result<List<Collection>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "kv"])).await
    }

    pub async fn entries(
        &self,
        app: &AppSlug,
        collection: &str,
        page: &Page,
    ) -> Result<List<Entry>, Error> {
        let request = self.request(Method::GET, &["apps", app.as_str(), "kv", collection]);
        self.read(request.query(page)).await
    }

    pub async fn entry(&self, app: &AppSlug, collection: &str, key: &str) -> Result<Entry, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "kv", collection, key])).await
    }

    /// Writes an entry; with `ttl_s` it ceases to exist after that many seconds.
    pub async fn set_entry(
        &self,
        app: &AppSlug,
        collection: &str,
        key: &str,
        value: &Value,
        ttl_s: Option<u64>,
    ) -> Result<(), Error> {
        let mut request =
            self.request(Method::PUT, &["apps", app.as_str(), "kv", collection, key]).json(value);
        if let Some(ttl_s) = ttl_s {
            request = request.query(&[("ttl", ttl_s)]);
        }
        self.send(request).await.map(drop)
    }

    pub async fn delete_entry(
        &self,
        app: &AppSlug,
        collection: &str,
        key: &str,
    ) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &["apps", app.as_str(), "kv", collection, key]);
        self.send(request).await.map(drop)
    }

    /// The app's secrets, without their values.
    pub async fn secrets(&self, app: &AppSlug) -> Result<List<Secret>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "secrets"])).await
    }

    pub async fn set_secret(&self, app: &AppSlug, name: &str, value: String) -> Result<(), Error> {
        let request = self.request(Method::PUT, &["apps", app.as_str(), "secrets", name]);
        self.send(request.body(value)).await.map(drop)
    }

    pub async fn delete_secret(&self, app: &AppSlug, name: &str) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &["apps", app.as_str(), "secrets", name]);
        self.send(request).await.map(drop)
    }

    pub async fn invoke(&self, app: &AppSlug, invoke: &Invoke) -> Result<Invoked, Error> {
        self.read(self.request(Method::POST, &["apps", app.as_str(), "invoke"]).json(invoke)).await
    }

    /// The app's newest events, newest first.
    pub async fn events(&self, app: &AppSlug, page: &Page) -> Result<List<Event>, Error> {
        let request = self.request(Method::GET, &["apps", app.as_str(), "events"]);
        self.read(request.query(page)).await
    }

    /// The newest events, oldest first, and then every new one as it comes.
    pub async fn follow_events(
        &self,
        app: &AppSlug,
        limit: u32,
    ) -> Result<impl Stream<Item = Result<Event, Error>> + use<>, Error> {
        let request = self
            .unlimited(Method::GET, &["apps", app.as_str(), "events"])
            .query(&[("limit", limit)])
            .query(&[("follow", "true")]);
        self.stream(request).await
    }

    /// An event with all that began with the same cause.
    pub async fn event(&self, app: &AppSlug, id: &str) -> Result<EventDetail, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "events", id])).await
    }

    /// Publishes an event under a topic.
    pub async fn publish(
        &self,
        app: &AppSlug,
        topic: &str,
        payload: &Value,
    ) -> Result<Sent, Error> {
        let request = self.request(Method::POST, &["apps", app.as_str(), "events"]);
        self.read(request.json(&json!({ "topic": topic, "payload": payload }))).await
    }

    pub async fn queues(&self, app: &AppSlug) -> Result<List<Queue>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "queues"])).await
    }

    /// Sends a message to a queue.
    pub async fn send_message(
        &self,
        app: &AppSlug,
        queue: &str,
        message: &Message,
    ) -> Result<Sent, Error> {
        let request = self.request(Method::POST, &["apps", app.as_str(), "queues", queue]);
        self.read(request.json(message)).await
    }

    /// The app's dead letters, newest first.
    pub async fn dead_letters(
        &self,
        app: &AppSlug,
        page: &Page,
    ) -> Result<List<DeadLetter>, Error> {
        let request = self.request(Method::GET, &["apps", app.as_str(), "dead-letters"]);
        self.read(request.query(page)).await
    }

    pub async fn dead_letter(&self, app: &AppSlug, id: &str) -> Result<DeadLetter, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "dead-letters", id])).await
    }

    /// Has a dead letter delivered once more, with other fields if given.
    pub async fn replay(
        &self,
        app: &AppSlug,
        id: &str,
        fields: Option<&Value>,
    ) -> Result<(), Error> {
        let path = ["apps", app.as_str(), "dead-letters", id, "replay"];
        let mut request = self.request(Method::POST, &path);
        if let Some(fields) = fields {
            request = request.json(&json!({ "fields": fields }));
        }
        self.send(request).await.map(drop)
    }

    /// Has every dead letter delivered once more, and says how many there are.
    pub async fn replay_all(&self, app: &AppSlug) -> Result<Replayed, Error> {
        let path = ["apps", app.as_str(), "dead-letters", "replay"];
        self.read(self.request(Method::POST, &path)).await
    }

    pub async fn drop_dead_letter(&self, app: &AppSlug, id: &str) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &["apps", app.as_str(), "dead-letters", id]);
        self.send(request).await.map(drop)
    }

    pub async fn schedules(&self, app: &AppSlug) -> Result<List<ScheduleInfo>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "schedules"])).await
    }

    /// `run`, `pause` or `resume`.
    pub async fn schedule(&self, app: &AppSlug, name: &str, verb: &str) -> Result<(), Error> {
        let path = ["apps", app.as_str(), "schedules", name, verb];
        self.send(self.request(Method::POST, &path)).await.map(drop)
    }

    /// A backup of the instance, as it is made.
    pub async fn backup(&self) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<>, Error> {
        let server = self.server.clone();
        let chunks = self.send(self.unlimited(Method::POST, &["backup"])).await?.bytes_stream();
        Ok(chunks.map_err(move |error| Error::transport(&server, error)))
    }

    /// A bundle of the app, as it is made.
    pub async fn export_app(
        &self,
        app: &AppSlug,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<>, Error> {
        let server = self.server.clone();
        let request = self.unlimited(Method::GET, &["apps", app.as_str(), "export"]);
        let chunks = self.send(request).await?.bytes_stream();
        Ok(chunks.map_err(move |error| Error::transport(&server, error)))
    }

    /// Makes an app of a bundle, which comes in these chunks.
    pub async fn import_app(
        &self,
        app: &AppSlug,
        chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<ImportedApp, Error> {
        let request = self.unlimited(Method::POST, &["apps", app.as_str(), "import"]);
        self.read(request.body(reqwest::Body::wrap_stream(chunks))).await
    }

    /// A body of JSON objects, one a line, as they come.
    async fn stream<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<impl Stream<Item = Result<T, Error>> + use<T>, Error> {
        let server = self.server.clone();
        let body = self.send(request).await?.bytes_stream();
        let lines = Lines { body, pending: Vec::new() };
        Ok(stream::try_unfold(lines, move |mut lines| {
            let server = server.clone();
            async move {
                let line = lines.next().await.map_err(|error| Error::transport(&server, error))?;
                let Some(line) = line else { return Ok(None) };
                let line = serde_json::from_slice(&line).map_err(Error::unexpected)?;
                Ok(Some((line, lines)))
            }
        }))
    }

    /// Every page of a list.
    async fn all<T: DeserializeOwned>(&self, path: &[&str]) -> Result<List<T>, Error> {
        let mut all = List { items: Vec::new(), next: None };
        loop {
            let page = Page { after: all.next.take(), ..Page::default() };
            let list: List<T> = self.read(self.request(Method::GET, path).query(&page)).await?;
            all.items.extend(list.items);
            if list.next.is_none() {
                return Ok(all);
            }
            all.next = list.next;
        }
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.unlimited(method, path).timeout(ANSWER)
    }

    fn unlimited(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = format!("{}/api/v1", self.server.as_str().trim_end_matches('/'));
        for segment in path {
            url.push('/');
            url.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response =
            request.send().await.map_err(|error| Error::transport(&self.server, error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| Error::transport(&self.server, error))?;
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(Error::Problem(problem)),
            Err(_) => Err(Error::Status { server: self.server.to_string(), status }),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|error| Error::transport(&self.server, error))?;
        serde_json::from_slice(&body).map_err(Error::unexpected)
    }
}

/// A body's lines.
struct Lines<S> {
    body: S,
    pending: Vec<u8>,
}

impl<S: Stream<Item = reqwest::Result<Bytes>> + Unpin> Lines<S> {
    /// The next line without its end, skipping empty ones; `None` at the end.
    async fn next(&mut self) -> reqwest::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let unsearched = self.pending.get(searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|&b| b == b'\n') {
                let rest = self.pending.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                searched = 0;
                line.pop();
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            searched = self.pending.len();
            match self.body.next().await {
                Some(chunk) if self.pending.len() < MAX_LINE => {
                    self.pending.extend_from_slice(&chunk?);
                }
                // What has no end was cut off, or is no log line.
                Some(_) | None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header;

    use super::*;

    fn client(server: &str) -> Client {
        Client::new(server.parse().unwrap(), Some("secret".to_owned())).unwrap()
    }

    #[test]
    fn texts_stay_within_their_segment_of_the_path() {
        let url = |server: &str, path: &[&str]| {
            client(server).request(Method::GET, path).build().unwrap().url().to_string()
        };
        let base = "http://localhost:8080/api/v1";
        assert_eq!(url("http://localhost:8080", &["apps"]), format!("{base}/apps"));
        let path = ["apps", "ab", "kv", "c", "a/../b?x#ä %2F"];
        assert_eq!(
            url("http://localhost:8080/", &path),
            format!("{base}/apps/ab/kv/c/a%2F..%2Fb%3Fx%23%C3%A4%20%252F")
        );
        assert_eq!(url("http://h/picloud/", &["apps"]), "http://h/picloud/api/v1/apps");
    }

    #[test]
    fn the_token_is_presented_and_not_shown() {
        let request = client("http://h").request(Method::GET, &["apps"]).build().unwrap();
        let header = &request.headers()[header::AUTHORIZATION];
        assert_eq!(header, "Bearer secret");
        assert!(header.is_sensitive());
    }

    #[tokio::test]
    async fn a_stream_is_cut_into_lines_wherever_its_chunks_end() {
        let chunks = ["{\"a\"", ":1}\n\n{\"b\":2}\n{", "\"c\":3}\n", "cut off"];
        let body = stream::iter(chunks.map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))));
        let mut lines = Lines { body, pending: Vec::new() };
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(seen, ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_as_such() {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = client(&server).apps().await.unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(&format!("cannot reach {server}")), "{message}");
        assert!(message.contains("is `picloud serve` or `picloud dev` running?"), "{message}");
    }
}
