//! Corrections: somebody counted, and says so.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use occupancy::edit::Note;
use occupancy::id::{CorrectionId, SpaceId};
use occupancy::world::Made;
use query::{Corrected, Counted};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::cursor::{self, Place};
use crate::edit::{How, ShiftAnswer};
use crate::extract::{AnyId, Document, Id, Params, parse};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::{Kind, Problem};

/// The header that names a request.
const KEY: &str = "idempotency-key";
/// Its longest value, in characters.
const KEY_MOST: usize = 255;

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, make)).routes(routes!(retract))
}

/// Which corrections.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those of this space.
    #[param(value_type = Option<AnyId>, example = "hall")]
    space: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many corrections a page holds: 1 to 1,000.
    #[serde(default = "cursor::page_items")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
}

/// Why a correction no longer holds.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Why {
    /// Why: up to 1,000 characters.
    #[param(max_length = 1000, example = "miscounted")]
    reason: String,
    /// Who says so: up to 200 characters.
    #[param(max_length = 200, example = "ann")]
    by: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
}

/// Somebody counted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCorrections {
    /// All are made or none: 1 to 1,000, at most one of a space and instant.
    #[serde(deserialize_with = "wire::named::list")]
    #[schema(min_items = 1, max_items = 1000)]
    corrections: Vec<NewCorrection>,
    /// Why: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1000, example = "closing round")]
    reason: String,
    /// Who says so: up to 200 characters.
    #[schema(max_length = 200, example = "ann")]
    by: Option<String>,
}

/// There were so many people in a space.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCorrection {
    /// The space; those in it or around it are not corrected with it.
    #[schema(value_type = AnyId, example = "hall")]
    space: String,
    /// When it was so, before the crossings of that ms; now where left out.
    at: Option<Instant>,
    /// How many people there were.
    #[serde(deserialize_with = "wire::whole::people")]
    #[schema(example = 12, format = Int64, maximum = 4_294_967_295u32)]
    count: u32,
}

/// A correction.
#[derive(Serialize, ToSchema)]
pub(crate) struct CorrectionAnswer {
    /// What to retract it by.
    #[schema(example = "c17-1")]
    id: String,
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// When it was so.
    at: Instant,
    /// How many people there were.
    #[schema(example = 12, format = Int64, maximum = 4_294_967_295u32)]
    count: u32,
    /// When it was made.
    made_at: Instant,
    /// Who said so.
    by: Option<String>,
    /// Why.
    reason: String,
    /// Since when and why it no longer holds; null while it does.
    retracted: Option<RetractedAnswer>,
}

/// A correction no longer holds.
#[derive(Serialize, ToSchema)]
struct RetractedAnswer {
    /// When it was retracted.
    at: Instant,
    /// Who said so.
    by: Option<String>,
    /// Why.
    reason: String,
}

impl CorrectionAnswer {
    pub(crate) fn of(made: Made) -> Self {
        let Made { correction, made_at, note, retracted, .. } = made;
        Self {
            id: correction.id.to_string(),
            space: correction.space.to_string(),
            at: Instant(correction.at),
            count: correction.count,
            made_at: Instant(made_at),
            by: note.by,
            reason: note.reason,
            retracted: retracted.map(|(at, note)| RetractedAnswer { at: Instant(at), by: note.by, reason: note.reason }),
        }
    }
}

/// Corrections, the last made first.
#[derive(Serialize, ToSchema)]
struct PageAnswer {
    /// The corrections, retracted ones too.
    corrections: Vec<CorrectionAnswer>,
    /// Pass it as `cursor` for earlier ones; null at the end.
    next: Option<String>,
}

/// Corrections that were made.
#[derive(Serialize, ToSchema)]
struct MadeAnswer {
    /// In the order asked.
    corrections: Vec<CorrectionAnswer>,
}

/// What would change.
#[derive(Serialize, ToSchema)]
struct CorrectionDryRun {
    /// Spaces whose counts would come out otherwise.
    counts: Vec<ShiftAnswer>,
}

/// The answer to a retraction: the correction as it stands now, or in a dry run what would change.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes answers that are made one by one")]
enum CorrectionRetracted {
    Made(CorrectionAnswer),
    DryRun(CorrectionDryRun),
}

fn dry_run(shifts: &[query::Shift]) -> Response {
    Json(CorrectionDryRun { counts: shifts.iter().map(ShiftAnswer::of).collect() }).into_response()
}

/// The place of a correction among all.
struct Order(u64);

impl Place for Order {
    fn write(&self) -> String {
        format!("correction/{}", self.0)
    }
    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("correction/")?.parse().ok().map(Self)
    }
}

