//! Services that lead nowhere, and an invocation of nobody's: for tests, for
//! benchmarks, and for trying the host out.

use std::sync::Arc;

use async_trait::async_trait;
use picloud_shared::kv::{Error, Kv, Page};
use picloud_shared::{ExecutionId, Invocation, Level, Log, ReleaseNumber, Services};

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

/// Services that lead nowhere.
#[must_use]
pub fn services() -> Services {
    Services { kv: Arc::new(NoKv), log: Arc::new(NoLog) }
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
