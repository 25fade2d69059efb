#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod directory;
mod stores;
