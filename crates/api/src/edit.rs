//! What edits have in common: dry runs, versions, and what they say would change.

use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use query::{Delta, Edited, Query, Shift};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::document::{InstallationEntry, TopologyDocument};

use crate::conditional::etag;
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::{Kind, Problem};

/// How to edit.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Only say what would change.
    #[serde(default)]
    #[param(default = false)]
    pub(crate) dry_run: bool,
}

/// What an edit would change.
#[derive(Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// Spaces, by id.
    spaces: DeltaAnswer<String>,
    /// Daily resets, as `space from`.
    resets: DeltaAnswer<String>,
    /// Doorways, by id.
    doorways: DeltaAnswer<String>,
    /// Installations; `changed` as they would be.
    installations: DeltaAnswer<InstallationEntry>,
    /// Spaces whose counts before now may come out otherwise.
    #[schema(example = json!(["hall"]))]
    past_changes: Vec<String>,
    /// The same spaces, with what would become of their counts.
    counts: Vec<ShiftAnswer>,
}

/// What would become of a space's counts.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShiftAnswer {
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// From when on they may come out otherwise.
    from: Instant,
    /// The count now; null beyond the first 1,000 spaces.
    before: Option<NowAnswer>,
    /// What it would be.
    after: Option<NowAnswer>,
}

/// The count of now.
#[derive(Serialize, ToSchema)]
struct NowAnswer {
    /// How many people: raw, but never below 0.
    #[schema(example = 12)]
    count: i64,
    /// How many people as it adds up: it may be below 0.
    #[schema(example = 12)]
    raw: i64,
}

impl ShiftAnswer {
    pub(crate) fn of(shift: &Shift) -> Self {
        let now = |raw: i64| NowAnswer { count: raw.max(0), raw };
        let [before, after] = shift.now.map_or([None, None], |both| both.map(Some));
        Self { space: shift.space.to_string(), from: Instant(shift.from), before: before.map(now), after: after.map(now) }
    }
}

/// What comes, changes, goes.
#[derive(Serialize, ToSchema)]
struct DeltaAnswer<T> {
    /// Is not there yet.
    added: Vec<T>,
    /// Is there, otherwise.
    changed: Vec<T>,
    /// Would no longer be there.
    removed: Vec<T>,
}

impl<T> DeltaAnswer<T> {
    fn of<D>(delta: &Delta<D>, form: impl Fn(&D) -> T) -> Self {
        let form = |list: &Vec<D>| list.iter().map(&form).collect();
        Self { added: form(&delta.added), changed: form(&delta.changed), removed: form(&delta.removed) }
    }
}

impl DryRun {
    pub(crate) async fn of(query: &Query, edited: &Edited) -> Result<Self, Problem> {
        let effect = &edited.effect;
        Ok(Self {
            spaces: DeltaAnswer::of(&effect.spaces, |space| space.id.to_string()),
            resets: DeltaAnswer::of(&effect.resets, |reset| format!("{} {}", reset.space, reset.from)),
            doorways: DeltaAnswer::of(&effect.doorways, |doorway| doorway.id.to_string()),
            installations: DeltaAnswer::of(&effect.installations, InstallationEntry::of),
            past_changes: effect.past.keys().map(ToString::to_string).collect(),
            counts: query.shifts(edited).await?.iter().map(ShiftAnswer::of).collect(),
        })
    }
}

/// The answer to an edit: what stands now, or in a dry run what would change.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "it describes answers that are made one by one")]
pub(crate) enum TopologyEdited {
    Made(TopologyDocument),
    DryRun(DryRun),
}

/// The bytes of an answer, and their tag: what reading it gives, and what a write must name.
pub(crate) fn tagged(answer: &impl Serialize) -> Result<(Vec<u8>, String), Problem> {
    let body = serde_json::to_vec(answer).map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    let tag = etag(&body);
    Ok((body, tag))
}

/// What stands after an edit, with the tag the next edit must name.
pub(crate) fn made(status: StatusCode, answer: &impl Serialize) -> Result<Response, Problem> {
    let (_, tag) = tagged(answer)?;
    Ok((status, [(ETAG, tag)], Json(answer)).into_response())
}
