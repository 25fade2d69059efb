//! Deploying, so that a connection which is lost on the way costs nothing: the
//! deploy is sent again under its key, and done once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use picloud_shared::AppSlug;
use reqwest::header;

use super::{Client, Deployed, Error};

/// How long the upload and its answer may take.
const UPLOAD: Duration = Duration::from_mins(30);
/// Bytes of an upload that are sent at a time.
const CHUNK: usize = 64 * 1024;
/// How long is waited before it is sent again, each time.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

impl Client {
    /// Uploads an archive as the app's new release. `progress` is told how
    /// many bytes are on their way.
    pub async fn deploy(
        &self,
        app: &AppSlug,
        archive: Bytes,
        note: &str,
        progress: impl Fn(usize) + Clone + Send + 'static,
    ) -> Result<Deployed, Error> {
        let key = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
        let send = || self.upload(app, archive.clone(), note, &key, progress.clone());
        let mut result = send().await;
        let mut pauses = PAUSES.iter();
        // A server that was never reached is told of at once; one that has gone
        // away may come back.
        while let (Err(Error::Broken { .. }), Some(pause)) = (&result, pauses.next()) {
            tokio::time::sleep(*pause).await;
            result = match send().await {
                Err(Error::Unreachable { server, reason }) => Err(Error::Broken { server, reason }),
                result => result,
            };
        }
        result
    }

    async fn upload(
        &self,
        app: &AppSlug,
        archive: Bytes,
        note: &str,
        key: &str,
        progress: impl Fn(usize) + Send + 'static,
    ) -> Result<Deployed, Error> {
        let (mut sent, length) = (0, archive.len());
        let chunks = (0..length).step_by(CHUNK).map(move |start| {
            let chunk = archive.slice(start..length.min(start + CHUNK));
            sent += chunk.len();
            progress(sent);
            Ok::<_, std::convert::Infallible>(chunk)
        });
        let request = self
            .request(Method::POST, &["apps", app.as_str(), "releases"])
            .timeout(UPLOAD)
            .query(&[("note", note)])
            .header("idempotency-key", key)
            .header(header::CONTENT_TYPE, "application/gzip")
            .header(header::CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(stream::iter(chunks)));
        self.read(request).await
    }
}
