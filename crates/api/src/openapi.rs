//! The description of all routes, made from the code.

use std::sync::Arc;

use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Content, Header, ObjectBuilder, OpenApi as Description, Ref, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;

use crate::problem::{MEDIA_TYPE, ProblemBody};
use crate::{
    App, corrections, count, crossings, dpus, events, examples, explain, health, history, installations, live, quarantine, spaces, status,
    suspects, topology,
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

/// Every error is a problem, whichever it is; each status that is named has one as an example. Named are, beside those that
/// the operation names, all that come of what it takes and of how every request is met.
fn describe_problems(path: &str, operation: &mut Operation) {
    let takes =
        |place: &ParameterIn| operation.parameters.iter().flatten().any(|one| matches!(one, RefOr::T(one) if one.parameter_in == *place));
    let (id, query, body) = (takes(&ParameterIn::Path), takes(&ParameterIn::Query), operation.request_body.is_some());
    let unreadable = match (id, query) {
        (true, true) => "The id or a parameter cannot be read",
        (true, false) => "The id cannot be read",
        (false, _) => "A parameter cannot be read",
    };
    let known = [
        ("400", id || query, unreadable),
        ("413", body, "The body is too large: send several smaller requests"),
        ("415", body, "The header Content-Type is not application/json"),
        ("429", true, "Asked too often: try again after Retry-After seconds, where the server limits that"),
        // Whether it is alive is asked of nothing that may be out of order.
        ("503", path != "/healthz", "No answer just now: try again after Retry-After seconds"),
        ("default", true, "Any other error"),
    ];
    let responses = &mut operation.responses.responses;
    for (status, _, description) in known.into_iter().filter(|(_, answered, _)| *answered) {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::new(description)));
    }
    for (status, response) in responses.iter_mut() {
        let error = status == "default" || status.starts_with('4') || status.starts_with('5');
        if let (true, RefOr::T(response)) = (error, response) {
            let mut content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
            content.example = examples::problem(path, status, body).and_then(|problem| serde_json::to_value(problem.body()).ok());
            response.content.insert(MEDIA_TYPE.to_owned(), content.into());
            if ["429", "503"].contains(&status.as_str()) {
                response.headers.insert("Retry-After".to_owned(), RefOr::T(retry_after()));
            }
        }
    }
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    HeaderBuilder::new().description(Some("After how many seconds to try again")).schema(Some(seconds)).build()
}
