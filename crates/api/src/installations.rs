//! Where one DPU hung: the short list that is edited when it moves, or was hung the wrong way round.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use occupancy::edit::Change;
use occupancy::id::DpuId;
use occupancy::installation::Installation;
use occupancy::world::World;
use query::EditFailed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::document::{self, InstallationEntry};

use crate::App;
use crate::conditional::Precondition;
use crate::edit::{DryRun, How, made, tagged};
use crate::extract::{AnyId, Document, Id, Params};
use crate::json::Json;
use crate::problem::{Kind, Problem};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, write))
}

/// Where a DPU hung, in order of time.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Installations {
    /// It is in one place at a time: end one before the next begins. Entries may leave `dpu` out.
    #[serde(deserialize_with = "wire::named::list")]
    installations: Vec<InstallationEntry>,
}

impl Installations {
    pub(crate) fn of(list: &[Installation]) -> Self {
        Self { installations: list.iter().map(InstallationEntry::of).collect() }
    }
}

/// The answer to an edit: what stands now, or in a dry run what would change.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "it describes answers that are made one by one")]
enum InstallationsEdited {
    Made(Installations),
    DryRun(DryRun),
}

/// Where did this DPU hang, when, and which way round?
#[utoipa::path(
    get,
    operation_id = "read_installations",
    path = "/v1/dpus/{id}/installations",
    tag = "topology",
    params(("id" = AnyId, Path, description = "The DPU, whether heard yet or not", example = "283")),
    responses((status = 200, description = "The list, empty where it never hung; its ETag is needed to edit it", body = Installations))
)]
async fn read(State(app): State<Arc<App>>, Id(dpu): Id<DpuId>) -> Result<Json<Installations>, Problem> {
    let world = app.query.topology().current().await?.world;
    Ok(Json(Installations::of(world.installations(dpu.as_str()))))
}

/// Say where this DPU hung: move it, flip it, undo that.
///
/// The list is replaced whole. Counts of the past follow: that is how a DPU hung the wrong way round is put right.
#[utoipa::path(
    put,
    operation_id = "write_installations",
    path = "/v1/dpus/{id}/installations",
    tag = "topology",
    params(
        ("id" = AnyId, Path, description = "The DPU, whether heard yet or not", example = "283"),
        How,
        ("If-Match" = String, Header, description = "The ETag of the list that was read")
    ),
    request_body(content = Installations, example = json!({"installations": [
        {"doorway": "side", "enters": "hall", "from": "2018-01-01T00:00:00Z", "to": "2018-02-26T16:00:00Z"},
        {"doorway": "front", "enters": "hall", "from": "2018-02-26T16:00:00Z"}
    ]})),
    responses(
        (status = 200, description = "The list as it stands now, or in a dry run what would change", body = InstallationsEdited),
        (status = 400, description = "The body is no such list"),
        (status = 409, description = "It would hang in two places at once: the detail names them"),
        (status = 412, description = "The list has changed since it was read"),
        (status = 422, description = "An entry breaks a rule: the detail names it"),
        (status = 428, description = "If-Match is missing")
    )
)]
async fn write(
    State(app): State<Arc<App>>,
    Id(dpu): Id<DpuId>,
    Params(how): Params<How>,
    headers: HeaderMap,
    Document(new): Document<Installations>,
) -> Result<Response, Problem> {
    let precondition = Precondition::of(&headers)?;
    let now = (app.query.clock())();
    let list = document::installations(new.installations, &dpu, now);
    let list = list.map_err(|error| Problem::new(Kind::InvalidTopology, error.to_string()))?;
    let holds = |world: &World| {
        let tag = tagged(&Installations::of(world.installations(dpu.as_str()))).ok();
        precondition.holds(tag.as_ref().map(|(_, tag)| tag.as_str()))
    };
    let change = Change::Installations { dpu: dpu.clone(), list };
    let edited = app.query.topology().edit(change, now, how.dry_run, holds).await.map_err(|error| match error {
        EditFailed::Stale => stale(&dpu),
        other => other.into(),
    })?;
    if how.dry_run {
        return Ok(Json(DryRun::of(&app.query, &edited).await?).into_response());
    }
    made(StatusCode::OK, &Installations::of(edited.after.world.installations(dpu.as_str())))
}

/// What is said to one who has not read the list as it is.
pub(crate) fn stale(dpu: &DpuId) -> Problem {
    Problem::new(Kind::Stale, format!("the installations of DPU {dpu} are not (or no longer) those named: read them again"))
}
