//! On what a change of the active release depends.

use std::borrow::Cow;
use std::fmt::Write as _;

use picloud_shared::idempotency::{Idempotency, MadeDeploy};
use picloud_shared::{App, BlobHash, Release, ReleaseNumber};
use serde::{Deserialize, Serialize};

use super::Manager;
use super::deploy::{Deployed, RouteSummary, Upload};
use crate::Error;

/// On what a deploy depends, as its client has it.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// The release that must be the active one; without it, any or none.
    pub expected: Option<Expected>,
    /// By what the deploy is known if the client asks for it once more.
    pub idempotency: Option<Idempotency>,
}

/// Which release a change is to be made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whichever is active.
    Any,
    /// One of these, by [`Release::tag`].
    Tagged(Vec<String>),
}

/// What is remembered of a deploy besides its release.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer<'a> {
    routes: Cow<'a, [RouteSummary]>,
    warnings: Cow<'a, [String]>,
}

impl Answer<'_> {
    /// The JSON in which it is kept.
    pub(super) fn of(routes: &[RouteSummary], warnings: &[String]) -> Result<String, Error> {
        let answer = Answer { routes: routes.into(), warnings: warnings.into() };
        serde_json::to_string(&answer).map_err(|error| Error::HostFault(error.to_string()))
    }
}

impl Manager {
    /// The active release, if it is the expected one.
    pub(super) async fn check_expected(
        &self,
        app: &App,
        expected: Option<&Expected>,
    ) -> Result<Option<ReleaseNumber>, Error> {
        let Some(expected) = expected else { return Ok(None) };
        let active = app.active_release.ok_or(Error::PreconditionFailed(None))?;
        let is_expected = match expected {
            Expected::Any => true,
            Expected::Tagged(tags) => {
                let release = self.releases.find(app.id, active).await?;
                release.is_some_and(|release| tags.contains(&release.tag()))
            }
        };
        if is_expected { Ok(Some(active)) } else { Err(Error::PreconditionFailed(Some(active))) }
    }

    /// What was answered when this was deployed before.
    pub(super) async fn made(
        &self,
        app: &App,
        idempotency: &Idempotency,
        request: BlobHash,
    ) -> Result<Option<Deployed>, Error> {
        let now_ms = self.clock.now_ms();
        let Some(made) = self.releases.made(app.id, idempotency, now_ms).await? else {
            return Ok(None);
        };
        let MadeDeploy { request: first, answer, release } = made;
        if first != request {
            return Err(Error::IdempotencyKeyReused(idempotency.key.clone()));
        }
        let found = self.releases.find(app.id, release).await?;
        let release: Release = found.ok_or(Error::ReleaseNotFound(release))?;
        let Answer { routes, warnings } = serde_json::from_str(&answer).map_err(|error| {
            Error::HostFault(format!("a remembered answer cannot be read: {error}"))
        })?;
        let (routes, warnings) = (routes.into_owned(), warnings.into_owned());
        Ok(Some(Deployed { release, routes, warnings }))
    }
}

/// Tells what is asked for from everything else that could be.
pub(super) fn digest(upload: &Upload, note: &str) -> BlobHash {
    // Each text is told by its hash, so none can be taken for two.
    let of = |text: &str| BlobHash::of(text.as_bytes()).to_string();
    let mut all = of(note);
    match upload {
        Upload::Files(files) | Upload::Draft(files) => {
            let is_draft = matches!(upload, Upload::Draft(_));
            all.push_str(if is_draft { " draft" } else { " files" });
            for (path, contents) in files {
                // Writing to a String does not fail.
                let _ = write!(all, " {} {}", of(path), BlobHash::of(contents));
            }
        }
        Upload::Patch { path, contents } => {
            let contents = contents.as_ref().map(|contents| BlobHash::of(contents));
            let _ = write!(all, " patch {} {contents:?}", of(path));
        }
    }
    BlobHash::of(all.as_bytes())
}
