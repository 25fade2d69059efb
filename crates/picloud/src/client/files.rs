//! An app's files, and files that are not deployed yet.

use bytes::Bytes;
use http::Method;
use picloud_shared::AppSlug;
use reqwest::header;
use serde::{Deserialize, Serialize};

use super::{Client, Error, Issue, List, Page};

/// A bucket, and how many files it has.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Bucket {
    pub bucket: String,
    pub files: u64,
}

/// What is known of a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FileInfo {
    pub path: String,
    pub bytes: u64,
    /// SHA-256 of its contents, in hexadecimal.
    pub hash: String,
    pub content_type: String,
    /// Unix time, milliseconds.
    pub modified_ms: u64,
}

/// What there is to say of files.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Checked {
    pub diagnostics: Vec<Diagnostic>,
}

/// One thing that is wrong, or perhaps not meant.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Diagnostic {
    /// `error` or `warning`.
    pub severity: String,
    #[serde(flatten)]
    pub issue: Issue,
}

impl Diagnostic {
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

impl Client {
    /// What a deploy of the archive would say.
    pub async fn check(&self, app: &AppSlug, archive: Bytes) -> Result<Checked, Error> {
        let request = self.request(Method::POST, &["apps", app.as_str(), "check"]);
        self.read(request.body(archive)).await
    }

    pub async fn buckets(&self, app: &AppSlug) -> Result<List<Bucket>, Error> {
        self.all(&["apps", app.as_str(), "files"]).await
    }

    pub async fn files(
        &self,
        app: &AppSlug,
        bucket: &str,
        page: &Page,
    ) -> Result<List<FileInfo>, Error> {
        let request = self.request(Method::GET, &["apps", app.as_str(), "files", bucket]);
        self.read(request.query(page)).await
    }

    /// A file's contents.
    pub async fn file(&self, app: &AppSlug, bucket: &str, path: &str) -> Result<Bytes, Error> {
        let request = self.request(Method::GET, &of(app, bucket, path));
        let response = self.send(request).await?;
        response.bytes().await.map_err(|error| Error::transport(&self.server, error))
    }

    /// Writes a file; without a content type its path's extension decides.
    pub async fn put_file(
        &self,
        app: &AppSlug,
        bucket: &str,
        path: &str,
        contents: Bytes,
        content_type: Option<&str>,
    ) -> Result<FileInfo, Error> {
        let mut request = self.request(Method::PUT, &of(app, bucket, path)).body(contents);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        self.read(request).await
    }

    pub async fn delete_file(&self, app: &AppSlug, bucket: &str, path: &str) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, &of(app, bucket, path))).await.map(drop)
    }
}

fn of<'a>(app: &'a AppSlug, bucket: &'a str, path: &'a str) -> [&'a str; 5] {
    ["apps", app.as_str(), "files", bucket, path]
}
