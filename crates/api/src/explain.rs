//! How a count comes about.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use occupancy::baseline::Baseline;
use occupancy::conservation::Remainder;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use query::{DoorwayPart, Explained, InstallationPart};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::corrections::CorrectionAnswer;
use crate::count::{At, BaselineAnswer, CountAnswer};
use crate::extract::{AnyId, Id, Params};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::Problem;

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// From the baseline to the raw count: what the installations of all doorways entered and exited adds up to the count's.
#[derive(Serialize, ToSchema)]
struct ExplainAnswer {
    /// The count, as it is answered by itself.
    count: CountAnswer,
    /// The correction it starts from; null where it starts from a reset or the beginning.
    correction: Option<CorrectionAnswer>,
    /// The doorways into and out of the space, by id. Inner ones are left out: nobody enters or exits the space there.
    doorways: Vec<DoorwayPartAnswer>,
    /// The raw count against those of the space's children; null where it has none, or more than 1,000.
    conservation: Option<ConservationAnswer>,
}

/// What the raw counts of a space's children leave for its rest: those parts of it that are in none of them.
/// start + entered - exited = remainder = raw of the space less the raw of each child.
#[derive(Serialize, ToSchema)]
struct ConservationAnswer {
    /// How many people that makes in the rest; null where some came or left unseen, at the doorways `uncovered` names.
    #[schema(example = 3)]
    remainder: Option<i64>,
    /// Whether that cannot be: fewer than nobody, or somebody where no doorway leads.
    contradicts: bool,
    /// When the last of all these counts started; null where all start at the beginning.
    since: Option<Instant>,
    /// How many people were in the rest then, as the baselines have it; null where the remainder is.
    #[schema(example = 0)]
    start: Option<i64>,
    /// People seen to come to the rest since then.
    #[schema(example = 40)]
    entered: i64,
    /// People seen to leave it since then.
    #[schema(example = 37)]
    exited: i64,
    /// Whether any doorway leads to the rest. Where none does, the remainder is `start` for good, and tells of baselines alone.
    has_doorways: bool,
    /// Doorways with no DPU during part of the time that matters to the remainder.
    uncovered: Vec<String>,
    /// The children, by id.
    children: Vec<ChildAnswer>,
}

/// A child's part.
#[derive(Serialize, ToSchema)]
struct ChildAnswer {
    /// The child.
    #[schema(example = "room-1")]
    space: String,
    /// How many people are in it as that adds up, at the same instant and as of the same moment.
    #[schema(example = 9)]
    raw: i64,
    /// Where that starts.
    baseline: BaselineAnswer,
}

impl ConservationAnswer {
    fn of(one: &Remainder) -> Self {
        let child = |(space, raw, baseline): &(SpaceId, i64, Baseline)| ChildAnswer {
            space: space.to_string(),
            raw: *raw,
            baseline: BaselineAnswer::of(baseline),
        };
        Self {
            remainder: one.people(),
            contradicts: one.contradicts(),
            since: one.since.map(Instant),
            start: one.start(),
            entered: one.entered,
            exited: one.exited,
            has_doorways: one.has_doors,
            uncovered: one.uncovered.iter().map(ToString::to_string).collect(),
            children: one.children.iter().map(child).collect(),
        }
    }
}

/// A doorway's part.
#[derive(Serialize, ToSchema)]
struct DoorwayPartAnswer {
    /// The doorway.
    #[schema(example = "front")]
    id: String,
    /// Its name.
    name: Option<String>,
    /// Its sides: spaces, or `outside`.
    #[schema(example = json!(["outside", "hall"]))]
    between: [String; 2],
    /// The one that is the space, or in it.
    #[schema(example = "hall")]
    inside: String,
    /// What hung over it since the baseline.
    installations: Vec<InstallationPartAnswer>,
    /// When nothing did: who went there then was not seen.
    uncovered: Vec<SpanAnswer>,
}

