//! Two releases side by side.

use picloud_shared::{App, ReleaseNumber};

use super::Manager;
use crate::{Error, Snapshot};

impl Manager {
    /// Two releases for [`Diff::of`](crate::Diff::of): `from`, or else the
    /// active one, and `to`.
    pub async fn snapshots(
        &self,
        app: &App,
        from: Option<ReleaseNumber>,
        to: ReleaseNumber,
    ) -> Result<(Snapshot, Snapshot), Error> {
        // Where nothing is active there are no releases, so `to` is not found.
        let from = from.or(app.active_release).unwrap_or(to);
        Ok((self.snapshot(app, from).await?, self.snapshot(app, to).await?))
    }

    async fn snapshot(&self, app: &App, number: ReleaseNumber) -> Result<Snapshot, Error> {
        if self.releases.find(app.id, number).await?.is_none() {
            return Err(Error::ReleaseNotFound(number));
        }
        Ok(Snapshot { number, files: self.releases.contents(app.id, number).await? })
    }
}
