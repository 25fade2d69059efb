//! Checking files without deploying them, for editors.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use picloud_manager_core::{Checked, Issue};
use picloud_shared::{AppId, manifest};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::releases::unpacked;
use crate::http::auth::OfApp;
use crate::http::error_pages;
use crate::http::problem::Problem;
use crate::node::Node;
use crate::one_each::OneEach;

/// How long a check may take, its waiting included.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn router() -> OpenApiRouter<Arc<Node>> {
    OpenApiRouter::new().routes(routes!(check))
}

/// Checks that are under way: one at a time of each app, and one that compiles,
/// so that deploys have the rest of the compilers.
pub struct Checks {
    apps: OneEach<AppId>,
    turn: Semaphore,
}

impl Default for Checks {
    fn default() -> Self {
        Self { apps: OneEach::default(), turn: Semaphore::new(1) }
    }
}

/// What there is to say of the files.
#[derive(Serialize, ToSchema)]
struct CheckView {
    /// Errors, with which a deploy would be refused, or else warnings. Empty if
    /// all is well.
    diagnostics: Vec<Diagnostic>,
}

/// One thing that is wrong, or perhaps not meant.
#[derive(Serialize, ToSchema)]
struct Diagnostic {
    severity: Severity,
    /// `syntax_error`, `invalid_manifest`, `route_conflict`, …; a warning has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Counted from 1, as is `column`, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    /// The line with a caret under the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<String>,
    /// The path of the page about the code, on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Error,
    Warning,
}

impl From<Issue> for Diagnostic {
    fn from(Issue { code, message, file, line, column, excerpt }: Issue) -> Self {
        let help = error_pages::path(&code);
        let severity = Severity::Error;
        Self { severity, code: Some(code), message, file, line, column, excerpt, help }
    }
}

impl From<String> for Diagnostic {
    /// A warning, which begins with the manifest's name where it is about that.
    fn from(warning: String) -> Self {
        let of_manifest =
            warning.strip_prefix(manifest::FILE).and_then(|rest| rest.strip_prefix(": "));
        Self {
            severity: Severity::Warning,
            code: None,
            file: of_manifest.map(|_| manifest::FILE.to_owned()),
            message: of_manifest.map(str::to_owned).unwrap_or(warning),
            line: None,
            column: None,
            excerpt: None,
            help: None,
        }
    }
}

/// Says what a deploy of these files would say, and deploys nothing.
///
/// The scripts are compiled in the sandbox. An app's files are checked one at a
/// time: while a check runs, another one is 429.
#[utoipa::path(
    post,
    path = "/apps/{app}/check",
    operation_id = "check",
    tag = "releases",
    request_body(
        description = "A tar, gzipped or not, of all the files, as for a deploy.",
        content_type = "application/gzip",
    ),
    responses((status = 200, body = CheckView)),
    security(("token" = ["deploy"])),
)]
async fn check(
    State(node): State<Arc<Node>>,
    OfApp(app): OfApp,
    request_body: Body,
) -> Result<Json<CheckView>, Problem> {
    let files = unpacked(&node, request_body).await?;
    let busy = || Problem::app_busy("the app's files are being checked; try again");
    let _check = node.checks.apps.begin(app.id).ok_or_else(busy)?;
    let checked = tokio::time::timeout(TIMEOUT, async {
        // Never refused: nobody closes the semaphore.
        let _turn = node.checks.turn.acquire().await;
        node.manager.check(&app, &files).await
    });
    let checked = checked
        .await
        .map_err(|_elapsed| Problem::instance_busy("there is too much to compile; try again"))?;
    let Checked { errors, warnings } = checked?;
    let errors = errors.into_iter().map(Diagnostic::from);
    let diagnostics = errors.chain(warnings.into_iter().map(Diagnostic::from)).collect();
    Ok(Json(CheckView { diagnostics }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_about_the_manifest_names_it() {
        let warning = Diagnostic::from("picloud.toml: a rule".to_owned());
        assert_eq!((warning.file.as_deref(), &*warning.message), (Some("picloud.toml"), "a rule"));
        let warning = Diagnostic::from("nothing answers".to_owned());
        assert_eq!((warning.file, &*warning.message), (None, "nothing answers"));
    }
}