/// An installation's part.
#[derive(Serialize, ToSchema)]
struct InstallationPartAnswer {
    /// The sensor.
    #[schema(example = "283")]
    dpu: String,
    /// 1 where its +1 means a person enters the space, -1 where one exits.
    #[schema(example = 1)]
    sign: i8,
    /// From when on it counted, included: its start or the baseline.
    from: Instant,
    /// Up to when, excluded: its end, or a ms after `count.at`.
    to: Instant,
    /// People who entered the space.
    #[schema(example = 57)]
    entered: i64,
    /// People who exited the space.
    #[schema(example = 45)]
    exited: i64,
    /// Crossings that the DPU numbered and that never came, of each boot: between the first and the last number in this
    /// time, its latest heartbeat included. Empty where it numbers none; null where 200,000 crossings of the space had been
    /// looked at already.
    missing: Option<Vec<MissingAnswer>>,
    /// When the DPU was last heard; null if never.
    heard: Option<Instant>,
    /// Whether it hung here at `count.at` and was last heard more than the silence limit (2 minutes) before.
    silent: bool,
}

/// What is missing of a boot.
#[derive(Serialize, ToSchema)]
struct MissingAnswer {
    /// The boot.
    #[schema(example = 7)]
    boot: u64,
    /// How many crossings.
    #[schema(example = 0)]
    missing: u64,
}

/// A time.
#[derive(Serialize, ToSchema)]
struct SpanAnswer {
    /// Its start, included.
    from: Instant,
    /// Its end, excluded.
    to: Instant,
}

impl SpanAnswer {
    fn of((from, to): (UnixMs, UnixMs)) -> Self {
        Self { from: Instant(from), to: Instant(to) }
    }
}

impl InstallationPartAnswer {
    fn of(one: InstallationPart) -> Self {
        let missing = |boots: BTreeMap<u64, u64>| boots.into_iter().map(|(boot, missing)| MissingAnswer { boot, missing }).collect();
        Self {
            dpu: one.dpu.to_string(),
            sign: if one.plus_enters { 1 } else { -1 },
            from: Instant(one.from),
            to: Instant(one.to),
            entered: one.part.entered,
            exited: one.part.exited,
            missing: one.missing.map(missing),
            heard: one.part.heard.map(Instant),
            silent: one.part.silent,
        }
    }
}

impl DoorwayPartAnswer {
    fn of(one: DoorwayPart) -> Self {
        Self {
            id: one.doorway.id.to_string(),
            between: one.doorway.between.each_ref().map(ToString::to_string),
            name: one.doorway.name,
            inside: one.inside.to_string(),
            installations: one.installations.into_iter().map(InstallationPartAnswer::of).collect(),
            uncovered: one.uncovered.into_iter().map(SpanAnswer::of).collect(),
        }
    }
}

/// How does a space's count come about?
///
/// From the baseline on, doorway by doorway: what each installation saw, in which time, and what nobody saw.
#[utoipa::path(
    get,
    path = "/v1/spaces/{id}/explain",
    tag = "counts",
    params(("id" = AnyId, Path, description = "The space", example = "hall"), At),
    responses(
        (status = 200, description = "The count and its parts", body = ExplainAnswer),
        (status = 404, description = "There is no such space"),
        (status = 422, description = "The instant is in the future")
    )
)]
async fn explain(
    State(app): State<Arc<App>>,
    Id(space): Id<SpaceId>,
    Params(At { at }): Params<At>,
) -> Result<Json<ExplainAnswer>, Problem> {
    let Explained { count, correction, doorways, remainder } = app.query.explain(&space, at.map(|at| at.0)).await?;
    Ok(Json(ExplainAnswer {
        count: CountAnswer::of(&count),
        correction: correction.map(CorrectionAnswer::of),
        doorways: doorways.into_iter().map(DoorwayPartAnswer::of).collect(),
        conservation: remainder.as_ref().map(ConservationAnswer::of),
    }))
}
