//! The services of a test: KV and files whose every write is committed as it is
//! made, so that the requests which the test makes find it, and it finds what
//! they have written. What an event leads to has happened before the test goes
//! on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use picloud_shared::events::{self, Events};
use picloud_shared::files::{self, Files};
use picloud_shared::kv::{self, Kv};
use picloud_shared::queue::{self, Queue, SendOptions};
use picloud_shared::test::Test;
use picloud_shared::{Clock, ExecutionId, StoreError};

use crate::commit::Written;
use crate::executor::Task;
use crate::services::{AppState, Attempt, Backends};

/// Makes a unit of work for each call.
pub(crate) struct AtOnce {
    pub(crate) backends: Backends,
    pub(crate) app: Arc<AppState>,
    pub(crate) task: Task,
    pub(crate) execution: ExecutionId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) test: Arc<dyn Test>,
}

impl AtOnce {
    fn attempt(&self) -> Attempt {
        let now_ms = self.clock.now_ms();
        Attempt::new(&self.backends, &self.app, &self.task, self.execution, now_ms)
    }

    async fn commit(&self, attempt: &Attempt) -> Result<(), StoreError> {
        let written = Written::by(attempt, None).await;
        let written = written.map_err(|outcome| StoreError::unavailable(outcome.to_string()))?;
        let Some(written) = written else { return Ok(()) };
        let Task { app, limits, .. } = &self.task;
        {
            let _shared = self.app.commits.read().await;
            let now_ms = self.clock.now_ms();
            written.commit(&self.backends, &self.app, *app, limits, now_ms).await?;
        }
        self.test.settle().await;
        Ok(())
    }

    async fn commit_kv(&self, attempt: &Attempt) -> Result<(), kv::Error> {
        self.commit(attempt).await.map_err(|error| match error {
            StoreError::QuotaExceeded(_) => kv::Error::QuotaExceeded,
            other => kv::Error::Unavailable(other),
        })
    }

    async fn commit_files(&self, attempt: &Attempt) -> Result<(), files::Error> {
        self.commit(attempt).await.map_err(|error| match error {
            StoreError::QuotaExceeded(_) => files::Error::QuotaExceeded,
            other => files::Error::Unavailable(other),
        })
    }
}

#[async_trait]
impl Kv for AtOnce {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<String>, kv::Error> {
        self.attempt().kv.get(collection, key).await
    }

    async fn set(
        &self,
        collection: &str,
        key: &str,
        value: String,
        ttl_s: Option<u64>,
    ) -> Result<(), kv::Error> {
        let attempt = self.attempt();
        attempt.kv.set(collection, key, value, ttl_s).await?;
        self.commit_kv(&attempt).await
    }

    async fn delete(&self, collection: &str, key: &str) -> Result<bool, kv::Error> {
        let attempt = self.attempt();
        let existed = attempt.kv.delete(collection, key).await?;
        self.commit_kv(&attempt).await?;
        Ok(existed)
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<kv::Page, kv::Error> {
        self.attempt().kv.list(collection, prefix, after, limit).await
    }

    async fn count(&self, collection: &str) -> Result<u64, kv::Error> {
        self.attempt().kv.count(collection).await
    }

    async fn clear(&self, collection: &str) -> Result<(), kv::Error> {
        let attempt = self.attempt();
        attempt.kv.clear(collection).await?;
        self.commit_kv(&attempt).await
    }
}

#[async_trait]
impl Events for AtOnce {
    async fn publish(&self, topic: &str, payload: String) -> Result<(), events::Error> {
        let attempt = self.attempt();
        attempt.outbox.publish(topic, payload).await?;
        self.commit(&attempt).await.map_err(events::Error::Unavailable)
    }
}

#[async_trait]
impl Queue for AtOnce {
    async fn send(
        &self,
        queue: &str,
        payload: String,
        options: SendOptions,
    ) -> Result<(), queue::Error> {
        let attempt = self.attempt();
        Queue::send(&*attempt.outbox, queue, payload, options).await?;
        self.commit(&attempt).await.map_err(queue::Error::Unavailable)
    }
}

#[async_trait]
impl Files for AtOnce {
    async fn put(
        &self,
        bucket: &str,
        path: &str,
        contents: Bytes,
        content_type: Option<String>,
    ) -> Result<files::Info, files::Error> {
        let attempt = self.attempt();
        let info = attempt.files.put(bucket, path, contents, content_type).await?;
        self.commit_files(&attempt).await?;
        Ok(info)
    }

    async fn get(&self, bucket: &str, path: &str) -> Result<Option<Bytes>, files::Error> {
        self.attempt().files.get(bucket, path).await
    }

    async fn info(&self, bucket: &str, path: &str) -> Result<Option<files::Info>, files::Error> {
        self.attempt().files.info(bucket, path).await
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<files::Page, files::Error> {
        self.attempt().files.list(bucket, prefix, after, limit).await
    }

    async fn delete(&self, bucket: &str, path: &str) -> Result<bool, files::Error> {
        let attempt = self.attempt();
        let existed = attempt.files.delete(bucket, path).await?;
        self.commit_files(&attempt).await?;
        Ok(existed)
    }

    fn url(&self, bucket: &str, path: &str, ttl_s: Option<u64>) -> Result<String, files::Error> {
        self.attempt().files.url(bucket, path, ttl_s)
    }
}
