//! How things stand as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::instant::Instant;
use crate::json::Json;
use crate::problem::Problem;
use crate::{App, Feed};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(status))
}

/// How things stand.
#[derive(Serialize, ToSchema)]
struct Status {
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// When it started.
    started_at: Instant,
    /// For how long it has run, in s.
    uptime_s: i64,
    /// How many edits of topology and corrections there were.
    revision: u64,
    /// How many DPUs, by state: `healthy`, `silent`, `unmonitored`, `unplaced`. Up to 5 s old.
    dpus: BTreeMap<&'static str, u64>,
    /// How many rows are in quarantine, not replayed yet, by reason. Up to 5 s old.
    quarantine: BTreeMap<&'static str, u64>,
    /// Whether there are more DPUs or quarantined rows than were counted here.
    more: bool,
    /// What the store takes on disk, in bytes; null where that cannot be told.
    store_bytes: Option<u64>,
    /// The way in for crossings.
    intake: Intake,
}

/// How the way in stands.
#[derive(Serialize, ToSchema)]
struct Intake {
    /// Why no crossings can be taken in; null when all is well.
    not_ready: Option<String>,
    /// Pieces of work waiting to be made durable.
    queued: u64,
    /// Records of the Kafka topic not yet taken in; null without Kafka.
    lag: Option<u64>,
}

/// How things stand: version, DPUs by state, quarantine by reason, store size, queue and lag.
#[utoipa::path(get, path = "/v1/status", tag = "operation", responses((status = 200, description = "How things stand", body = Status)))]
async fn status(State(app): State<Arc<App>>) -> Result<Json<Status>, Problem> {
    let census = app.query.census().await?;
    let Feed { not_ready, queued, lag } = (app.feed)();
    Ok(Json(Status {
        version: app.version,
        started_at: Instant(app.started_at),
        uptime_s: (app.query.clock())().since(app.started_at) / 1000,
        revision: app.query.topology().current().await?.revision,
        dpus: census.dpus.into_iter().map(|(state, count)| (state.name(), count)).collect(),
        quarantine: census.quarantine.into_iter().map(|(reason, count)| (reason.name(), count)).collect(),
        more: census.more,
        store_bytes: app.query.store_size_bytes(),
        intake: Intake { not_ready, queued, lag },
    }))
}
