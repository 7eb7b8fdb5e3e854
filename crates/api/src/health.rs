//! Is it alive, and should traffic come here?

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::json::Json;
use crate::problem::{Kind, Problem};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready))
}

/// All is well.
#[derive(Serialize, ToSchema)]
struct Well {
    /// Always true: anything else is a problem.
    ok: bool,
}

/// Is the process alive?
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "It is", body = Well)))]
async fn alive() -> Json<Well> {
    Json(Well { ok: true })
}

/// Should traffic come here?
///
/// Yes while the store answers and the way in works.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses((status = 200, description = "Yes", body = Well), (status = 503, description = "No: the detail says why"))
)]
async fn ready(State(app): State<Arc<App>>) -> Result<Json<Well>, Problem> {
    app.query.topology().current().await?;
    match (app.feed)().not_ready {
        Some(why) => Err(Problem::new(Kind::NotReady, why)),
        None => Ok(Json(Well { ok: true })),
    }
}

/// Why no traffic should come, asked anew each time; `None` when all is well.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<String>> + Send>> + Send + Sync>;

/// `/healthz` and `/readyz` of a process that answers nothing else.
pub fn probes(ready: Ready) -> Router {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(probed)).with_state(ready)
}

async fn probed(State(ready): State<Ready>) -> Result<Json<Well>, Problem> {
    ready().await.map_or(Ok(Json(Well { ok: true })), |why| Err(Problem::new(Kind::NotReady, why)))
}
