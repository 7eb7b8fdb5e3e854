//! Counts as they change, as Server-Sent Events.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use ingest::{CountersFeed, FeedError};
use occupancy::id::SpaceId;
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use query::{News, Watch};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval_at};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::count::CountAnswer;
use crate::extract::{AnyId, Params, parse};
use crate::instant::Instant;
use crate::problem::{Kind, Problem};

/// What the lanes of a process publish to those who watch in the same, where no other process writes.
pub struct LocalFeed(Arc<Watch>);

impl LocalFeed {
    /// To whoever watches here.
    #[must_use]
    pub fn new(watch: Arc<Watch>) -> Self {
        watch.hear_all();
        Self(watch)
    }
}

#[async_trait]
impl CountersFeed for LocalFeed {
    async fn publish(&self, changes: &[Change]) -> Result<(), FeedError> {
        self.0.changed(changes);
        Ok(())
    }

    fn is_alone(&self) -> bool {
        true
    }
}

/// How often a comment shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// That comment.
const ALIVE: &[u8] = b": alive\n\n";

/// Marks an answer without end: for its connection no other answer comes, so all that is kept for others can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endless;

pub(crate) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(live))
}

/// The spaces to watch.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `watched` reads: repeated parameters are beyond the usual reader")]
struct Watched {
    /// A space; repeat it for more, up to 100.
    #[param(value_type = Vec<AnyId>, min_items = 1, max_items = 100, example = json!(["hall"]))]
    space: Vec<String>,
}

/// Event `revised`: what was answered of the past may be out of date.
#[derive(Serialize, ToSchema)]
struct Revised<'a> {
    /// The space.
    #[schema(example = "hall")]
    space: &'a str,
    /// From when on its counts and history may come out otherwise; null for all of the past.
    from: Option<Instant>,
}

/// Event `stalled`: the count cannot be made just now, and is told again once it can.
#[derive(Serialize, ToSchema)]
struct Stalled<'a> {
    /// The space.
    #[schema(example = "hall")]
    space: &'a str,
    /// Why.
    detail: &'a str,
}

/// Event `removed`: the space is no longer there.
#[derive(Serialize, ToSchema)]
struct Removed<'a> {
    /// The space.
    #[schema(example = "hall")]
    space: &'a str,
}

/// Follow the counts of spaces as they change.
///
/// Server-Sent Events, each with JSON as its data. `count`, the same as the answer of a count, comes for each space at
/// once and after each change, reset and edit, at most every 100 ms for each space: the latest counts, those between are
/// left out. `revised` (`{space, from}`) comes where what is older than 5 s changed, by a late crossing, a correction or
/// another edit: read again what you show from `from` on. `stalled` (`{space, detail}`): the count cannot be made just
/// now, and the last one may be out of date. `removed` (`{space}`): there is no such space any more. A comment every
/// 15 s shows that the connection lives. Whoever comes again, with `Last-Event-ID` as browsers do, is told each count
/// anew and after it `revised` from null of its space, as anything may have changed meanwhile.
#[utoipa::path(
    get,
    path = "/v1/live",
    tag = "counts",
    params(Watched),
    responses(
        (status = 200, description = "Events, without end", content_type = "text/event-stream", body = String,
         example = "event: revised\ndata: {\"space\":\"hall\",\"from\":\"2005-08-01T18:40:00.000Z\"}\n\n"),
        (status = 404, description = "One of the spaces does not exist"),
        (status = 503, description = "As many clients as there can be watch already")
    )
)]
async fn live(State(app): State<Arc<App>>, Params(pairs): Params<Vec<(String, String)>>, headers: HeaderMap) -> Result<Response, Problem> {
    let spaces = watched(&pairs)?;
    let watcher = app.watch.subscribe(&spaces).await?;
    // Who comes again missed whatever happened meanwhile.
    let missed = if headers.contains_key("last-event-id") { spaces.into_iter().collect() } else { BTreeSet::new() };
    Ok(response(told(watcher.into_stream(), missed)))
}

/// Events as an answer.
fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(alive(events).map(Ok::<_, Infallible>));
    // Proxies that gather an answer before they pass it on would gather without end.
    let at_once = (HeaderName::from_static("x-accel-buffering"), "no");
    let mut response = ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache"), at_once], body).into_response();
    response.extensions_mut().insert(Endless);
    response
}

/// The events, and comments between them.
fn alive(events: impl Stream<Item = Bytes> + Send) -> impl Stream<Item = Bytes> + Send {
    // Not put off by each event: that would cost more than the few comments that nobody needs.
    let mut beat = interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
    // None is made up for to one who did not read.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((Box::pin(events), beat), async |(mut events, mut beat)| {
        let next = tokio::select! {
            biased;
            next = events.next() => next?,
            _ = beat.tick() => Bytes::from_static(ALIVE),
        };
        Some((next, (events, beat)))
    })
}

fn watched(pairs: &[(String, String)]) -> Result<Vec<SpaceId>, Problem> {
    let space = |(name, value): &(String, String)| match name.as_str() {
        "space" => parse(value),
        other => Err(Problem::new(Kind::BadQuery, format!("there is no parameter {other:?}: expected `space`"))),
    };
    pairs.iter().map(space).collect()
}

/// The news as events; that something was missed of a space comes after its first count.
fn told(news: impl Stream<Item = News> + Send, mut missed: BTreeSet<SpaceId>) -> impl Stream<Item = Bytes> + Send {
    news.map(move |news| {
        let missed = if let News::Count(count) = &news { missed.take(&count.space) } else { None };
        match missed {
            None => event(&news),
            Some(space) => [event(&news), event(&News::Revised { space, from: UnixMs::MIN })].concat().into(),
        }
    })
}

/// An event as it is sent; that of a count is written once for all who are told it.
fn event(news: &News) -> Bytes {
    match news {
        News::Count(count) => Bytes::from_owner(count.written(|count| write(&format!("count\nid: {}", count.at), &CountAnswer::of(count)))),
        News::Revised { space, from } => {
            let from = Some(*from).filter(|from| *from > UnixMs::MIN).map(Instant);
            write("revised", &Revised { space: space.as_str(), from }).into()
        }
        News::Stalled { space, why } => write("stalled", &Stalled { space: space.as_str(), detail: why }).into(),
        News::Removed { space } => write("removed", &Removed { space: space.as_str() }).into(),
    }
}

fn write(head: &str, data: &impl Serialize) -> Vec<u8> {
    // What is told is made of texts and numbers: it always becomes JSON, which has no line breaks.
    let json = serde_json::to_string(data).unwrap_or_default();
    format!("event: {head}\ndata: {json}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_example_is_what_is_told() {
        let news = News::Revised { space: "hall".parse().unwrap(), from: "2005-08-01T18:40:00Z".parse().unwrap() };
        let events = told(stream::iter([news]), BTreeSet::new());
        let told = response(events).into_body().collect().await.unwrap().to_bytes();
        let described = serde_json::to_value(crate::openapi()).unwrap();
        let example = &described["paths"]["/v1/live"]["get"]["responses"]["200"]["content"]["text/event-stream"]["example"];
        assert_eq!(std::str::from_utf8(&told).unwrap(), example.as_str().unwrap());
    }
}
