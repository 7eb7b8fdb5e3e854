//! Corrections over HTTP: made, listed, taken back; bad ones refused by name.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, NOW, Server};

const PATH: &str = "/v1/corrections";

async fn post(server: &Server, query: &str, body: &Value, key: Option<&str>) -> Answer {
    let mut request = Request::post(format!("{PATH}{query}")).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    server.call(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn delete(server: &Server, path: &str) -> Answer {
    server.call(Request::delete(format!("{PATH}{path}")).body(Body::empty()).unwrap()).await
}

fn round() -> Value {
    let list = json!([{"space": "hall", "count": 12}, {"space": "campus", "at": "2024-03-01T13:00:00+02:00", "count": 40}]);
    json!({"corrections": list, "reason": "closing round", "by": "ann"})
}

async fn raw(server: &Server, space: &str) -> Value {
    server.get(&format!("/v1/spaces/{space}/count?at=2024-03-01T12:00:01Z")).await.json()["raw"].clone()
}

#[tokio::test]
async fn several_spaces_are_corrected_at_once_and_listed_with_who_and_why() {
    let server = Server::campus().await;
    let made = post(&server, "", &round(), None).await;
    let told = |id: &str, space: &str, at: &str, count: u32| json!({"id": id, "space": space, "at": at, "count": count, "made_at": NOW, "by": "ann", "reason": "closing round", "retracted": null});
    let (hall, campus) = (told("c1-1", "hall", NOW, 12), told("c1-2", "campus", "2024-03-01T11:00:00.000Z", 40));
    assert_eq!((made.status.as_u16(), made.json()), (201, json!({"corrections": [hall, campus]})));
    assert_eq!(raw(&server, "hall").await, json!(12));
    let count = server.get("/v1/spaces/campus/count?at=2024-03-01T11:59:59Z").await.json();
    assert_eq!((&count["raw"], &count["baseline"]["kind"]), (&json!(40), &json!("correction")));

    let first = server.get(&format!("{PATH}?limit=1")).await.json();
    assert_eq!(first["corrections"], json!([campus]), "the last made first");
    let rest = server.get(&format!("{PATH}?limit=1&cursor={}", first["next"].as_str().unwrap())).await.json();
    assert_eq!(rest, json!({"corrections": [hall], "next": null}));
    assert_eq!(server.get(&format!("{PATH}?space=hall")).await.json(), json!({"corrections": [hall], "next": null}));
}

#[tokio::test]
async fn a_request_with_a_key_is_answered_again_as_it_was_and_made_once() {
    let server = Server::campus().await;
    let first = post(&server, "", &round(), Some("round 7, a")).await;
    let again = post(&server, "", &round(), Some("round 7, a")).await;
    assert_eq!((first.status.as_u16(), &first.body), (201, &again.body));
    assert_eq!(again.status.as_u16(), 201);
    assert!(first.json()["corrections"][0]["id"].as_str().unwrap().starts_with('k'), "{}", first.text());
    let mut other = round();
    other["corrections"][0]["count"] = json!(13);
    let refused = post(&server, "", &other, Some("round 7, a")).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "idempotency-key-reused"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("choose a new key"), "{}", refused.text());
    assert_eq!(post(&server, "", &other, Some("round 8")).await.status.as_u16(), 201);
    assert_eq!(server.get("/v1/status").await.json()["revision"], json!(3));
}

#[tokio::test]
async fn a_correction_is_retracted_kept_and_listed_as_such() {
    let server = Server::campus().await;
    post(&server, "", &round(), None).await;
    let dry = delete(&server, "/c1-1?reason=miscounted&dry_run=true").await.json();
    let now = |raw: i64| json!({"count": raw, "raw": raw});
    assert_eq!(dry, json!({"counts": [{"space": "hall", "from": NOW, "before": now(12), "after": now(0)}]}));
    assert_eq!(raw(&server, "hall").await, json!(12));
    let gone = delete(&server, "/c1-1?reason=miscounted&by=b%C3%B6").await;
    assert_eq!(gone.status.as_u16(), 200);
    assert_eq!(gone.json()["retracted"], json!({"at": NOW, "by": "bö", "reason": "miscounted"}));
    assert_eq!(raw(&server, "hall").await, json!(0));
    assert_eq!(delete(&server, "/c1-1?reason=miscounted&by=b%C3%B6").await.body, gone.body, "the same again");
    assert_eq!(server.get(&format!("{PATH}?space=hall")).await.json()["corrections"][0], gone.json());
}

#[tokio::test]
async fn a_dry_run_tells_from_when_and_what_becomes_of_the_count() {
    let server = Server::campus().await;
    server.post(r#"{"dpu_id": "1", "crossings": [{"at": "2024-03-01T11:30:00Z", "direction": -1}]}"#).await;
    let body = json!({"corrections": [{"space": "hall", "at": "2024-03-01T11:00:00Z", "count": 5}]});
    let told = post(&server, "?dry_run=true", &body, Some("k")).await;
    // 04:00 in Los Angeles has just come.
    let expected = json!({"counts": [{
        "space": "hall", "from": "2024-03-01T11:00:00.000Z", "before": {"count": 0, "raw": 0}, "after": {"count": 0, "raw": 0}
    }]});
    assert_eq!((told.status.as_u16(), told.json()), (200, expected));
    assert_eq!(server.get(PATH).await.json()["corrections"], json!([]));
    let at_reset = json!({"corrections": [{"space": "hall", "at": NOW, "count": 5}]});
    let told = post(&server, "?dry_run=true", &at_reset, None).await.json();
    assert_eq!(told["counts"][0]["after"], json!({"count": 5, "raw": 5}));
}

#[tokio::test]
async fn corrections_that_cannot_be_made_are_refused_and_named() {
    let server = Server::campus().await;
    let one = |space: &str, count: Value| json!({"space": space, "count": count});
    let list = |list: Value| json!({ "corrections": list });
    let many = vec![one("hall", json!(1)); 1001];
    let mut long = list(json!([one("hall", json!(1))]));
    long["reason"] = json!("x".repeat(1001));
    for (body, status, problem, names) in [
        (json!([]), 400, "bad-body", "an object with named fields"),
        (json!({}), 400, "bad-body", "corrections"),
        (list(json!({})), 400, "bad-body", "sequence"),
        (list(json!([])), 422, "invalid-correction", "1 to 1000"),
        (list(json!(many)), 422, "invalid-correction", "not 1001"),
        (list(json!([{"space": "hall"}])), 400, "bad-body", "count"),
        (list(json!([one("hall", json!(-1))])), 400, "bad-body", "-1"),
        (list(json!([one("hall", json!(1.5))])), 400, "bad-body", "1.5"),
        (list(json!([one("hall", json!(4_294_967_296_u64))])), 400, "bad-body", "4294967296"),
        (list(json!([one("a b", json!(1))])), 400, "bad-id", "' '"),
        (list(json!([one("outside", json!(1))])), 400, "bad-id", "reserved"),
        (list(json!([one("hall", json!(1)), one("nowhere", json!(1))])), 404, "unknown-space", "nowhere"),
        (list(json!([one("hall", json!(1)), one("hall", json!(2))])), 422, "invalid-correction", "twice"),
        (list(json!([{"space": "hall", "at": "soon", "count": 1}])), 400, "bad-body", "soon"),
        (list(json!([{"space": "hall", "at": "2024-03-01T12:05:00.001Z", "count": 1}])), 422, "future-instant", "hall"),
        (list(json!([{"space": "hall", "who": "me", "count": 1}])), 400, "bad-body", "who"),
        (json!({"corrections": [one("hall", json!(1))], "by": 7}), 400, "bad-body", "7"),
        (json!({"corrections": [one("hall", json!(1))], "by": "x".repeat(201)}), 422, "invalid-correction", "`by` has at most 200"),
        (long, 422, "invalid-correction", "`reason` has at most 1000"),
    ] {
        let answer = post(&server, "", &body, None).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
    for key in ["", &"x".repeat(256)] {
        let answer = post(&server, "", &round(), Some(key)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-header"), "{}", answer.text());
    }
    let twice =
        Request::post(PATH).header("content-type", "application/json").header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(server.call(twice.body(Body::from(round().to_string())).unwrap()).await.problem(), "bad-header");
    assert_eq!(server.get("/v1/status").await.json()["revision"], json!(1), "nothing was made");
}

/// To JSON Schema 12.0 is an integer.
#[tokio::test]
async fn a_count_and_a_capacity_may_be_written_with_a_point() {
    let server = Server::campus().await;
    let body = json!({"corrections": [{"space": "hall", "count": 12.0}]});
    assert_eq!(post(&server, "", &body, None).await.json()["corrections"][0]["count"], json!(12));
    let document = json!({"space": [{"id": "annex", "capacity": 40.0}]});
    let made = server.put("/v1/topology/annex", &document, ("if-none-match", "*")).await;
    assert_eq!(made.json()["space"][0]["capacity"], json!(40));
}

#[tokio::test]
async fn what_cannot_be_retracted_or_listed_is_refused() {
    let server = Server::campus().await;
    post(&server, "", &round(), None).await;
    assert_eq!(delete(&server, "/c1-2?reason=gone").await.status.as_u16(), 200);
    let long = format!("/c1-1?reason={}", "x".repeat(1001));
    for (path, status, problem) in [
        ("/c1-1", 400, "bad-query"),
        ("/c1-1?reason=a&why=b", 400, "bad-query"),
        ("/c1-1?reason=a&dry_run=perhaps", 400, "bad-query"),
        (&long, 422, "invalid-correction"),
        ("/c9-1?reason=a", 404, "not-found"),
        ("/a%20b?reason=a", 400, "bad-id"),
        ("/c1-2?reason=other", 409, "conflict"),
        ("/c1-2?reason=gone&dry_run=true", 409, "conflict"),
    ] {
        let answer = delete(&server, path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{path}: {}", answer.text());
    }
    for (query, status, problem) in [
        ("?space=nowhere", 404, "unknown-space"),
        ("?space=a%20b", 400, "bad-id"),
        ("?limit=0", 400, "bad-query"),
        ("?limit=1001", 400, "bad-query"),
        ("?cursor=hello", 400, "bad-query"),
        ("?from=2024-01-01T00:00:00Z", 400, "bad-query"),
    ] {
        let answer = server.get(&format!("{PATH}{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{query}: {}", answer.text());
    }
}
