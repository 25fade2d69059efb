//! What is different between two releases: their files, and what these amount
//! to: routes, hosts that may be called, limits, settings.

mod files;
mod meaning;

use std::collections::BTreeMap;

use bytes::Bytes;
use picloud_shared::ReleaseNumber;
use serde::Serialize;

pub use files::{Change, Contents, FileDiff, Omitted, text};
pub use meaning::{ConfigDiff, LimitDiff, ManifestDiff, SetDiff};

/// A release with its files' contents.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub number: ReleaseNumber,
    pub files: BTreeMap<String, Bytes>,
}

/// The way from one release to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diff {
    pub from: ReleaseNumber,
    pub to: ReleaseNumber,
    /// In the order of their paths; files that are the same are left out.
    pub files: Vec<FileDiff>,
    /// What the manifests and the files' names amount to; `None` if one of the
    /// releases does not follow the rules of this version.
    pub manifest: Option<ManifestDiff>,
}

impl Diff {
    /// Compares two releases, which takes some time: call it where blocking is
    /// allowed.
    #[must_use]
    pub fn of(from: &Snapshot, to: &Snapshot) -> Self {
        Self {
            from: from.number,
            to: to.number,
            files: files::diff(&from.files, &to.files),
            manifest: ManifestDiff::of(&from.files, &to.files),
        }
    }
}
