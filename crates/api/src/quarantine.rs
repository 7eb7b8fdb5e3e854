//! Input kept out of the ledgers, to look at.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use query::{Quarantined, Reason, Source};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::Params;
use crate::instant::Instant;
use crate::problem::{Kind, Problem};
use crate::{App, cursor};

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(quarantine))
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those kept out for this reason: `undecodable`, `clock_ahead`, `clock_unset` or `too_late`.
    reason: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many rows a page holds: 1 to 1,000.
    #[serde(default = "cursor::page_items")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: usize,
}

/// A report or crossing kept out of the ledgers.
#[derive(Serialize, ToSchema)]
struct RowAnswer {
    /// The Kafka topic it came from, or `http`.
    #[schema(example = "http")]
    topic: String,
    /// The partition; 0 over HTTP.
    partition: i32,
    /// The offset; over HTTP a number of the server's own.
    offset: i64,
    /// Which crossing of the record, from 0; null for the whole record.
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
async fn quarantine(State(app): State<App>, Params(which): Params<Which>) -> Result<Json<RowsAnswer>, Problem> {
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
