//! Bundles: an app with its data, taken from one instance to another.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::{StatusCode, header};
use picloud_manager_core::{Error, path};
use picloud_shared::owner::OwnerQuotas as _;
use picloud_shared::{Limits, Quota, StoreError};
use picloud_store::backup::{self, Import, Room};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::change::to_the_end;
use super::{Path, slug};
use crate::http::auth::{By, MaybeApp, OfApp};
use crate::http::problem::Problem;
use crate::node::Node;

/// An import must have come after this long.
const TIMEOUT: Duration = Duration::from_hours(1);
/// Bytes of a bundle over what its app keeps.
const OVERHEAD_BYTES: u64 = 64 << 20;

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(export)).routes(routes!(import))
}

/// What was made of a bundle.
#[derive(Serialize, ToSchema)]
struct ImportedView {
    app: String,
    /// Where it answers.
    url: String,
    /// What its secrets are called. Their values are not in a bundle: set them.
    secrets: Vec<String>,
}

/// The app with its data, in a file that another instance makes an app of.
///
/// Releases, entries, files and schedules are in it, of one moment; of secrets
/// only their names. An answer that breaks off is no bundle.
#[utoipa::path(
    get,
    path = "/apps/{app}/export",
    operation_id = "export_app",
    tag = "apps",
    responses((status = 200, body = [u8], content_type = "application/gzip")),
    security(("token" = ["admin"])),
)]
async fn export(
    State(node): State<Arc<Node>>,
    By(caller): By,
    OfApp(app): OfApp,
) -> Result<Response, Problem> {
    let (now_ms, key) = (node.clock.now_ms(), node.vault.fingerprint());
    let bundle = node.backups.export(caller.owner(), &app, now_ms, key);
    let bundle = bundle.ok_or_else(|| Problem::app_busy("you are exporting another app"))?;
    let name = format!("attachment; filename=\"{}.picloud\"", app.slug);
    let headers =
        [(header::CONTENT_TYPE, "application/gzip"), (header::CONTENT_DISPOSITION, &name)];
    Ok((headers, Body::from_stream(bundle)).into_response())
}

/// Makes an app of a bundle, all of it or nothing.
///
/// It is yours, whoever's it was. There must be no app of that name.
#[utoipa::path(
    post,
    path = "/apps/{app}/import",
    operation_id = "import_app",
    tag = "apps",
    request_body(content = [u8], content_type = "application/gzip"),
    responses((status = 201, body = ImportedView)),
    security(("token" = ["deploy", "create"])),
)]
async fn import(
    State(node): State<Arc<Node>>,
    By(caller): By,
    MaybeApp(app): MaybeApp,
    Path(name): Path<String>,
    request_body: Body,
) -> Result<(StatusCode, Json<ImportedView>), Problem> {
    let slug = slug(&name)?;
    if app.is_some() {
        return Err(Error::NameTaken(name).into());
    }
    let owner = caller.owner();
    let mut limits = Limits::default();
    if let Some(owner) = owner {
        if !node.owners.has_room_for_app(owner).await.map_err(Error::from)? {
            return Err(Error::QuotaExceeded(Quota::Apps).into());
        }
        limits = node.owners.lower_for_new_app(owner, &limits).await.map_err(Error::from)?;
    }
    let room = Room {
        kv_bytes: limits.kv_bytes,
        file_bytes: limits.file_bytes,
        release_bytes: limits.release_bytes,
    };
    let made = to_the_end(
        {
            let (node, slug) = (Arc::clone(&node), slug.clone());
            async move {
                let begun = node.backups.begin_import(owner);
                let begun =
                    begun.ok_or_else(|| Problem::app_busy("you are importing another app"))?;
                let (_turn, file) = begun.map_err(full)?;
                let file = received(request_body, file, room).await?;
                let is_path = |path: &str| path::check(path).is_ok();
                let import = Import { slug, owner, room, now_ms: node.clock.now_ms(), is_path };
                node.backups.import(file, import).await.map_err(|error| refused(error, name))
            }
        },
        {
            let (node, slug) = (Arc::clone(&node), slug.clone());
            move || node.changed(&slug)
        },
    );
    let made = made.await??;
    let url = node.app_url(&slug);
    let view = ImportedView { app: slug.to_string(), url, secrets: made.secrets };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Writes what comes into the file.
async fn received(body: Body, mut file: File, room: Room) -> Result<File, Problem> {
    let max = [room.kv_bytes, room.file_bytes, room.release_bytes]
        .into_iter()
        .fold(OVERHEAD_BYTES, u64::saturating_add);
    let receive = async {
        let (mut chunks, mut bytes) = (body.into_data_stream(), 0_u64);
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|_| Problem::bad_request("invalid_body", "the body breaks off"))?;
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > max {
                let detail = format!("a bundle may have {max} bytes here");
                return Err(Problem::new(413, "body_too_large", detail));
            }
            file = tokio::task::spawn_blocking(move || file.write_all(&chunk).map(|()| file))
                .await
                .map_err(|_| Problem::host_fault())?
                .map_err(full)?;
        }
        file.rewind().map_err(full)?;
        Ok(file)
    };
    match tokio::time::timeout(TIMEOUT, receive).await {
        Ok(received) => received,
        Err(_) => Err(Problem::new(408, "timed_out", "the body did not come in time")),
    }
}

fn full(error: std::io::Error) -> Problem {
    Error::from(StoreError::unavailable(error)).into()
}

fn refused(error: backup::Error, name: String) -> Problem {
    match error {
        backup::Error::Store(StoreError::Conflict) => Error::NameTaken(name).into(),
        backup::Error::Store(error) => Error::from(error).into(),
        backup::Error::Unreadable(error) => full(error),
        error => Problem::bad_request("invalid_bundle", error.to_string()),
    }
}
