//! The DPUs, and how they are.

use std::sync::Arc;

use axum::extract::State;
use occupancy::conservation::Remainder;
use occupancy::id::DpuId;
use query::{ClockOffset, Dpu, Residual};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::document::InstallationEntry;

use crate::extract::{AnyId, Id, Params};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::Problem;
use crate::{App, cursor};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(dpus)).routes(routes!(dpu))
}

/// Which DPUs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those that ever hung somewhere (`true`) or never did (`false`).
    placed: Option<bool>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many DPUs a page holds: 1 to 1,000.
    #[serde(default = "cursor::page_items")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
}

/// A sensor over a doorway.
#[derive(Serialize, ToSchema)]
struct DpuAnswer {
    /// Its id.
    #[schema(example = "283")]
    id: String,
    /// - `healthy`: hangs somewhere, sends heartbeats, heard within the silence limit (2 minutes)
    /// - `silent`: hangs somewhere, last heard longer ago, or never
    /// - `unmonitored`: its silence says nothing, as it never sent a heartbeat or was taken down
    /// - `unplaced`: never hung anywhere, so its crossings count nowhere yet
    #[schema(example = "healthy")]
    state: &'static str,
    /// The doorway it hangs over now; null if over none.
    #[schema(example = "front")]
    doorway: Option<String>,
    /// Last heard: a crossing or heartbeat; null if never.
    heard_at: Option<Instant>,
    /// Its last crossing, by its own clock.
    last_crossing_at: Option<Instant>,
    /// Its latest heartbeat.
    heartbeat: Option<HeartbeatAnswer>,
    /// All its crossings with direction 1.
    plus: u64,
    /// All its crossings with direction -1.
    minus: u64,
    /// Where it hung, in order of time.
    installations: Vec<InstallationEntry>,
}

/// A DPU's word that it is alive.
#[derive(Serialize, ToSchema)]
struct HeartbeatAnswer {
    /// When, by its clock.
    at: Instant,
    /// Which run of the DPU; 0 where it does not say.
    boot: u64,
    /// The last crossing numbered in that run; 0 where it does not number them.
    last_seq: u64,
}

/// DPUs, by id.
#[derive(Serialize, ToSchema)]
struct DpusAnswer {
    /// The DPUs.
    dpus: Vec<DpuAnswer>,
    /// Pass it as `cursor` for what comes after, even where this page is short; null at the end.
    next: Option<String>,
}

/// A DPU, what it numbered and we never got, how its clock goes, and whether what it saw can be.
#[derive(Serialize, ToSchema)]
struct DpuDetail {
    #[serde(flatten)]
    dpu: DpuAnswer,
    /// Crossings numbered in its current boot that never came, the last 200,000 looked at; null without numbers.
    missing: Option<u64>,
    /// How its clock goes; null without crossings.
    clock_offset: Option<ClockOffsetAnswer>,
    /// Of the spaces on both sides of the doorway it hangs over now: what the raw counts of their children leave for their
    /// rest, as `explain` tells in full. Whoever passes this DPU changes it.
    conservation: Vec<ResidualAnswer>,
}

/// What the raw counts of a space's children leave for its rest: those parts of it that are in none of them.
#[derive(Serialize, ToSchema)]
struct ResidualAnswer {
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// The instant this is told for.
    at: Instant,
    /// How many people that makes in the rest; null where the space has no children, or more than 1,000, or where some
    /// came or left unseen.
    #[schema(example = 3)]
    remainder: Option<i64>,
    /// Whether that cannot be: fewer than nobody.
    contradicts: bool,
}

impl ResidualAnswer {
    fn of(one: &Residual) -> Self {
        Self {
            space: one.space.to_string(),
            at: Instant(one.at),
            remainder: one.remainder.as_ref().and_then(Remainder::people),
            contradicts: one.remainder.as_ref().is_some_and(Remainder::contradicts),
        }
    }
}

/// When its last crossings came, less when they happened by its own clock. That is how far the clock is behind, plus how
/// long they were on their way: below 0 the clock is ahead, above 0 it may be behind or the upload may have been late.
#[derive(Serialize, ToSchema)]
struct ClockOffsetAnswer {
    /// How many crossings this is told from: the last 100, none more than 7 days before the last.
    #[schema(example = 100)]
    crossings: usize,
    /// The least, in ms: the clock is behind by no more than this.
    #[schema(example = 180)]
    least_ms: i64,
    /// The one in the middle, in ms.
    #[schema(example = 420)]
    median_ms: i64,
    /// The one farthest from 0, in ms.
    #[schema(example = 61000)]
    worst_ms: i64,
}

impl ClockOffsetAnswer {
    fn of(offset: ClockOffset) -> Self {
        let ClockOffset { crossings, least_ms, median_ms, worst_ms } = offset;
        Self { crossings, least_ms, median_ms, worst_ms }
    }
}

impl DpuAnswer {
    fn of(dpu: &Dpu) -> Self {
        let counters = dpu.counters.unwrap_or_default();
        let totals = counters.totals();
        Self {
            id: dpu.id.to_string(),
            state: dpu.state.name(),
            doorway: dpu.hangs.as_ref().map(ToString::to_string),
            heard_at: counters.heard.map(Instant),
            last_crossing_at: counters.last.map(|key| Instant(key.at)),
            heartbeat: counters.heartbeat.map(|beat| HeartbeatAnswer { at: Instant(beat.at), boot: beat.boot, last_seq: beat.last_seq }),
            plus: totals.entered,
            minus: totals.exited,
            installations: dpu.installations.iter().map(InstallationEntry::of).collect(),
        }
    }
}

/// Which DPUs are there, and how are they?
#[utoipa::path(get, path = "/v1/dpus", tag = "devices", params(Which), responses((status = 200, description = "A page", body = DpusAnswer)))]
async fn dpus(State(app): State<Arc<App>>, Params(which): Params<Which>) -> Result<Json<DpusAnswer>, Problem> {
    let after: Option<DpuId> = cursor::decode(which.cursor.as_deref())?;
    let page = app.query.dpus(which.placed, after.as_ref(), which.limit).await?;
    Ok(Json(DpusAnswer { dpus: page.items.iter().map(DpuAnswer::of).collect(), next: page.next.as_ref().map(cursor::encode) }))
}

/// How is this DPU?
#[utoipa::path(
    get,
    path = "/v1/dpus/{id}",
    tag = "devices",
    params(("id" = AnyId, Path, description = "The DPU", example = "283")),
    responses((status = 200, description = "The DPU", body = DpuDetail), (status = 404, description = "It was never heard and never hung anywhere"))
)]
async fn dpu(State(app): State<Arc<App>>, Id(id): Id<DpuId>) -> Result<Json<DpuDetail>, Problem> {
    let dpu = app.query.dpu(&id).await?;
    let (missing, offset) = (app.query.missing(&dpu).await?, app.query.clock_offset(&dpu).await?);
    let conservation = app.query.residuals(&dpu).await?.iter().map(ResidualAnswer::of).collect();
    Ok(Json(DpuDetail { dpu: DpuAnswer::of(&dpu), missing, clock_offset: offset.map(ClockOffsetAnswer::of), conservation }))
}
