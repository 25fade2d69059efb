//! Domains of an app's own, as the control plane tells of them.

use http::Method;
use picloud_shared::AppSlug;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Client, Error, List};

/// An app's domain, or its claim to one.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DomainInfo {
    pub domain: String,
    /// Unix time, milliseconds.
    pub created_at_ms: u64,
    /// When it was proved; until then the app does not answer at it.
    pub verified_at_ms: Option<u64>,
    /// What proves it.
    pub record: DomainRecord,
    /// The app's own host: what the domain's `CNAME` can be.
    pub alias_of: String,
    /// Where the app answers, once it is proved.
    pub url: String,
}

/// A record for the domain name system.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DomainRecord {
    pub name: String,
    /// `TXT`
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

impl Client {
    /// The app's own domains, and those that it has claimed.
    pub async fn domains(&self, app: &AppSlug) -> Result<List<DomainInfo>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "domains"])).await
    }

    pub async fn claim_domain(&self, app: &AppSlug, domain: &str) -> Result<DomainInfo, Error> {
        let request = self.request(Method::POST, &["apps", app.as_str(), "domains"]);
        self.read(request.json(&json!({ "domain": domain }))).await
    }

    /// `verify` or `approve`.
    pub async fn change_domain(
        &self,
        app: &AppSlug,
        domain: &str,
        verb: &str,
    ) -> Result<DomainInfo, Error> {
        let path = ["apps", app.as_str(), "domains", domain, verb];
        self.read(self.request(Method::POST, &path)).await
    }

    pub async fn remove_domain(&self, app: &AppSlug, domain: &str) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &["apps", app.as_str(), "domains", domain]);
        self.send(request).await.map(drop)
    }
}
