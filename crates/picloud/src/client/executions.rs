//! What ran.

use http::Method;
use picloud_shared::{AppSlug, Execution, ExecutionId, ReleaseNumber};
use serde::Serialize;

use super::{Client, Error, ExecutionDetail, List};

/// Which executions are asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ExecutionFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The beginning of an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    pub limit: u32,
}

impl Client {
    /// The app's executions that match, newest first: `limit` of them, if there
    /// are as many, however many requests that takes.
    pub async fn executions(
        &self,
        app: &AppSlug,
        filter: &ExecutionFilter,
    ) -> Result<List<Execution>, Error> {
        let mut filter = filter.clone();
        let mut found = List { items: Vec::new(), next: None };
        loop {
            let request = self.request(Method::GET, &["apps", app.as_str(), "executions"]);
            let page: List<Execution> = self.read(request.query(&filter)).await?;
            let new = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
            filter.limit = filter.limit.saturating_sub(new);
            found.items.extend(page.items);
            found.next = page.next;
            if found.next.is_none() || filter.limit == 0 {
                return Ok(found);
            }
            filter.after.clone_from(&found.next);
        }
    }

    pub async fn execution(
        &self,
        app: &AppSlug,
        id: ExecutionId,
    ) -> Result<ExecutionDetail, Error> {
        let id = id.to_string();
        self.read(self.request(Method::GET, &["apps", app.as_str(), "executions", &id])).await
    }
}
