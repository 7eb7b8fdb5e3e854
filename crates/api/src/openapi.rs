//! The description of all routes, made from the code.

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, OpenApi as Description, Ref, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;

use crate::problem::{MEDIA_TYPE, ProblemBody};
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
    components(schemas(ProblemBody))
)]
struct Headcount;

/// All described routes.
pub(crate) fn routes() -> OpenApiRouter<App> {
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
    for item in description.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            describe_problems(operation);
        }
    }
    description
}

/// Every error is a problem, whichever it is.
fn describe_problems(operation: &mut Operation) {
    let problem = || RefOr::T(Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem")))));
    let responses = &mut operation.responses.responses;
    let any = || RefOr::T(Response::new("Any other error"));
    responses.entry("default".to_owned()).or_insert_with(any);
    for (status, response) in responses.iter_mut() {
        let error = status == "default" || status.starts_with('4') || status.starts_with('5');
        if let (true, RefOr::T(response)) = (error, response) {
            response.content.insert(MEDIA_TYPE.to_owned(), problem());
        }
    }
}
