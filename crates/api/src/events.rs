//! The event log of a space, as JSON or CSV.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::VARY;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use query::Event;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::crossings::direction;
use crate::extract::{AnyId, Id, Params};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::Problem;
use crate::{App, csv, cursor};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(crossings))
}

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Range {
    /// From this instant on; absent: from the beginning.
    #[param(value_type = Option<String>, format = DateTime, example = "2005-08-01T00:00:00Z")]
    from: Option<Instant>,
    /// Up to this instant, which is excluded; absent: to the end.
    #[param(value_type = Option<String>, format = DateTime, example = "2005-08-02T00:00:00Z")]
    to: Option<Instant>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many crossings a page holds: 1 to 10,000.
    #[serde(default = "thousand")]
    #[param(default = 1000, minimum = 1, maximum = 10000)]
    limit: usize,
}

fn thousand() -> usize {
    1000
}

/// The crossings of a space's boundary, in order of time.
#[derive(Serialize, ToSchema)]
struct Log {
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// The crossings.
    crossings: Vec<LogEntry>,
    /// Pass it as `cursor`, with the same `from` and `to`, for what comes after; null at the end.
    next: Option<String>,
}

/// One person through one doorway.
#[derive(Serialize, ToSchema)]
struct LogEntry {
    /// When, by the DPU's clock.
    at: Instant,
    /// Whether the person `entered` or `exited` the space.
    #[schema(example = "entered")]
    event: &'static str,
    /// Through which doorway.
    #[schema(example = "front")]
    doorway: String,
    /// Who saw it.
    #[schema(example = "283")]
    dpu_id: String,
    /// What the DPU said: 1 or -1.
    #[schema(schema_with = direction)]
    direction: i64,
    /// Which run of the DPU; 0 where it does not say.
    boot: u64,
    /// Which crossing of that run; 0 where it does not say.
    seq: u64,
}

impl LogEntry {
    fn of(event: &Event) -> Self {
        Self {
            at: Instant(event.key.at),
            event: if event.entered { "entered" } else { "exited" },
            doorway: event.doorway.to_string(),
            dpu_id: event.dpu.to_string(),
            direction: event.key.direction.sign(),
            boot: event.key.boot,
            seq: event.key.seq,
        }
    }
}

/// Which crossings of its boundary make a space's counts?
///
/// Crossings of inner doorways are left out: nobody enters or leaves the space there. With `Accept: text/csv` the page
/// comes as CSV, and the address of the next one stands in the header `Link`.
#[utoipa::path(
    get,
    path = "/v1/spaces/{id}/crossings",
    tag = "counts",
    params(("id" = AnyId, Path, description = "The space", example = "hall"), Range),
    responses(
        (status = 200, description = "A page of the log", content((Log = "application/json"), (String = "text/csv"))),
        (status = 404, description = "There is no such space")
    )
)]
async fn crossings(
    State(app): State<Arc<App>>,
    Id(space): Id<SpaceId>,
    Params(range): Params<Range>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = cursor::decode(range.cursor.as_deref())?;
    let (from, to) = (range.from.map_or(UnixMs::MIN, |from| from.0), range.to.map_or(UnixMs::MAX, |to| to.0));
    let page = app.query.events(&space, from, to, after.as_ref(), range.limit).await?;
    let next = page.next.as_ref().map(cursor::encode);
    let crossings: Vec<LogEntry> = page.items.iter().map(LogEntry::of).collect();
    let mut response = if csv::wanted(&headers) {
        let path = |next| format!("/v1/spaces/{space}/crossings?from={from}&to={to}&limit={}&cursor={next}", range.limit);
        csv::page(to_csv(&crossings), next.map(path))
    } else {
        Json(Log { space: space.to_string(), crossings, next }).into_response()
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Ids hold no character that CSV would need to quote.
fn to_csv(crossings: &[LogEntry]) -> String {
    let mut text = String::from("at,event,doorway,dpu_id,direction,boot,seq\n");
    for one in crossings {
        let LogEntry { at, event, doorway, dpu_id, direction, boot, seq } = one;
        // Writing to a text does not fail.
        let _ = writeln!(text, "{},{event},{doorway},{dpu_id},{direction},{boot},{seq}", at.0);
    }
    text
}
