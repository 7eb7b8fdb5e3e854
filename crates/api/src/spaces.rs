//! The spaces there are.

use std::sync::Arc;

use axum::extract::State;
use occupancy::id::SpaceId;
use occupancy::topology::Space;
use occupancy::world::World;
use query::QueryError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{AnyId, Id, Params};
use crate::json::Json;
use crate::problem::{Kind, Problem};
use crate::{App, cursor};

/// The most spaces a page holds.
const SPACES_MOST: usize = 1000;

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(spaces)).routes(routes!(space))
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many spaces a page holds: 1 to 1,000.
    #[serde(default = "most")]
    #[param(default = 1000, minimum = 1, maximum = 1000)]
    limit: usize,
}

fn most() -> usize {
    SPACES_MOST
}

/// A room, floor, building or campus.
#[derive(Serialize, ToSchema)]
struct SpaceAnswer {
    /// Its id.
    #[schema(example = "hall")]
    id: String,
    /// For people.
    name: Option<String>,
    /// What it is part of; null for a root.
    #[schema(example = "campus")]
    parent: Option<String>,
    /// The root it stands under: its topology is edited there.
    #[schema(example = "campus")]
    root: Option<String>,
    /// Its time zone, inherited where it has none of its own.
    #[schema(example = "America/Los_Angeles")]
    time_zone: &'static str,
    /// How many people it is meant for.
    #[schema(format = Int64, maximum = 4_294_967_295u32)]
    capacity: Option<u32>,
    /// The spaces directly below.
    children: Vec<String>,
}

/// Spaces, by id.
#[derive(Serialize, ToSchema)]
struct SpacesAnswer {
    /// The spaces.
    spaces: Vec<SpaceAnswer>,
    /// Pass it as `cursor` for what comes after; null at the end.
    next: Option<String>,
}

/// A space and its doorways.
#[derive(Serialize, ToSchema)]
struct SpaceDetail {
    #[serde(flatten)]
    space: SpaceAnswer,
    /// The doorways people enter and leave it through: one side within, one without.
    doorways: Vec<DoorwayAnswer>,
}

/// A doorway of a space's boundary.
#[derive(Serialize, ToSchema)]
struct DoorwayAnswer {
    /// Its id.
    #[schema(example = "front")]
    id: String,
    /// For people.
    name: Option<String>,
    /// Its two sides: spaces, or `outside`.
    #[schema(example = json!(["outside", "hall"]))]
    between: [String; 2],
    /// The DPUs that hang over it now.
    #[schema(example = json!(["283"]))]
    dpus: Vec<String>,
}

impl SpaceAnswer {
    fn of(world: &World, space: &Space) -> Self {
        let id = space.id.as_str();
        Self {
            id: id.to_owned(),
            name: space.name.clone(),
            parent: space.parent.as_ref().map(ToString::to_string),
            root: world.root_of(id).map(ToString::to_string),
            time_zone: world.zone(id).name(),
            capacity: space.capacity,
            children: world.children(id).map(ToString::to_string).collect(),
        }
    }
}

/// Which spaces are there?
#[utoipa::path(get, path = "/v1/spaces", tag = "counts", params(Part), responses((status = 200, description = "A page", body = SpacesAnswer)))]
async fn spaces(State(app): State<Arc<App>>, Params(part): Params<Part>) -> Result<Json<SpacesAnswer>, Problem> {
    if !(1..=SPACES_MOST).contains(&part.limit) {
        return Err(QueryError::Limit { asked: part.limit, most: SPACES_MOST }.into());
    }
    let after: Option<SpaceId> = cursor::decode(part.cursor.as_deref())?;
    let world = app.query.topology().current().await?.world;
    let mut rest = world.spaces().skip_while(|space| after.as_ref().is_some_and(|after| space.id <= *after));
    let page: Vec<&Space> = rest.by_ref().take(part.limit).collect();
    let next = page.last().filter(|_| rest.next().is_some()).map(|last| cursor::encode(&last.id));
    Ok(Json(SpacesAnswer { spaces: page.into_iter().map(|space| SpaceAnswer::of(&world, space)).collect(), next }))
}

/// What is this space?
#[utoipa::path(
    get,
    path = "/v1/spaces/{id}",
    tag = "counts",
    params(("id" = AnyId, Path, description = "The space", example = "hall")),
    responses((status = 200, description = "The space", body = SpaceDetail), (status = 404, description = "There is no such space"))
)]
async fn space(State(app): State<Arc<App>>, Id(id): Id<SpaceId>) -> Result<Json<SpaceDetail>, Problem> {
    let world = app.query.topology().current().await?.world;
    let space = world.space(id.as_str()).ok_or_else(|| Problem::new(Kind::UnknownSpace, format!("there is no space {id}")))?;
    let now = (app.query.clock())();
    let doorways = world.boundary(id.as_str()).filter_map(|(doorway, _)| world.doorway(doorway.as_str())).map(|doorway| DoorwayAnswer {
        id: doorway.id.to_string(),
        name: doorway.name.clone(),
        between: doorway.between.each_ref().map(ToString::to_string),
        dpus: world.over(doorway.id.as_str()).filter(|one| one.covers(now)).map(|one| one.dpu.to_string()).collect(),
    });
    Ok(Json(SpaceDetail { space: SpaceAnswer::of(&world, space), doorways: doorways.collect() }))
}
