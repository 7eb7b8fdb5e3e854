//! How many people are in a space at an instant.

use std::sync::Arc;

use axum::extract::State;
use occupancy::baseline::{Baseline, Kind as BaselineKind};
use occupancy::count::Count;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::extract::{AnyId, Id, Params, parse};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::{Kind, Problem};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(count)).routes(routes!(counts))
}

/// The instant asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct At {
    /// The instant, crossings stamped with it included; up to the clock tolerance (5 minutes) ahead. Absent: now, or the
    /// newest crossing of the space's DPUs where that is later.
    #[param(value_type = Option<String>, format = DateTime, example = "2005-08-01T19:00:00Z")]
    pub(crate) at: Option<Instant>,
}

/// The spaces and the instant asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what read_counts reads: repeated parameters are beyond the usual reader")]
struct Several {
    /// A space; repeat it for more, up to 1,000.
    #[param(value_type = Vec<AnyId>, min_items = 1, max_items = 1000, example = json!(["hall"]))]
    space: Vec<String>,
    /// The instant, as for a single count; absent: now, the same for all.
    #[param(format = DateTime)]
    at: Option<String>,
}

/// How many people are in a space, and how that comes about: baseline.count + entered - exited = raw.
#[derive(Serialize, ToSchema)]
pub(crate) struct CountAnswer {
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// The instant this is the answer for, crossings stamped with it included.
    at: Instant,
    /// How many people: raw, but never below 0.
    #[schema(example = 12)]
    count: i64,
    /// How many people as it adds up: below 0 where more people were seen to leave than to enter; they pay that back first.
    #[schema(example = 12)]
    raw: i64,
    /// Where the count starts.
    baseline: BaselineAnswer,
    /// People who entered since the baseline.
    #[schema(example = 57)]
    entered: i64,
    /// People who exited since the baseline.
    #[schema(example = 45)]
    exited: i64,
    /// Up to when every DPU that counts here has been heard; null while one never was, or there is none.
    heard_to: Option<Instant>,
    /// Whether every DPU that counts here has been heard up to `at`: nothing is likely to change any more.
    settled: bool,
    /// DPUs that hung here at `at` and were last heard more than the silence limit (2 minutes) before.
    silent: Vec<String>,
    /// Doorways with no DPU during part of the time since the baseline: who went there was not seen.
    uncovered: Vec<String>,
    /// How many people the space is meant for.
    #[schema(format = Int64, maximum = 4_294_967_295u32)]
    capacity: Option<u32>,
}

/// Where a count starts: the latest of a correction, a daily reset, the beginning.
#[derive(Serialize, ToSchema)]
pub(crate) struct BaselineAnswer {
    /// `beginning`, `reset` or `correction`.
    #[schema(example = "reset")]
    kind: &'static str,
    /// When; null at the beginning.
    at: Option<Instant>,
    /// From how many people: raw.
    count: i64,
}

impl BaselineAnswer {
    pub(crate) fn of(baseline: &Baseline) -> Self {
        let kind = match baseline.kind {
            BaselineKind::Beginning => "beginning",
            BaselineKind::Reset => "reset",
            BaselineKind::Correction => "correction",
        };
        Self { kind, at: baseline.at.map(Instant), count: baseline.count }
    }
}

impl CountAnswer {
    pub(crate) fn of(count: &Count) -> Self {
        Self {
            space: count.space.to_string(),
            at: Instant(count.at),
            count: count.count(),
            raw: count.raw,
            baseline: BaselineAnswer::of(&count.baseline),
            entered: count.entered,
            exited: count.exited,
            heard_to: count.heard_to.map(Instant),
            settled: count.settled(),
            silent: count.silent.iter().map(ToString::to_string).collect(),
            uncovered: count.uncovered.iter().map(ToString::to_string).collect(),
            capacity: count.capacity,
        }
    }
}

/// The counts of several spaces.
#[derive(Serialize, ToSchema)]
struct CountsAnswer {
    /// In the order asked, all at the same instant.
    counts: Vec<CountAnswer>,
}

/// How many people are in a space, now or at any instant?
#[utoipa::path(
    get,
    path = "/v1/spaces/{id}/count",
    tag = "counts",
    params(("id" = AnyId, Path, description = "The space", example = "hall"), At),
    responses(
        (status = 200, description = "The count", body = CountAnswer),
        (status = 404, description = "There is no such space"),
        (status = 422, description = "The instant is in the future")
    )
)]
async fn count(State(app): State<Arc<App>>, Id(space): Id<SpaceId>, Params(At { at }): Params<At>) -> Result<Json<CountAnswer>, Problem> {
    Ok(Json(CountAnswer::of(&app.query.count(&space, at.map(|at| at.0)).await?)))
}

/// How many people are in several spaces at the same instant?
#[utoipa::path(
    get,
    path = "/v1/counts",
    tag = "counts",
    params(Several),
    responses(
        (status = 200, description = "The counts", body = CountsAnswer),
        (status = 404, description = "One of the spaces does not exist"),
        (status = 422, description = "The instant is in the future")
    )
)]
async fn counts(State(app): State<Arc<App>>, Params(pairs): Params<Vec<(String, String)>>) -> Result<Json<CountsAnswer>, Problem> {
    let (spaces, at) = read_counts(&pairs)?;
    let counts = app.query.counts(&spaces, at).await?;
    Ok(Json(CountsAnswer { counts: counts.iter().map(CountAnswer::of).collect() }))
}

fn read_counts(pairs: &[(String, String)]) -> Result<(Vec<SpaceId>, Option<UnixMs>), Problem> {
    let (mut spaces, mut at) = (Vec::new(), None);
    for (name, value) in pairs {
        match name.as_str() {
            "space" => spaces.push(parse(value)?),
            "at" if at.is_none() => at = Some(value.parse().map_err(|error| Problem::new(Kind::BadQuery, format!("at: {error}")))?),
            "at" => return Err(Problem::new(Kind::BadQuery, "`at` stands twice")),
            other => return Err(Problem::new(Kind::BadQuery, format!("there is no parameter {other:?}: expected `space` and `at`"))),
        }
    }
    Ok((spaces, at))
}
