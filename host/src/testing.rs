//! Services that lead nowhere, and an invocation of nobody's: for tests, for
//! benchmarks, and for trying the host out.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use picloud_shared::config::Settings;
use picloud_shared::crypto::{self, Crypto};
use picloud_shared::events::{self, Events};
use picloud_shared::files::{self, Files};
use picloud_shared::http::{self, Http};
use picloud_shared::kv::{Error, Kv, Page};
use picloud_shared::queue::{self, Queue, SendOptions};
use picloud_shared::secrets::{self, Secrets};
use picloud_shared::{BlobHash, ExecutionId, Invocation, Level, Log, ReleaseNumber, Services};

/// A KV in which nothing is, nor stays.
pub struct NoKv;

#[async_trait]
impl Kv for NoKv {
    async fn get(&self, _collection: &str, _key: &str) -> Result<Option<String>, Error> {
        Ok(None)
    }

    async fn set(&self, _: &str, _: &str, _: String, _: Option<u64>) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _collection: &str, _key: &str) -> Result<bool, Error> {
        Ok(false)
    }

    async fn list(&self, _: &str, _: &str, _: Option<&str>, _: u32) -> Result<Page, Error> {
        Ok(Page::default())
    }

    async fn count(&self, _collection: &str) -> Result<u64, Error> {
        Ok(0)
    }

    async fn clear(&self, _collection: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// A log that nobody reads.
pub struct NoLog;

impl Log for NoLog {
    fn write(&self, _level: Level, _message: String, _fields: Option<String>) {}
}

/// Files of which there are none, nor will there be.
pub struct NoFiles;

#[async_trait]
impl Files for NoFiles {
    async fn put(
        &self,
        _bucket: &str,
        path: &str,
        contents: Bytes,
        content_type: Option<String>,
    ) -> Result<files::Info, files::Error> {
        Ok(files::Info {
            bytes: contents.len() as u64,
            hash: BlobHash::of(&contents),
            content_type: content_type.unwrap_or_else(|| files::content_type_of(path)),
            modified_ms: 0,
        })
    }

    async fn get(&self, _bucket: &str, _path: &str) -> Result<Option<Bytes>, files::Error> {
        Ok(None)
    }

    async fn info(&self, _: &str, _: &str) -> Result<Option<files::Info>, files::Error> {
        Ok(None)
    }

    async fn list(
        &self,
        _bucket: &str,
        _prefix: &str,
        _after: Option<&str>,
        _limit: u32,
    ) -> Result<files::Page, files::Error> {
        Ok(files::Page::default())
    }

    async fn delete(&self, _bucket: &str, _path: &str) -> Result<bool, files::Error> {
        Ok(false)
    }

    fn url(&self, bucket: &str, path: &str, _: Option<u64>) -> Result<String, files::Error> {
        Ok(format!("http://app.localhost/{bucket}/{path}"))
    }
}

/// A network without any other server.
pub struct NoHttp;

#[async_trait]
impl Http for NoHttp {
    async fn send(&self, _request: http::Request) -> Result<http::Response, http::Error> {
        Err(http::Error::Denied("no host can be reached from here".to_owned()))
    }
}

/// An app without secrets.
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn get(&self, _name: &str) -> Result<Option<String>, secrets::Error> {
        Ok(None)
    }
}

/// A host that hashes no passwords.
pub struct NoCrypto;

#[async_trait]
impl Crypto for NoCrypto {
    async fn password_hash(&self, _password: String) -> Result<String, crypto::Error> {
        Err(crypto::Error::Failed("passwords are not hashed here".to_owned()))
    }

    async fn password_verify(&self, _: String, _: String) -> Result<bool, crypto::Error> {
        Err(crypto::Error::InvalidHash)
    }
}

/// An app without triggers.
pub struct NoEvents;

#[async_trait]
impl Events for NoEvents {
    async fn publish(&self, _: &str, _: String) -> Result<(), events::Error> {
        Ok(())
    }
}

#[async_trait]
impl Queue for NoEvents {
    async fn send(&self, queue: &str, _: String, _: SendOptions) -> Result<(), queue::Error> {
        Err(queue::Error::NoConsumer(queue.parse()?))
    }
}

/// Services that lead nowhere.
#[must_use]
pub fn services() -> Services {
    Services {
        config: Arc::new(Settings::new()),
        crypto: Arc::new(NoCrypto),
        events: Arc::new(NoEvents),
        files: Arc::new(NoFiles),
        http: Arc::new(NoHttp),
        kv: Arc::new(NoKv),
        log: Arc::new(NoLog),
        origin: "http://app.localhost".into(),
        queue: Arc::new(NoEvents),
        secrets: Arc::new(NoSecrets),
        test: None,
    }
}

/// An invocation at the epoch, with a seed of zeroes.
#[must_use]
#[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "the constant is a valid slug")]
pub fn invocation() -> Invocation {
    let app = "app".parse().expect("a slug");
    Invocation {
        id: ExecutionId::new(0, [0; 10]),
        app,
        release: ReleaseNumber(1),
        now_ms: 0,
        seed: [0; 4],
        function: None,
    }
}
