//! What the active release's manifest says: triggers and settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use picloud_shared::{EventType, Trigger};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, outside};
use crate::http::auth::OfApp;
use crate::http::problem::Problem;
use crate::node::Node;

type TriggerList = List<TriggerView>;
type SettingList = List<Setting>;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(triggers)).routes(routes!(config))
}

/// Which events call which handler.
#[derive(Serialize, ToSchema)]
struct TriggerView {
    /// `kv.set`, `events.publish`, …
    #[schema(value_type = String)]
    on: EventType,
    /// Fields of the event that must be so; `*` stands for anything.
    filter: BTreeMap<String, String>,
    handler: String,
    /// Runs that a delivery has, the first included.
    attempts: u32,
    /// Messages that are handled at one time, where it is for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
}

impl From<&Trigger> for TriggerView {
    fn from(Trigger { on, filter, handler, concurrency, attempts }: &Trigger) -> Self {
        let filter = filter.iter().map(|(field, glob)| (field.clone(), glob.as_str().to_owned()));
        Self {
            on: *on,
            filter: filter.collect(),
            handler: handler.handler.to_string(),
            attempts: *attempts,
            concurrency: *concurrency,
        }
    }
}

/// The triggers of the active release, in the manifest's order.
#[utoipa::path(
    get,
    path = "/apps/{app}/triggers",
    operation_id = "list_triggers",
    tag = "events",
    responses((status = 200, body = TriggerList)),
    security(("token" = ["read"])),
)]
async fn triggers(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<Json<TriggerList>, Problem> {
    let active = outside::active(&node, &app).await?;
    let triggers = active.iter().flat_map(|active| active.triggers.iter());
    Ok(Json(List { items: triggers.map(TriggerView::from).collect(), next: None }))
}

/// A setting that scripts read by `config::get`.
#[derive(Serialize, ToSchema)]
struct Setting {
    name: String,
    #[schema(value_type = Value)]
    value: Box<RawValue>,
}

/// The settings of the active release, by name.
#[utoipa::path(
    get,
    path = "/apps/{app}/config",
    operation_id = "list_config",
    tag = "releases",
    responses((status = 200, body = SettingList)),
    security(("token" = ["read"])),
)]
async fn config(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
) -> Result<Json<SettingList>, Problem> {
    let active = outside::active(&node, &app).await?;
    let settings = active.iter().flat_map(|active| active.release.settings.iter());
    let setting = |(name, value): (&String, &String)| {
        let value = RawValue::from_string(value.clone()).map_err(|error| {
            tracing::error!(%error, "a setting is not JSON");
            Problem::host_fault()
        })?;
        Ok(Setting { name: name.clone(), value })
    };
    Ok(Json(List { items: settings.map(setting).collect::<Result<_, Problem>>()?, next: None }))
}
