//! Counts as they change, as Server-Sent Events.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use ingest::{CountersFeed, FeedError};
use occupancy::id::SpaceId;
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use query::{News, Watch};
use serde::Serialize;
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

/// How often a comment shows that the connection lives, where nothing else is told.
const HEARTBEAT: Duration = Duration::from_secs(15);

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
    let events = told(watcher.into_stream(), missed);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("alive");
    let mut response = Sse::new(events).keep_alive(heartbeat).into_response();
    // Proxies that gather an answer before they pass it on would gather without end.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn watched(pairs: &[(String, String)]) -> Result<Vec<SpaceId>, Problem> {
    let space = |(name, value): &(String, String)| match name.as_str() {
        "space" => parse(value),
        other => Err(Problem::new(Kind::BadQuery, format!("there is no parameter {other:?}: expected `space`"))),
    };
    pairs.iter().map(space).collect()
}

/// The news as events; that something was missed of a space comes after its first count.
fn told(news: impl Stream<Item = News> + Send, mut missed: BTreeSet<SpaceId>) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let all = news.flat_map(move |news| {
        let missed = if let News::Count(count) = &news { missed.take(&count.space) } else { None };
        stream::iter([news].into_iter().chain(missed.map(|space| News::Revised { space, from: UnixMs::MIN })))
    });
    all.map(|news| {
        // What is told is made of texts and numbers: it always becomes JSON.
        Ok(event(&news).unwrap_or_else(|_| Event::default().comment("an event could not be written")))
    })
}

fn event(news: &News) -> Result<Event, axum::Error> {
    match news {
        News::Count(count) => Event::default().event("count").id(count.at.to_string()).json_data(CountAnswer::of(count)),
        News::Revised { space, from } => {
            let from = Some(*from).filter(|from| *from > UnixMs::MIN).map(Instant);
            Event::default().event("revised").json_data(Revised { space: space.as_str(), from })
        }
        News::Stalled { space, why } => Event::default().event("stalled").json_data(Stalled { space: space.as_str(), detail: why }),
        News::Removed { space } => Event::default().event("removed").json_data(Removed { space: space.as_str() }),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_example_is_what_is_told() {
        let news = News::Revised { space: "hall".parse().unwrap(), from: "2005-08-01T18:40:00Z".parse().unwrap() };
        let events = told(stream::iter([news]), BTreeSet::new());
        let told = Sse::new(events).into_response().into_body().collect().await.unwrap().to_bytes();
        let described = serde_json::to_value(crate::openapi()).unwrap();
        let example = &described["paths"]["/v1/live"]["get"]["responses"]["200"]["content"]["text/event-stream"]["example"];
        assert_eq!(std::str::from_utf8(&told).unwrap(), example.as_str().unwrap());
    }
}
