//! How a release comes to be the active one.

use std::collections::BTreeMap;

use bytes::Bytes;
use picloud_shared::idempotency::NewDeploy;
use picloud_shared::routes::Method;
use picloud_shared::{App, NewRelease, Release, ReleaseNumber, Route, StoreError};
use serde::{Deserialize, Serialize};

use super::Manager;
use super::conditions::{Answer, Conditions, Expected, digest};
use super::review::Review;
use crate::{Error, path};

/// Times that a change of one file is tried when others deploy meanwhile.
const ATTEMPTS: usize = 20;

/// What is deployed.
#[derive(Clone, Debug)]
pub enum Upload {
    /// All files of the new release.
    Files(BTreeMap<String, Bytes>),
    /// All files of a release that answers no requests but those for its
    /// preview, until it is made the active one.
    Draft(BTreeMap<String, Bytes>),
    /// The active release with one file changed, or removed where there are no
    /// contents.
    Patch { path: String, contents: Option<Bytes> },
}

/// A release that was stored, and that answers requests from now on unless it
/// is a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployed {
    pub release: Release,
    pub routes: Vec<RouteSummary>,
    /// What is not wrong and yet perhaps not meant.
    pub warnings: Vec<String>,
}

/// A route as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteSummary {
    /// Empty for every method.
    pub methods: Vec<Method>,
    pub path: String,
    pub handler: String,
}

impl From<Route> for RouteSummary {
    fn from(Route { methods, pattern, handler }: Route) -> Self {
        Self { methods, path: pattern.to_string(), handler: handler.to_string() }
    }
}

impl Manager {
    /// Stores a new release of the app and makes it the active one, if
    /// everything in it is right: routes, manifest, and every script that a
    /// handler names, compiled in the sandbox. Otherwise nothing changes.
    ///
    /// `note` says where it comes from.
    pub async fn deploy(&self, app: &App, upload: Upload, note: &str) -> Result<Deployed, Error> {
        self.deploy_if(app, upload, note, &Conditions::default()).await
    }

    /// [`Manager::deploy`] under conditions. Asked for once more under the same
    /// key, it is not done again, and the answer is the first one.
    pub async fn deploy_if(
        &self,
        app: &App,
        upload: Upload,
        note: &str,
        conditions: &Conditions,
    ) -> Result<Deployed, Error> {
        if let Upload::Patch { path, .. } = &upload {
            path::check(path)?;
        }
        for _ in 0..ATTEMPTS {
            match self.attempt(app, &upload, note, conditions).await {
                Err(Error::Conflict) => {}
                result => return result,
            }
        }
        Err(Error::Conflict)
    }

    /// Makes an earlier release the active one again, if it can still run.
    pub async fn rollback(&self, app: &App, number: ReleaseNumber) -> Result<Deployed, Error> {
        self.rollback_if(app, number, None).await
    }

    /// [`Manager::rollback`] if the expected release is the active one until then.
    pub async fn rollback_if(
        &self,
        app: &App,
        number: ReleaseNumber,
        expected: Option<&Expected>,
    ) -> Result<Deployed, Error> {
        let app = &self.again(app).await?;
        let instead_of = self.check_expected(app, expected).await?;
        let Some(release) = self.releases.find(app.id, number).await? else {
            return Err(Error::ReleaseNotFound(number));
        };
        let files = self.releases.contents(app.id, number).await?;
        let review = self.review(app, &files).await?;
        let schedules = review.planned(self.clock.now_ms());
        match self.releases.activate(app.id, number, &schedules, instead_of).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::ReleaseNotFound(number)),
            // Another one has become active since.
            Err(StoreError::Conflict) => {
                let active = self.again(app).await?.active_release;
                return Err(Error::PreconditionFailed(active));
            }
            Err(error) => return Err(error.into()),
        }
        let (routes, warnings) = summary(review);
        Ok(Deployed { release, routes, warnings })
    }

    /// Deletes an earlier release with the contents that no other one has.
    pub async fn delete_release(&self, app: &App, number: ReleaseNumber) -> Result<(), Error> {
        if self.releases.delete(app.id, number).await? {
            return Ok(());
        }
        Err(match self.releases.find(app.id, number).await? {
            Some(_) => Error::ReleaseInUse(number),
            None => Error::ReleaseNotFound(number),
        })
    }

    async fn attempt(
        &self,
        app: &App,
        upload: &Upload,
        note: &str,
        conditions: &Conditions,
    ) -> Result<Deployed, Error> {
        let app = self.again(app).await?;
        let request = digest(upload, note);
        if let Some(idempotency) = &conditions.idempotency
            && let Some(deployed) = self.made(&app, idempotency, request).await?
        {
            return Ok(deployed);
        }
        let expected = self.check_expected(&app, conditions.expected.as_ref()).await?;
        let files = match upload {
            Upload::Files(files) | Upload::Draft(files) => files.clone(),
            Upload::Patch { path, contents } => {
                let mut files = match app.active_release {
                    Some(number) => self.releases.contents(app.id, number).await?,
                    None => BTreeMap::new(),
                };
                match contents {
                    Some(contents) => _ = files.insert(path.clone(), contents.clone()),
                    None if files.remove(path).is_some() => {}
                    None => return Err(Error::FileNotFound(path.clone())),
                }
                files
            }
        };
        self.check_caps(&files)?;
        let review = self.review(&app, &files).await?;
        let schedules = review.planned(self.clock.now_ms());
        let (routes, warnings) = summary(review);
        let deploy = match &conditions.idempotency {
            Some(idempotency) => Some(NewDeploy {
                idempotency: idempotency.clone(),
                request,
                answer: Answer::of(&routes, &warnings)?,
            }),
            None => None,
        };

        let limits = self.owners.lower(app.id, &self.defaults.with(&app.limits)).await;
        let is_patch = matches!(upload, Upload::Patch { .. });
        let release = NewRelease {
            note: note.to_owned(),
            activate: !matches!(upload, Upload::Draft(_)),
            created_at_ms: self.clock.now_ms(),
            files,
            derived_from: expected.or(app.active_release.filter(|_| is_patch)),
            deploy,
            schedules,
            quota_bytes: limits.release_bytes,
        };
        // The store can tell that another release became active since, but not
        // that a first one did; so only one release is stored at a time.
        let _storing = self.storing.lock().await;
        if is_patch && self.again(&app).await?.active_release != app.active_release {
            return Err(StoreError::Conflict.into());
        }
        let release = self.releases.create(app.id, &release).await?;
        Ok(Deployed { release, routes, warnings })
    }

    pub(super) fn check_caps(&self, files: &BTreeMap<String, Bytes>) -> Result<(), Error> {
        files.keys().try_for_each(|path| path::check(path))?;
        if files.len() as u64 > self.caps.files {
            return Err(Error::TooManyFiles { max_files: self.caps.files });
        }
        if files.values().map(|contents| contents.len() as u64).sum::<u64>() > self.caps.bytes {
            return Err(Error::ReleaseTooLarge { max_bytes: self.caps.bytes });
        }
        Ok(())
    }
}

/// What is told of a release's files: routes and warnings.
fn summary(review: Review) -> (Vec<RouteSummary>, Vec<String>) {
    let routes = review.routes.routes.into_iter().map(RouteSummary::from);
    let statics = review.routes.statics.into_iter().map(|(path, handler)| RouteSummary {
        methods: vec![Method::Get],
        path,
        handler,
    });
    (routes.chain(statics).collect(), review.warnings)
}
