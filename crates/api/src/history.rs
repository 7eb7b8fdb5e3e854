//! The history of spaces in buckets, as JSON or CSV.

mod asked;

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use occupancy::bucket::Extreme;
use occupancy::id::SpaceId;
use occupancy::time::local_time;
use query::{HistoryBucket, Series, Stats};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::asked::{Asked, Buckets, Several};
use crate::edit::tagged;
use crate::extract::{AnyId, Id, Params};
use crate::instant::Instant;
use crate::json::Json;
use crate::problem::{Kind, Problem};
use crate::{App, csv, cursor};

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(histories))
}

/// A page of a space's history.
#[derive(Serialize, ToSchema)]
struct HistoryAnswer {
    #[serde(flatten)]
    history: SpaceHistory,
    /// Pass it as `cursor`, with the same other parameters, for what comes after; null at the end.
    next: Option<String>,
    /// When this was made: what `partial` goes by. It takes no part in the ETag.
    computed_at: Instant,
}

/// A page of the history of several spaces.
#[derive(Serialize, ToSchema)]
struct HistoriesAnswer {
    /// All of the first space, then all of the second, and so on; a space that goes on on the next page is there again.
    histories: Vec<SpaceHistory>,
    /// Pass it as `cursor`, with the same other parameters, for what comes after; null at the end.
    next: Option<String>,
    /// When this was made: what `partial` goes by. It takes no part in the ETag.
    computed_at: Instant,
}

/// Consecutive buckets of a space.
#[derive(Serialize, ToSchema)]
struct SpaceHistory {
    /// The space.
    #[schema(example = "hall")]
    space: String,
    /// How long a bucket is: `1m`, `5m`, `15m`, `30m`, `1h`, `1d`, `1w` or `1mo`.
    #[schema(example = "1h")]
    interval: &'static str,
    /// The zone in which days begin.
    #[schema(example = "America/Los_Angeles")]
    time_zone: String,
    /// The buckets, in order of time. Those that begin in the future are left out.
    buckets: Vec<BucketAnswer>,
}

/// What happened in `[start, end)`. In raw terms, previous close + entered - exited + adjusted = close.
#[derive(Serialize, ToSchema)]
struct BucketAnswer {
    /// First instant.
    start: Instant,
    /// First instant after.
    end: Instant,
    /// How far the zone's clocks were from UTC at `start`, as hours and minutes.
    #[schema(example = "-07:00")]
    offset: String,
    /// People who entered.
    #[schema(example = 57)]
    entered: u64,
    /// People who exited.
    #[schema(example = 45)]
    exited: u64,
    /// How many people resets and corrections added; below 0 where they took some away.
    #[schema(example = 0)]
    adjusted: i64,
    /// The count in the last ms; in a bucket that is not over, now.
    close: Close,
    /// The lowest count of any ms. Left out with `stats=flow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    min: Option<ExtremeAnswer>,
    /// The highest count of any ms. Left out with `stats=flow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    max: Option<ExtremeAnswer>,
    /// How many people on average: the mean of the count over every ms. Left out with `stats=flow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, example = 8.25)]
    mean: Option<f64>,
    /// Crossings that DPUs numbered and we never got: of each run of a DPU, those between the first and the last number in
    /// this bucket. Null where there are no numbers. Left out with `stats=flow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, required = false, example = 0)]
    missing: Option<Option<u64>>,
    /// Whether more may come: the bucket is not over, or a DPU that hung here during it was not heard since it ended.
    partial: bool,
}

/// The count a bucket ends with.
#[derive(Serialize, ToSchema)]
struct Close {
    /// How many people: raw, but never below 0.
    #[schema(example = 12)]
    count: i64,
    /// How many people as it adds up: it may be below 0.
    #[schema(example = 12)]
    raw: i64,
}

/// A count and the first instant of the bucket at which it was so.
#[derive(Serialize, ToSchema)]
struct ExtremeAnswer {
    /// How many people.
    #[schema(example = 12)]
    count: i64,
    /// When first.
    at: Instant,
}

impl ExtremeAnswer {
    fn of(extreme: Extreme) -> Self {
        Self { count: extreme.count, at: Instant(extreme.at) }
    }
}

impl SpaceHistory {
    fn of(series: &Series, interval: &'static str, stats: Stats) -> Self {
        let full = stats == Stats::Full;
        let bucket = |HistoryBucket { bucket, missing, partial }: &HistoryBucket| BucketAnswer {
            start: Instant(bucket.start),
            end: Instant(bucket.end),
            offset: local_time(series.zone, bucket.start).offset().to_string(),
            entered: bucket.entered,
            exited: bucket.exited,
            adjusted: bucket.adjusted,
            close: Close { count: bucket.close.max(0), raw: bucket.close },
            min: full.then(|| ExtremeAnswer::of(bucket.min)),
            max: full.then(|| ExtremeAnswer::of(bucket.max)),
            mean: full.then_some(bucket.mean),
            missing: full.then_some(*missing),
            partial: *partial,
        };
        let buckets = series.buckets.iter().map(bucket).collect();
        Self { space: series.space.to_string(), interval, time_zone: series.zone.name().to_owned(), buckets }
    }
}

