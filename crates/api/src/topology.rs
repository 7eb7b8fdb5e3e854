//! The topology under a root, as one document.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use occupancy::edit::Change;
use occupancy::id::SpaceId;
use occupancy::world::World;
use query::EditFailed;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::document::TopologyDocument;

use crate::App;
use crate::conditional::Precondition;
use crate::edit::{DryRun, TopologyEdited, made, tagged};
use crate::extract::{AnyId, Document, Id, Params};
use crate::json::Json;
use crate::problem::{Kind, Problem};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, write))
}

/// How to edit.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Only say what would change.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
    /// Let spaces, doorways and installations that the document lacks vanish, and with them part of the past.
    #[serde(default)]
    #[param(default = false)]
    allow_removal: bool,
}

fn document(world: &World, root: &SpaceId) -> Option<TopologyDocument> {
    world.document(root.as_str()).as_ref().map(TopologyDocument::of)
}

/// What stands under this root?
#[utoipa::path(
    get,
    operation_id = "read_topology",
    path = "/v1/topology/{root}",
    tag = "topology",
    params(("root" = AnyId, Path, description = "A space without a parent", example = "campus")),
    responses(
        (status = 200, description = "The document; its ETag is needed to edit it", body = TopologyDocument),
        (status = 404, description = "There is no such root")
    )
)]
async fn read(State(app): State<Arc<App>>, Id(root): Id<SpaceId>) -> Result<Json<TopologyDocument>, Problem> {
    let world = app.query.topology().current().await?.world;
    let why = || match world.root_of(root.as_str()) {
        Some(above) => format!("space {root} is no root: it stands under {above}"),
        None => format!("there is no space {root}"),
    };
    document(&world, &root).map(Json).ok_or_else(|| Problem::new(Kind::UnknownSpace, why()))
}

/// Replace what stands under a root, or make a new root.
///
/// The document is taken whole or not at all. The tree applies to all time: a dry run names the spaces whose past
/// changes. An absent `from` means now. An empty document, with `allow_removal`, takes the root away.
#[utoipa::path(
    put,
    operation_id = "write_topology",
    path = "/v1/topology/{root}",
    tag = "topology",
    params(
        ("root" = AnyId, Path, description = "A space without a parent", example = "campus"),
        How,
        ("If-Match" = Option<String>, Header, description = "The ETag of the document that was read"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for a new root", example = "*")
    ),
    request_body(content = TopologyDocument, example = json!({
        "space": [{"id": "campus", "time_zone": "America/Los_Angeles"}, {"id": "hall", "parent": "campus", "capacity": 400}],
        "reset": [{"space": "campus", "at": "04:00", "from": "2018-01-01T00:00:00Z"}],
        "doorway": [{"id": "front", "between": ["outside", "hall"]}],
        "installation": [{"dpu": "283", "doorway": "front", "enters": "hall", "from": "2018-01-01T00:00:00Z"}]
    })),
    responses(
        (status = 200, description = "The document as it stands now, or in a dry run what would change", body = TopologyEdited),
        (status = 201, description = "The document of a new root", body = TopologyDocument),
        (status = 204, description = "The root is taken away"),
        (status = 400, description = "The body is no such document"),
        (status = 409, description = "It conflicts with what there is: the detail names it"),
        (status = 412, description = "It has changed since it was read"),
        (status = 422, description = "The document breaks a rule: the detail names it"),
        (status = 428, description = "If-Match or If-None-Match is missing")
    )
)]
async fn write(
    State(app): State<Arc<App>>,
    Id(root): Id<SpaceId>,
    Params(how): Params<How>,
    headers: HeaderMap,
    Document(new): Document<TopologyDocument>,
) -> Result<Response, Problem> {
    let precondition = Precondition::of(&headers)?;
    let now = (app.query.clock())();
    let new = new.into_domain(now).map_err(|error| Problem::new(Kind::InvalidTopology, error.to_string()))?;
    let change = Change::Topology { root: root.clone(), document: new, allow_removal: how.allow_removal };
    let holds = |world: &World| {
        let tag = document(world, &root).and_then(|document| Some(tagged(&document).ok()?.1));
        precondition.holds(tag.as_deref())
    };
    let edited = app.query.topology().edit(change, now, how.dry_run, holds).await.map_err(|error| match error {
        EditFailed::Stale => stale(&root),
        other => other.into(),
    })?;
    if how.dry_run {
        return Ok(Json(DryRun::of(&app.query, &edited).await?).into_response());
    }
    let Some(document) = document(&edited.after.world, &root) else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let new_root = edited.effect.spaces.added.iter().any(|space| space.id == root);
    let status = if new_root { StatusCode::CREATED } else { StatusCode::OK };
    made(status, &document)
}

/// What is said to one who has not read the document as it is.
pub(crate) fn stale(root: &SpaceId) -> Problem {
    Problem::new(Kind::Stale, format!("the topology of {root} is not (or no longer) the one named: read it again"))
}
