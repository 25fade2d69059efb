#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

mod apps;
mod compare;
mod conditions;
mod deploy;
mod domains;
mod fakes;