/// What happened in a space in each minute, hour, day, week or month?
///
/// A page ends after 10,000 buckets or 2 million crossings (with `stats=flow`, 50,000 look-ups); one bucket with more
/// crossings than that is refused. With `Accept: text/csv` it comes as CSV, and the address of the next page stands in the
/// header `Link`.
#[utoipa::path(
    get,
    path = "/v1/spaces/{id}/history",
    tag = "counts",
    params(("id" = AnyId, Path, description = "The space", example = "hall"), Buckets),
    responses(
        (status = 200, description = "A page of history", content((HistoryAnswer = "application/json"), (String = "text/csv"))),
        (status = 404, description = "There is no such space"),
        (status = 422, description = "`from` is in the future, or one bucket holds too many crossings")
    )
)]
async fn history(
    State(app): State<Arc<App>>,
    Id(space): Id<SpaceId>,
    Params(pairs): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = format!("/v1/spaces/{space}/history?");
    let asked = Asked::read(Some(space), &pairs, app.query.clock()())?;
    let found = answer(&app, &asked).await?;
    if csv::wanted(&headers) {
        return Ok(to_csv(&found, &path, &asked));
    }
    let HistoriesAnswer { mut histories, next, computed_at } = found;
    let history = histories.pop().ok_or_else(|| Problem::new(Kind::Internal, "no history came of one space"))?;
    let (_, tag) = tagged(&(&history, &next))?;
    Ok(json(tag, HistoryAnswer { history, next, computed_at }))
}

/// What happened in several spaces in each minute, hour, day, week or month?
///
/// As for one space; the spaces come one after the other.
#[utoipa::path(
    get,
    path = "/v1/history",
    tag = "counts",
    params(Several, Buckets),
    responses(
        (status = 200, description = "A page of history", content((HistoriesAnswer = "application/json"), (String = "text/csv"))),
        (status = 404, description = "One of the spaces does not exist"),
        (status = 422, description = "`from` is in the future, or one bucket holds too many crossings")
    )
)]
async fn histories(
    State(app): State<Arc<App>>,
    Params(pairs): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(None, &pairs, app.query.clock()())?;
    let found = answer(&app, &asked).await?;
    if csv::wanted(&headers) {
        let spaces: String = asked.spaces.iter().map(|space| format!("space={space}&")).collect();
        return Ok(to_csv(&found, &format!("/v1/history?{spaces}"), &asked));
    }
    let (_, tag) = tagged(&(&found.histories, &found.next))?;
    Ok(json(tag, found))
}

async fn answer(app: &App, asked: &Asked) -> Result<HistoriesAnswer, Problem> {
    let page = app.query.history(&asked.spaces, &asked.span, asked.after, asked.caps).await?;
    let histories = page.series.iter().map(|series| SpaceHistory::of(series, asked.interval, asked.span.stats));
    Ok(HistoriesAnswer { histories: histories.collect(), next: page.next.as_ref().map(cursor::encode), computed_at: Instant(page.now) })
}

/// The instant at which an answer was made is no change of what it says.
fn json(tag: String, answer: impl Serialize) -> Response {
    let mut response = Json(answer).into_response();
    response.headers_mut().extend(HeaderValue::try_from(tag).map(|tag| (ETAG, tag)));
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}

/// What is left out of the JSON, or null there, is empty here. Ids and zones hold no character that CSV would need to quote.
fn to_csv(answer: &HistoriesAnswer, path: &str, asked: &Asked) -> Response {
    let mut text = String::from("space,start,end,offset,entered,exited,adjusted,count,raw,min,min_at,max,max_at,mean,missing,partial\n");
    for (space, one) in answer.histories.iter().flat_map(|one| one.buckets.iter().map(move |bucket| (&one.space, bucket))) {
        let BucketAnswer { start, end, offset, entered, exited, adjusted, close, min, max, mean, missing, partial } = one;
        let [min, max] = [min, max].map(|one| one.as_ref().map_or_else(|| ",".to_owned(), |one| format!("{},{}", one.count, one.at.0)));
        let mean = mean.map(|mean| mean.to_string()).unwrap_or_default();
        let missing = missing.flatten().map(|missing| missing.to_string()).unwrap_or_default();
        let Close { count, raw } = close;
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{space},{},{},{offset},{entered},{exited},{adjusted},{count},{raw},{min},{max},{mean},{missing},{partial}",
            start.0, end.0
        );
    }
    let mut response = csv::page(text, answer.next.as_ref().map(|next| format!("{path}{}", asked.query(next))));
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}
