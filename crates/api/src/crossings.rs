//! The way in over HTTP: reports of DPUs.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingest::Receipt;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, ObjectBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Bad, Report as Read};

use crate::App;
use crate::extract::{AnyId, Reports};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::{Kind, Problem};

/// The most crossings, and the most reports, of one request.
const CROSSINGS_MOST: usize = 10_000;

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(report))
}

/// One report, or an array of them.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what wire reads")]
enum Body {
    One(Report),
    Several(Vec<Report>),
}

/// What a DPU sends: crossings and, or, a heartbeat.
#[derive(Serialize, ToSchema)]
struct Report {
    /// Who reports.
    #[schema(value_type = AnyId, example = "283")]
    dpu_id: String,
    /// Which run of the DPU, where it counts them.
    #[schema(required = false, example = 7)]
    boot: Option<u64>,
    /// Crossings, in any order.
    #[schema(required = false, max_items = 10_000)]
    crossings: Vec<Crossing>,
    /// That it is alive.
    #[schema(required = false)]
    heartbeat: Option<Heartbeat>,
    /// Whether somebody vouches for its clock: for reports replayed from quarantine.
    #[schema(required = false, default = false)]
    accept_clock: bool,
}

/// One person through one doorway. All its fields are its identity: send it again unchanged and it counts once.
#[derive(Serialize, ToSchema)]
struct Crossing {
    /// When, by the DPU's clock.
    at: Instant,
    /// 1 or -1; an installation says which of them enters.
    #[schema(schema_with = direction)]
    direction: i8,
    /// Which crossing of the run, from 1, where the DPU numbers them.
    #[schema(required = false, example = 41)]
    seq: Option<u64>,
    /// Which run of the DPU it is of, where that is not the report's: one kept over a restart.
    #[schema(required = false)]
    boot: Option<u64>,
}

/// A DPU's word that it is alive, and how far its numbering has come.
#[derive(Serialize, ToSchema)]
struct Heartbeat {
    /// When, by the DPU's clock.
    at: Instant,
    /// The last crossing numbered in this run.
    #[schema(required = false, example = 41)]
    last_seq: Option<u64>,
}

/// What became of a request whose crossings are in the ledgers.
#[derive(Serialize, ToSchema)]
struct Stored {
    /// Crossings that are new.
    #[schema(example = 1)]
    accepted: u64,
    /// Crossings that were there already: nothing counts twice.
    #[schema(example = 0)]
    duplicate: u64,
    /// What was kept out, one entry each; the rest is in.
    quarantined: Vec<Quarantined>,
}

/// A report or crossing that was kept out of the ledgers.
#[derive(Serialize, ToSchema)]
struct Quarantined {
    /// Which report of the request, from 0.
    report: usize,
    /// Which crossing of the report, from 0; null for the whole report.
    crossing: Option<usize>,
    /// Why: `undecodable`, `clock_ahead`, `clock_unset` or `too_late`.
    #[schema(example = "clock_ahead")]
    reason: &'static str,
    /// What exactly was wrong.
    detail: String,
}

/// What became of a request whose reports are in the log.
#[derive(Serialize, ToSchema)]
struct Queued {
    /// Reports that will be taken in.
    #[schema(example = 1)]
    queued: u64,
}

/// Report crossings and heartbeats.
///
/// A report or an array of them: up to 10,000 crossings, 1 MiB. A 2xx means durable: the DPU may forget them. After any
/// other answer, or none, send them again unchanged: nothing counts twice. A bad crossing never fails its batch.
#[utoipa::path(
    post,
    path = "/v1/crossings",
    tag = "devices",
    request_body(content = Body, example = json!({
        "dpu_id": "283", "boot": 7,
        "crossings": [{"at": "2018-02-26T16:06:02.903Z", "direction": 1, "seq": 41}],
        "heartbeat": {"at": "2018-02-26T16:06:03.000Z", "last_seq": 41}
    })),
    responses(
        (status = 200, description = "In the ledgers", body = Stored),
        (status = 202, description = "In the log: what was kept out shows in the quarantine", body = Queued),
        (status = 400, description = "The body is no JSON, or neither a report nor an array"),
        (status = 413, description = "Too large, or too many crossings: send several smaller requests"),
        (status = 415, description = "The header Content-Type is not application/json"),
        (status = 503, description = "Not taken in: send it again unchanged after Retry-After seconds")
    )
)]
async fn report(State(app): State<Arc<App>>, Reports(body): Reports) -> Result<Response, Problem> {
    let reports = reports(&body)?;
    let crossings: usize = reports.iter().flatten().map(|report| report.crossings.len()).sum();
    if reports.len().max(crossings) > CROSSINGS_MOST {
        let (reports, most) = (reports.len(), CROSSINGS_MOST);
        let detail =
            format!("{crossings} crossings in {reports} reports: at most {most} of each at once, so send several smaller requests");
        return Err(Problem::new(Kind::TooManyCrossings, detail));
    }
    Ok(match app.intake.submit(reports).await? {
        Receipt::Stored { accepted, duplicate, quarantined } => {
            let quarantined = quarantined.into_iter().map(|part| Quarantined {
                report: part.report,
                crossing: part.crossing,
                reason: part.reason.name(),
                detail: part.detail,
            });
            Json(Stored { accepted, duplicate, quarantined: quarantined.collect() }).into_response()
        }
        Receipt::Queued { reports } => (StatusCode::ACCEPTED, Json(Queued { queued: reports })).into_response(),
    })
}

/// The reports of a body.
pub(crate) fn reports(body: &[u8]) -> Result<Vec<Result<Read, Bad>>, Problem> {
    wire::report::decode_body(body).map_err(|error| Problem::new(Kind::BadBody, error.to_string()))
}

/// A direction as it is described: there is no 0.
pub(crate) fn direction() -> Object {
    let values = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([1, -1])).examples([1]);
    values.description(Some("1 or -1; an installation says which of them enters.")).build()
}
