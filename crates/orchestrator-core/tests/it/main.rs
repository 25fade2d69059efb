#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod demands;
mod directory;
mod domains;
mod stores;
