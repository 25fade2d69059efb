//! How far something has come, on a terminal.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr, if that is a terminal; gone when this is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of something that has so many bytes.
    pub(super) fn of(doing: impl Into<Cow<'static, str>>, bytes: u64) -> Self {
        Self::new(ProgressBar::new(bytes), doing, "{msg} {wide_bar} {bytes} of {total_bytes}")
    }

    /// Of something whose size shows at its end.
    pub(super) fn endless(doing: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ProgressBar::no_length(), doing, "{spinner} {msg} {bytes}, {bytes_per_sec}")
    }

    fn new(bar: ProgressBar, doing: impl Into<Cow<'static, str>>, template: &str) -> Self {
        // A template of ours is one.
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(doing);
        Self(bar)
    }

    /// So many bytes are done.
    pub(super) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
