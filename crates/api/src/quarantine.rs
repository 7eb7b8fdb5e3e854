//! Input kept out of the ledgers, to look at and to replay.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingest::Receipt;
use occupancy::time::UnixMs;
use query::{Quarantined, Reason, Source};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::Report;

use crate::extract::{Document, Params};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::{Kind, Problem};
use crate::{App, cursor};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(quarantine)).routes(routes!(replay))
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those kept out for this reason: `undecodable`, `clock_ahead`, `clock_unset` or `too_late`.
    #[param(pattern = "^(undecodable|clock_ahead|clock_unset|too_late)$")]
    reason: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many rows a page holds: 1 to 1,000. One whose rows hold more than 8 MiB ends earlier.
    #[serde(default = "cursor::page_items")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
}

/// Topic, partition, offset, and for one crossing of a record which.
#[derive(ToSchema)]
#[schema(pattern = "^[^/]+/[0-9]{1,10}/[0-9]{1,19}(/[0-9]{1,10})?$", example = "http/0/1732227600000000/3")]
#[expect(dead_code, reason = "it describes what is read as a source")]
struct RowId(String);

/// A report or crossing kept out of the ledgers.
#[derive(Serialize, ToSchema)]
struct RowAnswer {
    /// What to name it by when it is replayed.
    #[schema(value_type = RowId)]
    id: String,
    /// The Kafka topic it came from, or `http`.
    #[schema(example = "http")]
    topic: String,
    /// The partition; 0 over HTTP.
    partition: i32,
    /// The offset; over HTTP a number of the server's own.
    offset: i64,
    /// Which crossing of the record, from 0; null for the whole record.
    #[schema(format = Int64, maximum = 4_294_967_295u32)]
    index: Option<u32>,
    /// Why: `undecodable`, `clock_ahead`, `clock_unset` or `too_late`.
    #[schema(example = "clock_unset")]
    reason: &'static str,
    /// What exactly was wrong.
    detail: String,
    /// Whose it is, where that could be read.
    dpu_id: Option<String>,
    /// When it was taken in.
    received_at: Instant,
    /// When it was replayed.
    replayed_at: Option<Instant>,
    /// How `payload` is written: `text` as it is, or `base64` where it is no UTF-8.
    #[schema(example = "text")]
    encoding: &'static str,
    /// The record as it came, or a JSON report of just this crossing.
    payload: String,
}

/// Quarantined input, by source.
#[derive(Serialize, ToSchema)]
struct RowsAnswer {
    /// The rows.
    quarantined: Vec<RowAnswer>,
    /// Pass it as `cursor` for what comes after, even where this page is short; null at the end.
    next: Option<String>,
}

impl RowAnswer {
    fn of(row: Quarantined) -> Self {
        let (encoding, payload) = match String::from_utf8(row.payload) {
            Ok(text) => ("text", text),
            Err(error) => ("base64", STANDARD.encode(error.as_bytes())),
        };
        Self {
            id: row.source.to_string(),
            topic: row.source.topic,
            partition: row.source.partition,
            offset: row.source.offset,
            index: Some(row.source.index).filter(|index| *index != Source::WHOLE),
            reason: row.reason.name(),
            detail: row.detail,
            dpu_id: row.dpu.as_ref().map(ToString::to_string),
            received_at: Instant(row.received_at),
            replayed_at: row.replayed_at.map(Instant),
            encoding,
            payload,
        }
    }
}

/// What was kept out of the ledgers, and why?
///
/// Nothing is dropped: what cannot be read or cannot be true is kept here.
#[utoipa::path(get, path = "/v1/quarantine", tag = "devices", params(Which), responses((status = 200, description = "A page", body = RowsAnswer)))]
async fn quarantine(State(app): State<Arc<App>>, Params(which): Params<Which>) -> Result<Json<RowsAnswer>, Problem> {
    let reason = which.reason.as_deref().map(reason).transpose()?;
    let after: Option<Source> = cursor::decode(which.cursor.as_deref())?;
    let page = app.query.quarantined(reason, after.as_ref(), which.limit).await?;
    let next = page.next.as_ref().map(cursor::encode);
    Ok(Json(RowsAnswer { quarantined: page.items.into_iter().map(RowAnswer::of).collect(), next }))
}

fn reason(name: &str) -> Result<Reason, Problem> {
    let names = || Reason::ALL.map(Reason::name).join(", ");
    let found = Reason::ALL.into_iter().find(|reason| reason.name() == name);
    found.ok_or_else(|| Problem::new(Kind::BadQuery, format!("there is no reason {name:?}: expected one of {}", names())))
}

/// How many rows are replayed at once.
const REPLAY_MOST: usize = 1000;

/// Which rows to take in after all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    /// The `id`s of the rows, 1 to 1,000.
    #[schema(value_type = Vec<RowId>, min_items = 1, max_items = 1000, example = json!(["http/0/1732227600000000/3"]))]
    rows: Vec<String>,
    /// Whether the DPUs' clocks were right after all. Needed for what was kept out because of its time.
    #[serde(default)]
    accept_clock: bool,
}

