//! The clock of tests, which stands still unless a test moves it.

use std::sync::atomic::{AtomicU64, Ordering};

use picloud_shared::Clock;

/// When each test begins: 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;

pub(super) struct TestClock(AtomicU64);

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicU64::new(START_MS))
    }
}

impl TestClock {
    pub(super) fn set(&self, now_ms: u64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        self.set(START_MS);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
