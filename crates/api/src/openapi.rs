//! The description of all routes, made from the code.

use std::sync::Arc;

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi as Description, Ref, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;

use crate::problem::{Kind, MEDIA_TYPE, Problem, ProblemBody};
use crate::{
    App, corrections, count, crossings, dpus, events, explain, health, history, installations, live, quarantine, spaces, status, suspects,
    topology,
};

/// How many people are in a space, at any instant, and how do we know?
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headcount",
        description = "How many people are in a space, at any instant.\n\n\
            Door sensors (DPUs) report each person who crosses a doorway. Headcount keeps these crossings for good and \
            answers for any space at any point in time.\n\n\
            - Times are RFC 3339 in UTC with milliseconds; any offset is understood.\n\
            - Ids are 1 to 64 characters of `A-Z a-z 0-9 . _ : -`, the first a letter or digit.\n\
            - Every error is an RFC 9457 problem with a stable `type`.\n\
            - Lists come in pages: pass `next` as `cursor` until it is null.\n\
            - Every read has an `ETag`; send it back as `If-None-Match` to get 304 where nothing changed.\n\
            - Every answer has an `X-Request-Id`, your own where you send one; the server's log names it.\n\
            - Who asks too often gets 429 and `Retry-After`, where the server limits that."
    ),
    tags(
        (name = "counts", description = "How many people, and which crossings make that so"),
        (name = "topology", description = "Spaces, doorways, and which DPU hung where, when"),
        (name = "devices", description = "DPUs and what they report"),
        (name = "operation", description = "Is it well?")
    ),
    components(schemas(ProblemBody<'_>))
)]
struct Headcount;

/// All described routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Headcount::openapi())
        .merge(count::router())
        .merge(live::router())
        .merge(explain::router())
        .merge(history::router())
        .merge(events::router())
        .merge(spaces::router())
        .merge(topology::router())
        .merge(installations::router())
        .merge(corrections::router())
        .merge(dpus::router())
        .merge(suspects::router())
        .merge(crossings::router())
        .merge(quarantine::router())
        .merge(status::router())
        .merge(health::router())
}

/// The OpenAPI description of this version.
#[must_use]
pub fn openapi() -> Description {
    let (_, mut description) = routes().split_for_parts();
    for (path, item) in &mut description.paths.paths {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            describe_problems(path, operation);
        }
    }
    description
}

/// Every error is a problem, whichever it is; each status that is named has one as an example.
fn describe_problems(path: &str, operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    let any = || RefOr::T(Response::new("Any other error"));
    responses.entry("default".to_owned()).or_insert_with(any);
    for (status, response) in responses.iter_mut() {
        let error = status == "default" || status.starts_with('4') || status.starts_with('5');
        if let (true, RefOr::T(response)) = (error, response) {
            let mut content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
            content.example = example(path, status).and_then(|problem| serde_json::to_value(problem.body()).ok());
            response.content.insert(MEDIA_TYPE.to_owned(), content.into());
        }
    }
}

/// Of the problems with this status, one that the operations of this path do answer.
fn example(path: &str, status: &str) -> Option<Problem> {
    let (kind, detail) = match (status, path) {
        ("400", "/v1/crossings") => (Kind::BadBody, "the body is no JSON: EOF while parsing an object at line 1 column 1"),
        ("400", _) => (Kind::BadBody, "EOF while parsing an object at line 1 column 1"),
        ("404", "/v1/corrections/{id}") => (Kind::NotFound, "there is no correction c17-1"),
        ("404", "/v1/dpus/{id}") => (Kind::UnknownDpu, "there is no DPU 283: it has neither been heard nor hung anywhere"),
        ("404", "/v1/quarantine/replay") => (Kind::NotQuarantined, "there is nothing in quarantine from http/0/1732227600000000/3"),
        ("404", _) => (Kind::UnknownSpace, "there is no space hal"),
        ("409", "/v1/corrections/{id}") => (Kind::Conflict, "correction c17-1 was retracted before"),
        ("409", "/v1/topology/{root}") => (Kind::Conflict, "this would remove doorway front: say so (allow_removal) if that is meant"),
        ("409", _) => (
            Kind::Conflict,
            "DPU 283 would hang over front and over side at 2018-02-26T16:00:00.000Z: end the first installation before the second begins",
        ),
        ("412", "/v1/topology/{root}") => (Kind::Stale, "the topology of campus is not (or no longer) the one named: read it again"),
        ("412", _) => (Kind::Stale, "the installations of DPU 283 are not (or no longer) those named: read them again"),
        ("413", _) => {
            (Kind::TooManyCrossings, "12000 crossings in 12 reports: at most 10000 of each at once, so send several smaller requests")
        }
        ("415", _) => (Kind::UnsupportedMediaType, "the header Content-Type must be application/json, not \"text/plain\""),
        ("422", "/v1/corrections" | "/v1/corrections/{id}") => {
            (Kind::InvalidCorrection, "`reason` has at most 1000 characters, this one has 1200")
        }
        ("422", "/v1/topology/{root}") => (Kind::InvalidTopology, "doorway front has hall on both sides"),
        ("422", "/v1/dpus/{id}/installations") => (Kind::InvalidTopology, "the installations of DPU 283 name DPU 284"),
        ("422", "/v1/quarantine/replay") => {
            (Kind::NotReplayable, "http/0/1732227600000000/3: it still cannot be read: a direction is 1 or -1, not 5")
        }
        ("422", _) => {
            (Kind::FutureInstant, "9999-12-31T23:59:59.999Z is in the future: a count can be asked for up to 2018-02-26T16:11:02.903Z")
        }
        ("428", _) => {
            (Kind::PreconditionRequired, "send the header If-Match with the ETag of what you read, or If-None-Match: * for something new")
        }
        ("503", "/readyz") => (Kind::NotReady, "the store is unavailable: no node answers"),
        ("503", "/v1/live") => (
            Kind::TooManyClients,
            "1000 clients watch already, which is as many as there can be: try again later, or ask for counts now and then",
        ),
        ("503", _) => (Kind::Busy, "not taken in: 1000 requests wait already; send it again unchanged after 1 s"),
        _ => return None,
    };
    Some(Problem::new(kind, detail))
}