/// What became of the rows, where they are in the ledgers now.
#[derive(Serialize, ToSchema)]
struct ReplayedAnswer {
    /// Rows replayed.
    #[schema(example = 1)]
    replayed: usize,
    /// Crossings that are new.
    #[schema(example = 1)]
    accepted: u64,
    /// Crossings that were there already.
    #[schema(example = 0)]
    duplicate: u64,
    /// Crossings that can be read by now, but not be true: kept out again, in rows of their own.
    #[schema(example = 0)]
    quarantined: usize,
}

/// What became of the rows, where they are in the log now.
#[derive(Serialize, ToSchema)]
struct RequeuedAnswer {
    /// Rows replayed.
    #[schema(example = 1)]
    replayed: usize,
    /// Reports that will be taken in.
    #[schema(example = 1)]
    queued: u64,
}

/// Take in what was kept out.
///
/// All rows or none: what cannot be read still cannot, and what was kept out because of its time is taken in only with
/// `accept_clock`. Several rows may hold 8 MiB together, one as much as it does. Rows are marked with when they were
/// replayed, never deleted; sending this again counts nothing twice.
#[utoipa::path(
    post,
    path = "/v1/quarantine/replay",
    tag = "devices",
    request_body(content = ReplayBody),
    responses(
        (status = 200, description = "In the ledgers", body = ReplayedAnswer),
        (status = 202, description = "In the log", body = RequeuedAnswer),
        (status = 400, description = "The body cannot be read"),
        (status = 404, description = "One of the rows does not exist"),
        (status = 422, description = "One of the rows cannot be taken in as it is, or they are too large together"),
        (status = 503, description = "Not taken in: send it again unchanged after Retry-After seconds")
    )
)]
async fn replay(State(app): State<Arc<App>>, Document(body): Document<ReplayBody>) -> Result<Response, Problem> {
    let ReplayBody { rows, accept_clock } = body;
    if rows.is_empty() || rows.len() > REPLAY_MOST {
        let asked = rows.len();
        return Err(Problem::new(Kind::BadBody, format!("1 to {REPLAY_MOST} rows can be replayed at once, not {asked}")));
    }
    let sources = rows.iter().map(|row| source(row)).collect::<Result<Vec<Source>, _>>()?;
    let rows = app.query.quarantined_at(&sources).await?;
    let reports = rows.iter().map(|row| readmitted(row, accept_clock).map(Ok)).collect::<Result<_, _>>()?;
    let (replayed, receipt) = (rows.len(), app.intake.submit(reports).await?);
    // Should it end here, what is replayed again is a duplicate.
    app.query.mark_replayed(rows).await?;
    Ok(match receipt {
        Receipt::Stored { accepted, duplicate, quarantined } => {
            Json(ReplayedAnswer { replayed, accepted, duplicate, quarantined: quarantined.len() }).into_response()
        }
        Receipt::Queued { reports } => (StatusCode::ACCEPTED, Json(RequeuedAnswer { replayed, queued: reports })).into_response(),
    })
}

/// What a row's id names. Where it has the form of one, but a number that none can have, there is no such row.
fn source(id: &str) -> Result<Source, Problem> {
    let number = |part: &str, digits| (1..=digits).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let formed = || match id.split('/').collect::<Vec<_>>().as_slice() {
        [topic, partition, offset, index @ ..] if index.len() < 2 => {
            !topic.is_empty() && number(partition, 10) && number(offset, 19) && index.iter().all(|index| number(index, 10))
        }
        _ => false,
    };
    id.parse::<Source>().map_err(|error| {
        if formed() {
            Problem::new(Kind::NotQuarantined, format!("there is nothing in quarantine from {id}"))
        } else {
            Problem::new(Kind::BadBody, error.to_string())
        }
    })
}

fn not_replayable(source: &Source, why: &str) -> Problem {
    Problem::new(Kind::NotReplayable, format!("{source}: {why}"))
}

/// What is said of a row whose input is as unreadable as it was.
pub(crate) fn unreadable(source: &Source, why: &str) -> Problem {
    not_replayable(source, &format!("it still cannot be read: {why}"))
}

/// A row as a report that will not be kept out again.
fn readmitted(row: &Quarantined, accept_clock: bool) -> Result<Report, Problem> {
    let Quarantined { source, reason, detail, .. } = row;
    let not = |why: &str| not_replayable(source, why);
    if *reason != Reason::Undecodable && !accept_clock {
        return Err(not(&format!("{detail}; where the DPU's clock was right after all, say so with \"accept_clock\": true")));
    }
    let report = wire::report::decode(&row.payload).map_err(|error| unreadable(source, &error.to_string()))?;
    if let Some(bad) = report.crossings.iter().find_map(|crossing| crossing.as_ref().err()) {
        return Err(unreadable(source, &bad.detail));
    }
    if report.crossings.iter().flatten().any(|key| key.at == UnixMs::MAX) {
        return Err(not("nothing can happen at the end of time"));
    }
    Ok(Report { accept_clock, ..report })
}
