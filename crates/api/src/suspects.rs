//! DPUs that seem to hang the wrong way round.

use std::sync::Arc;

use axum::extract::State;
use occupancy::id::{DpuId, SpaceId};
use query::{Evidence, Numbers, Query, Suspect, Suspects, Unjudged};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{AnyId, Id, Params};
use crate::installations::Installations;
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::Problem;
use crate::{App, cursor};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(suspects))
}

/// How far back to look.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Back {
    /// How many whole days, the last ones: 3 to 28. More days decide more, and need more look-ups.
    #[serde(default = "week")]
    #[param(default = 7, minimum = 3, maximum = 28)]
    days: usize,
    /// The `next` of the answer before.
    cursor: Option<String>,
    /// How many groups of spaces an answer holds: 1 to 1,000. Spaces are in one group where a DPU hangs between them.
    #[serde(default = "most")]
    #[param(default = 1000, minimum = 1, maximum = 1000)]
    limit: usize,
}

fn week() -> usize {
    7
}

fn most() -> usize {
    Query::SUSPECT_GROUPS_MOST
}

/// What the last days say of the DPUs that hang over the doorways of a space and of all below it.
#[derive(Serialize, ToSchema)]
struct SuspectsAnswer {
    /// Those that seem to hang the wrong way round, by id. Nothing is changed by itself: look at the doorway first.
    suspects: Vec<SuspectAnswer>,
    /// How many DPUs clearly hang as they are said to, in this answer.
    #[schema(example = 118)]
    beyond_doubt: usize,
    /// Those of which neither can be said, by id.
    unjudged: Vec<UnjudgedAnswer>,
    /// Pass it as `cursor` for the DPUs of further spaces; null at the end.
    next: Option<String>,
}

/// A DPU that seems to hang the wrong way round.
#[derive(Serialize, ToSchema)]
struct SuspectAnswer {
    /// The sensor.
    #[schema(example = "283")]
    dpu: String,
    /// The doorway it hangs over.
    #[schema(example = "front")]
    doorway: String,
    /// The side its +1 is said to enter.
    #[schema(example = "hall")]
    enters: String,
    /// Its crossings in the days looked at.
    #[schema(example = 5210)]
    crossings: u64,
    /// How many days speak for it.
    #[schema(example = 6)]
    days: usize,
    /// How badly all its days fit; 0 is without any surprise, and each 1 more makes them about 3 times less likely.
    misfit: Misfit,
    /// The days of the spaces on both sides, other suspects taken as mended.
    evidence: Vec<EvidenceAnswer>,
    /// The edit that would mend it: send it to PUT /v1/dpus/{id}/installations, first with dry_run=true. The other way round from
    /// the start of the present installation, or from the first day from which on none speaks against it.
    edit: Installations,
}

/// A misfit, both ways round.
#[derive(Serialize, ToSchema)]
struct Misfit {
    /// As the DPU is said to hang.
    #[schema(example = 31.4)]
    installed: f64,
    /// The other way round.
    #[schema(example = 3.2)]
    flipped: f64,
}

/// A day of the rest of a space: those parts of it that are in none of its children.
#[derive(Serialize, ToSchema)]
struct EvidenceAnswer {
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// The day's start, included: its daily reset, or midnight.
    from: Instant,
    /// Its end, excluded.
    to: Instant,
    /// Whether a daily reset says that nobody is there as it begins.
    begins_empty: bool,
    /// As the DPU is said to hang.
    installed: DayAnswer,
    /// The other way round.
    flipped: DayAnswer,
}

/// What the crossings of a day add up to.
#[derive(Serialize, ToSchema)]
struct DayAnswer {
    /// How many more people came than left: the remainder of the space changed by this much. Near 0 on a day without trouble.
    #[schema(example = -214)]
    net: i64,
    /// The fewest people there at any full hour, as if nobody had been there as the day began; 0 at most.
    #[schema(example = -380)]
    lowest: i64,
}

/// A DPU of which it cannot be said which way round it hangs.
#[derive(Serialize, ToSchema)]
struct UnjudgedAnswer {
    /// The sensor.
    #[schema(example = "284")]
    dpu: String,
    /// - `no_whole_day`: there is no day and no space on either side of which all DPUs hung, and were heard, to its end
    /// - `never_empty`: neither side has daily resets, so all DPUs around it the other way round would fit as well
    /// - `few_crossings`: it saw fewer than 60 people
    /// - `fits_both`: its days fit both ways round
    /// - `too_many`: its space and those judged with it need more than 50,000 look-ups: ask for fewer days, or for these spaces one by one
    #[schema(example = "few_crossings")]
    why: &'static str,
}

impl EvidenceAnswer {
    fn of(one: &Evidence) -> Self {
        let [installed, flipped] = one.numbers.map(|Numbers { net, lowest }| DayAnswer { net, lowest });
        let Evidence { space, from, to, begins_empty, .. } = one;
        Self { space: space.to_string(), from: Instant(*from), to: Instant(*to), begins_empty: *begins_empty, installed, flipped }
    }
}

impl SuspectAnswer {
    fn of(one: &Suspect) -> Self {
        let [installed, flipped] = one.misfit.map(|misfit| (misfit * 10.0).round() / 10.0);
        Self {
            dpu: one.installation.dpu.to_string(),
            doorway: one.installation.doorway.to_string(),
            enters: one.installation.enters.to_string(),
            crossings: one.crossings,
            days: one.days,
            misfit: Misfit { installed, flipped },
            evidence: one.evidence.iter().map(EvidenceAnswer::of).collect(),
            edit: Installations::of(&one.mended),
        }
    }
}

/// Which DPUs seem to hang the wrong way round?
///
/// Over a whole day as many people leave a space as come to it, and a space that was empty in the morning never holds fewer than nobody: told
/// are the DPUs whose last days fit that much better the other way round. An answer looks up 50,000 totals at most and ends where more would be
/// needed, with a `next`; spaces judged together that need more by themselves are left unjudged.
#[utoipa::path(
    get,
    path = "/v1/spaces/{id}/suspects",
    tag = "devices",
    params(("id" = AnyId, Path, description = "The space: its doorways and those of all spaces below it", example = "campus"), Back),
    responses(
        (status = 200, description = "Those DPUs, with the evidence", body = SuspectsAnswer),
        (status = 404, description = "There is no such space")
    )
)]
async fn suspects(
    State(app): State<Arc<App>>,
    Id(space): Id<SpaceId>,
    Params(Back { days, cursor, limit }): Params<Back>,
) -> Result<Json<SuspectsAnswer>, Problem> {
    let after: Option<SpaceId> = cursor::decode(cursor.as_deref())?;
    let Suspects { suspects, beyond_doubt, unjudged, next } = app.query.suspects(&space, days, after.as_ref(), limit).await?;
    let why = |(dpu, why): &(DpuId, Unjudged)| UnjudgedAnswer { dpu: dpu.to_string(), why: why.name() };
    Ok(Json(SuspectsAnswer {
        suspects: suspects.iter().map(SuspectAnswer::of).collect(),
        beyond_doubt,
        unjudged: unjudged.iter().map(why).collect(),
        next: next.as_ref().map(cursor::encode),
    }))
}