/// Who corrected which count, when and why?
///
/// The last made come first. Retracted ones are kept and listed.
#[utoipa::path(
    get,
    path = "/v1/corrections",
    tag = "counts",
    params(Which),
    responses((status = 200, description = "A page", body = PageAnswer), (status = 404, description = "There is no such space"))
)]
async fn list(State(app): State<Arc<App>>, Params(which): Params<Which>) -> Result<Json<PageAnswer>, Problem> {
    let space: Option<SpaceId> = which.space.as_deref().map(parse).transpose()?;
    let before = cursor::decode(which.cursor.as_deref())?.map(|Order(order)| order);
    let page = app.query.corrections(space.as_ref(), before, which.limit).await?;
    let next = page.next.map(|order| cursor::encode(&Order(order)));
    Ok(Json(PageAnswer { corrections: page.items.into_iter().map(CorrectionAnswer::of).collect(), next }))
}

/// Say how many people there were.
///
/// Each space's count starts anew from there, until its next correction or reset; the spaces in it and around it keep
/// theirs. Of two corrections of the same instant the later made holds. With an `Idempotency-Key` the same request can be
/// sent again: it is answered with what was made the first time.
#[utoipa::path(
    post,
    path = "/v1/corrections",
    tag = "counts",
    params(
        How,
        ("Idempotency-Key" = Option<String>, Header, description = "Any name of this request, 1 to 255 characters, that no other request has", min_length = 1, max_length = 255, example = "closing-round-2024-03-01")
    ),
    request_body(content = NewCorrections, example = json!({
        "corrections": [{"space": "hall", "at": "2024-03-01T22:00:00Z", "count": 12}, {"space": "cafe", "count": 0}],
        "reason": "closing round",
        "by": "ann"
    })),
    responses(
        (status = 200, description = "In a dry run, what would change", body = CorrectionDryRun),
        (status = 201, description = "The corrections", body = MadeAnswer),
        (status = 400, description = "The body, an id or the key cannot be read"),
        (status = 404, description = "One of the spaces does not exist"),
        (status = 422, description = "A correction breaks a rule or is in the future, or the key names another request: the detail says which")
    )
)]
async fn make(
    State(app): State<Arc<App>>,
    Params(how): Params<How>,
    headers: HeaderMap,
    Document(new): Document<NewCorrections>,
) -> Result<Response, Problem> {
    let key = key(&headers)?;
    let counted = |one: NewCorrection| Ok(Counted { space: parse(&one.space)?, at: one.at.map(|at| at.0), count: one.count });
    let counted: Vec<Counted> = new.corrections.into_iter().map(counted).collect::<Result<_, Problem>>()?;
    let note = Note { reason: new.reason, by: new.by };
    Ok(match app.query.correct(&counted, &note, key, how.dry_run).await? {
        Corrected::DryRun(shifts) => dry_run(&shifts),
        Corrected::Made(made) => {
            let corrections = made.into_iter().map(CorrectionAnswer::of).collect();
            (StatusCode::CREATED, Json(MadeAnswer { corrections })).into_response()
        }
    })
}

/// The hash of the name of this request.
fn key(headers: &HeaderMap) -> Result<Option<u128>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let (Some(key), more) = (keys.next(), keys.next()) else { return Ok(None) };
    if more.is_some() || key.is_empty() || key.len() > KEY_MOST {
        let detail = format!("the header Idempotency-Key stands once and has 1 to {KEY_MOST} characters");
        return Err(Problem::new(Kind::BadHeader, detail));
    }
    Ok(Sha256::digest(key.as_bytes()).first_chunk().map(|hash| u128::from_be_bytes(*hash)))
}

/// Take a correction back.
///
/// It no longer holds, as if nobody had counted; it is kept, and listed with who retracted it and why. The same again
/// changes nothing.
#[utoipa::path(
    delete,
    path = "/v1/corrections/{id}",
    tag = "counts",
    params(("id" = AnyId, Path, description = "The correction", example = "c17-1"), Why),
    responses(
        (status = 200, description = "The correction as it stands now, or in a dry run what would change", body = CorrectionRetracted),
        (status = 404, description = "There is no such correction"),
        (status = 409, description = "It was retracted before, for another reason or by somebody else"),
        (status = 422, description = "The reason or the name is too long")
    )
)]
async fn retract(State(app): State<Arc<App>>, Id(id): Id<CorrectionId>, Params(why): Params<Why>) -> Result<Response, Problem> {
    let note = Note { reason: why.reason, by: why.by };
    match app.query.retract(&id, &note, why.dry_run).await? {
        Corrected::DryRun(shifts) => Ok(dry_run(&shifts)),
        Corrected::Made(made) => {
            let made = made.into_iter().next().map(|made| Json(CorrectionAnswer::of(made)).into_response());
            made.ok_or_else(|| Problem::new(Kind::Internal, "the correction is gone"))
        }
    }
}
