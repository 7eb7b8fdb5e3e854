//! What each operation refuses: by status, type and text.

use axum::body::Body;
use axum::http::Request;

use crate::support::{Answer, Server};

/// A request that is refused: its line, its body, and the status, type and a piece of the detail.
type Row<'a> = (&'a str, &'a str, u16, &'a str, &'a str);

const NO_FIELDS: &str = "invalid type: sequence, expected an object with named fields";
const NO_CURSOR: &str = "the cursor is none: take the `next` of the page before";
const NOWHERE: &str = "there is no space nowhere";
const SPACE_IN_ID: &str = "character ' ' at position 1 is not allowed";
const AHEAD: &str = "is in the future: a count can be asked for up to 2024-03-01T12:05:00.000Z";
const NO_TIME: &str = "is not an RFC 3339 time";

const READS: &[Row<'_>] = &[
    ("GET /v1/nothing", "", 404, "not-found", "there is nothing at /v1/nothing"),
    ("GET /", "", 404, "not-found", "there is nothing at /"),
    ("GET /v1/spaces?limit=1001", "", 400, "bad-query", "a page holds 1 to 1000 entries, not 1001"),
    ("GET /v1/spaces?cursor=hello", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/spaces/nowhere", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/spaces/outside", "", 400, "bad-id", "`outside` is reserved"),
    ("GET /v1/spaces/-a", "", 400, "bad-id", "character '-' at position 0 is not allowed"),
    ("GET /v1/spaces/%ff", "", 400, "bad-id", "UTF-8"),
    ("GET /v1/spaces/%00", "", 400, "bad-id", "character '\\0' at position 0"),
    ("GET /v1/spaces/nowhere/count", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/spaces/a%20b/count", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/spaces/hall/count?at=2024-03-01T12:05:00.001Z", "", 422, "future-instant", AHEAD),
    ("GET /v1/spaces/hall/count?at=9999-12-31T23:59:59.999Z", "", 422, "future-instant", AHEAD),
    ("GET /v1/spaces/hall/count?at=99999-01-01T00:00:00Z", "", 400, "bad-query", NO_TIME),
    ("GET /v1/spaces/hall/count?at=yesterday", "", 400, "bad-query", "\"yesterday\" is not an RFC 3339 time"),
    ("GET /v1/spaces/hall/count?at=", "", 400, "bad-query", NO_TIME),
    ("GET /v1/spaces/hall/count?at=1709294400", "", 400, "bad-query", NO_TIME),
    ("GET /v1/spaces/hall/count?at=2024-03-01T12:00:00+01:00", "", 400, "bad-query", "a + in a time is written %2B"),
    ("GET /v1/spaces/hall/count?when=now", "", 400, "bad-query", "unknown field `when`, expected `at`"),
    ("GET /v1/spaces/hall/count?at=2024-03-01T12:00:00Z&at=2024-03-01T12:00:00Z", "", 400, "bad-query", "duplicate field `at`"),
    ("GET /v1/spaces/nowhere/explain", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/spaces/a%20b/explain", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/spaces/hall/explain?at=2024-03-01T12:05:00.001Z", "", 422, "future-instant", AHEAD),
    ("GET /v1/spaces/hall/explain?at=soon", "", 400, "bad-query", "\"soon\" is not an RFC 3339 time"),
    ("GET /v1/spaces/hall/explain?from=2024-03-01T12:00:00Z", "", 400, "bad-query", "unknown field `from`, expected `at`"),
    ("GET /v1/spaces/nowhere/suspects", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/spaces/a%20b/suspects", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/spaces/hall/suspects?days=2", "", 400, "bad-query", "3 to 28 whole days can be looked at, not 2"),
    ("GET /v1/spaces/hall/suspects?limit=1001", "", 400, "bad-query", "a page holds 1 to 1000 entries, not 1001"),
    ("GET /v1/spaces/hall/suspects?cursor=x", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/counts", "", 400, "bad-query", "1 to 1000 spaces can be asked for at once, not 0"),
    ("GET /v1/counts?spaces=hall", "", 400, "bad-query", "there is no parameter \"spaces\": expected `space` and `at`"),
    ("GET /v1/counts?space=a%20b", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/counts?space=hall&at=never", "", 400, "bad-query", "at: \"never\" is not an RFC 3339 time"),
    ("GET /v1/counts?space=hall&at=2024-03-01T12:00:00Z&at=2024-03-01T12:00:00Z", "", 400, "bad-query", "`at` stands twice"),
    ("GET /v1/counts?space=hall&space=nowhere", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/counts?space=hall&at=2024-03-01T12:05:00.001Z", "", 422, "future-instant", AHEAD),
    ("GET /v1/live", "", 400, "bad-query", "1 to 100 spaces can be asked for at once, not 0"),
    ("GET /v1/live?space=a%20b", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/live?space=nowhere", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/live?spaces=hall", "", 400, "bad-query", "there is no parameter \"spaces\": expected `space`"),
    ("GET /v1/spaces/nowhere/crossings", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/spaces/a%20b/crossings", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/spaces/hall/crossings?from=2024-03-01T00:00:00Z&to=2024-03-01T00:00:00Z", "", 400, "bad-query", "is empty: `to` is excluded"),
    ("GET /v1/spaces/hall/crossings?limit=0", "", 400, "bad-query", "a page holds 1 to 10000 entries, not 0"),
    ("GET /v1/spaces/hall/crossings?limit=10001", "", 400, "bad-query", "a page holds 1 to 10000 entries, not 10001"),
    ("GET /v1/spaces/hall/crossings?limit=-1", "", 400, "bad-query", "limit: invalid digit found in string"),
    ("GET /v1/spaces/hall/crossings?cursor=hello", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/spaces/nowhere/history", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/spaces/a%20b/history", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/spaces/hall/history?from=2024-03-01T12:00:00.001Z", "", 422, "future-instant", "is in the future"),
    ("GET /v1/spaces/hall/history?limit=-1", "", 400, "bad-query", "limit: \"-1\" is no number of buckets"),
    ("GET /v1/spaces/hall/history?cursor=hello", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/spaces/hall/history?cursor=aGlzdG9yeS8xLzA", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/history?space=hall&space=nowhere", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/history?space=a%20b", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/topology/nowhere", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/topology/hall", "", 404, "unknown-space", "space hall is no root: it stands under campus"),
    ("GET /v1/topology/a%20b", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/dpus?cursor=%ff", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/dpus?placed=maybe", "", 400, "bad-query", "provided string was not `true` or `false`"),
    ("GET /v1/dpus?limit=99999999999999999999", "", 400, "bad-query", "number too large"),
    ("GET /v1/dpus/nobody", "", 404, "unknown-dpu", "there is no DPU nobody: it has neither been heard nor hung anywhere"),
    ("GET /v1/dpus/%E2%82%AC", "", 400, "bad-id", "character '€' at position 0"),
    ("GET /v1/dpus/a%20b/installations", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/corrections?space=nowhere", "", 404, "unknown-space", NOWHERE),
    ("GET /v1/corrections?space=a%20b", "", 400, "bad-id", SPACE_IN_ID),
    ("GET /v1/corrections?limit=0", "", 400, "bad-query", "a page holds 1 to 1000 entries, not 0"),
    ("GET /v1/corrections?cursor=hello", "", 400, "bad-query", NO_CURSOR),
    ("GET /v1/corrections?by=ann", "", 400, "bad-query", "unknown field `by`, expected one of `space`, `cursor`, `limit`"),
    ("GET /v1/quarantine?reason=bad_luck", "", 400, "bad-query", "there is no reason \"bad_luck\": expected one of undecodable, "),
    ("GET /v1/quarantine?limit=1001", "", 400, "bad-query", "a page holds 1 to 1000 entries, not 1001"),
    ("GET /v1/quarantine?cursor=hello", "", 400, "bad-query", NO_CURSOR),
];

const EDITS: &[Row<'_>] = &[
    ("PUT /v1/topology/a%20b", "{}", 400, "bad-id", SPACE_IN_ID),
    ("PUT /v1/topology/campus?dry=true", "{}", 400, "bad-query", "unknown field `dry`, expected `dry_run` or `allow_removal`"),
    ("PUT /v1/topology/campus", "{", 400, "bad-body", "EOF while parsing an object at line 1 column 1"),
    ("PUT /v1/topology/campus", "[]", 400, "bad-body", NO_FIELDS),
    ("PUT /v1/topology/campus", r#"{"space":[["campus"]]}"#, 400, "bad-body", NO_FIELDS),
    ("PUT /v1/topology/campus", r#"{"reset":[["hall","04:00"]]}"#, 400, "bad-body", NO_FIELDS),
    ("PUT /v1/topology/campus", r#"{"doorway":[["front",null,["outside","hall"]]]}"#, 400, "bad-body", NO_FIELDS),
    ("PUT /v1/topology/campus", r#"{"installation":[["1","front","hall"]]}"#, 400, "bad-body", NO_FIELDS),
    ("PUT /v1/topology/campus", "{}", 412, "precondition-failed", "the topology of campus is not (or no longer) the one named: read it"),
    ("PUT /v1/dpus/a%20b/installations", r#"{"installations":[]}"#, 400, "bad-id", SPACE_IN_ID),
    ("PUT /v1/dpus/1/installations?dry=true", r#"{"installations":[]}"#, 400, "bad-query", "unknown field `dry`, expected `dry_run`"),
    ("PUT /v1/dpus/1/installations", "{}", 400, "bad-body", "missing field `installations`"),
    ("PUT /v1/dpus/1/installations", "[[]]", 400, "bad-body", NO_FIELDS),
    ("PUT /v1/dpus/1/installations", r#"{"installations":[["1","front","hall"]]}"#, 400, "bad-body", NO_FIELDS),
    ("PUT /v1/dpus/1/installations", r#"{"installations":[]}"#, 412, "precondition-failed", "the installations of DPU 1 are not"),
    ("POST /v1/corrections?dry=true", "{}", 400, "bad-query", "unknown field `dry`, expected `dry_run`"),
    ("POST /v1/corrections", "{}", 400, "bad-body", "missing field `corrections`"),
    ("POST /v1/corrections", r#"[[["hall",null,12]]]"#, 400, "bad-body", NO_FIELDS),
    ("POST /v1/corrections", r#"{"corrections":[["hall",null,12]]}"#, 400, "bad-body", NO_FIELDS),
    ("POST /v1/corrections", r#"{"corrections":[{"space":"a b","count":12}]}"#, 400, "bad-id", SPACE_IN_ID),
    ("POST /v1/corrections", r#"{"corrections":[{"space":"nowhere","count":12}]}"#, 404, "unknown-space", NOWHERE),
    ("POST /v1/corrections", r#"{"corrections":[]}"#, 422, "invalid-correction", "1 to 1000 corrections can be made at once, not 0"),
    ("DELETE /v1/corrections/a%20b?reason=x", "", 400, "bad-id", SPACE_IN_ID),
    ("DELETE /v1/corrections/c9-9", "", 400, "bad-query", "missing field `reason`"),
    ("DELETE /v1/corrections/c9-9?reason=x", "", 404, "not-found", "there is no correction c9-9"),
    ("POST /v1/crossings", "{", 400, "bad-body", "the body is no JSON: EOF while parsing an object"),
    ("POST /v1/crossings", "12", 400, "bad-body", "it begins with neither { nor ["),
    ("POST /v1/quarantine/replay", "{", 400, "bad-body", "EOF while parsing an object"),
    ("POST /v1/quarantine/replay", r#"[["http/0/1"]]"#, 400, "bad-body", NO_FIELDS),
    ("POST /v1/quarantine/replay", r#"{"rows":["http/0/1"]}"#, 404, "not-quarantined", "there is nothing in quarantine from http/0/1"),
];

async fn call(server: &Server, line: &str, body: &str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json").header("if-match", "\"seen\"");
    server.call(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn what_is_not_there_or_not_possible_is_refused_and_named() {
    let server = Server::campus().await;
    let long = format!("GET /v1/spaces/{}", "x".repeat(65));
    let many = format!("GET /v1/counts?{}", "space=hall&".repeat(1001));
    let watched = format!("GET /v1/live?{}", (0..101).map(|n| format!("space=s{n}&")).collect::<String>());
    let large: [Row<'_>; 3] = [
        (&long, "", 400, "bad-id", "an id has at most 64 characters, this one has 65"),
        (&many, "", 400, "bad-query", "1 to 1000 spaces can be asked for at once, not 1001"),
        (&watched, "", 400, "bad-query", "1 to 100 spaces can be asked for at once, not 101"),
    ];
    for (line, body, status, problem, names) in READS.iter().chain(EDITS).chain(&large) {
        let answer = call(&server, line, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (*status, *problem), "{line} {body}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{line} {body}: {names}: {}", answer.text());
    }
    assert_eq!(server.get("/v1/spaces/hall/count?at=0001-01-01T00:00:00Z").await.status, 200, "long ago is no mistake");
}

/// Whether a request is one of an operation.
fn is_of(line: &str, method: &str, path: &str) -> bool {
    let Some((named, target)) = line.split_once(' ') else { return false };
    let target = target.split('?').next().unwrap();
    let alike = |(part, of): (&str, &str)| part == of || of.starts_with('{');
    named == method && target.split('/').count() == path.split('/').count() && target.split('/').zip(path.split('/')).all(alike)
}

#[test]
fn every_operation_that_takes_anything_is_in_the_table() {
    let description = serde_json::to_value(api::openapi()).unwrap();
    let mut found = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let takes = !operation["parameters"].is_null() || !operation["requestBody"].is_null();
            let refused = READS.iter().chain(EDITS).any(|(line, ..)| is_of(line, &method, path));
            assert!(refused || !takes, "no row of the table asks {method} {path}");
            found += usize::from(refused);
        }
    }
    assert_eq!(found, 22, "all but the status and the probes");
}
