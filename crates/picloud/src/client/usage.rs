//! Usage, as the control plane tells of it.

use http::Method;
use picloud_shared::AppSlug;
use picloud_shared::usage::{Bounded, Counters, Day};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Client, Error};

/// What was used on some days, and what is kept now.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
// The document has another usage, of one invocation.
#[schema(as = AppUsage)]
pub struct Usage {
    /// The first day that was asked for.
    pub from: Day,
    /// The days on which anything was used, the earliest first.
    pub days: Vec<DayUsage>,
    /// Of all these days.
    pub total: Counters,
    /// What is used of the limits now.
    pub limits: Vec<Bounded>,
    /// Of limits that are nearly used up.
    pub warnings: Vec<String>,
}

/// What was used on one day, in UTC.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct DayUsage {
    pub day: Day,
    #[serde(flatten)]
    pub counters: Counters,
}

impl Usage {
    /// `days` are in order.
    pub fn new(from: Day, days: Vec<DayUsage>, limits: Vec<Bounded>) -> Self {
        let mut total = Counters::default();
        for DayUsage { counters, .. } in &days {
            total += *counters;
        }
        let warnings = limits.iter().filter_map(Bounded::warning).collect();
        Self { from, days, total, limits, warnings }
    }
}

impl Client {
    /// What all apps of which the caller is an owner have used together.
    pub async fn own_usage(&self, days: u32) -> Result<Usage, Error> {
        self.read(self.request(Method::GET, &["usage"]).query(&[("days", days)])).await
    }

    /// What the app has used within the last `days` days, today included.
    pub async fn usage(&self, app: &AppSlug, days: u32) -> Result<Usage, Error> {
        let request = self.request(Method::GET, &["apps", app.as_str(), "usage"]);
        self.read(request.query(&[("days", days)])).await
    }
}
