//! Each route does what it says.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{NOW, Server};

pub(crate) fn report() -> String {
    let crossing = |at: &str, direction: i64, seq: u64| json!({"at": at, "direction": direction, "seq": seq});
    let crossings = [
        crossing("2024-02-29T20:00:00.000Z", 1, 1),
        crossing("2024-03-01T11:00:00.000Z", 1, 2),
        crossing("2024-03-01T11:30:00.000Z", 1, 3),
        crossing("2024-03-01T11:59:00.000Z", -1, 5),
    ];
    json!([{"dpu_id": "1", "boot": 7, "crossings": crossings, "heartbeat": {"at": "2024-03-01T11:59:30.000Z", "last_seq": 6}}]).to_string()
}

#[tokio::test]
async fn crossings_are_taken_in_once_and_counted() {
    let server = Server::campus().await;
    let first = server.post(report()).await;
    assert_eq!((first.status, first.json()), (StatusCode::OK, json!({"accepted": 4, "duplicate": 0, "quarantined": []})));
    assert_eq!(server.post(report()).await.json(), json!({"accepted": 0, "duplicate": 4, "quarantined": []}));

    let count = server.get("/v1/spaces/hall/count?at=2024-03-01T11:45:00Z").await;
    assert_eq!(count.header("cache-control"), "no-cache");
    let expected = json!({
        "space": "hall", "at": "2024-03-01T11:45:00.000Z", "count": 3, "raw": 3,
        "baseline": {"kind": "reset", "at": "2024-02-29T12:00:00.000Z", "count": 0},
        "entered": 3, "exited": 0, "heard_to": "2024-03-01T11:59:30.000Z", "settled": true,
        "silent": [], "uncovered": ["side"], "capacity": 400
    });
    assert_eq!(count.json(), expected);
    let now = server.get("/v1/spaces/campus/count").await.json();
    assert_eq!((&now["at"], &now["count"], &now["baseline"]["at"]), (&json!(NOW), &json!(0), &json!(NOW)), "04:00 in Los Angeles");

    let counts = server.get("/v1/counts?space=hall&space=campus&at=2024-03-01T11:59:00Z").await.json();
    assert_eq!((&counts["counts"][0]["raw"], &counts["counts"][1]["raw"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn a_count_is_explained_from_its_baseline_on_and_adds_up() {
    let server = Server::campus().await;
    server.post(report()).await;
    let at = "at=2024-03-01T11:45:00Z";
    let told = server.get(&format!("/v1/spaces/hall/explain?{at}")).await.json();
    assert_eq!(told["count"], server.get(&format!("/v1/spaces/hall/count?{at}")).await.json());
    assert_eq!(told["correction"], json!(null));
    let (reset, end) = ("2024-02-29T12:00:00.000Z", "2024-03-01T11:45:00.001Z");
    let installation = json!({
        "dpu": "1", "sign": 1, "from": reset, "to": end, "entered": 3, "exited": 0, "missing": [{"boot": 7, "missing": 0}],
        "heard": "2024-03-01T11:59:30.000Z", "silent": false
    });
    let door = |id: &str, between: [&str; 2], installations: Value, uncovered: Value| json!({"id": id, "name": null, "between": between, "inside": "hall", "installations": installations, "uncovered": uncovered});
    let doorways = [
        door("front", ["outside", "hall"], json!([installation]), json!([])),
        door("side", ["campus", "hall"], json!([]), json!([{"from": reset, "to": end}])),
    ];
    assert_eq!(told["doorways"], json!(doorways));
    let later = server.get("/v1/spaces/hall/explain?at=2024-03-01T11:59:30Z").await.json();
    let part = &later["doorways"][0]["installations"][0];
    assert_eq!((&part["exited"], &part["missing"]), (&json!(1), &json!([{"boot": 7, "missing": 2}])), "4, and 6 by the heartbeat");
}

#[tokio::test]
async fn a_bad_crossing_never_fails_its_batch_and_is_kept_to_look_at() {
    let server = Server::campus().await;
    let crossings = json!([
        {"at": "2024-03-01T11:00:00Z", "direction": 1},
        {"at": "1999-03-01T11:00:00Z", "direction": 1},
        {"at": "2024-03-01T11:00:01Z", "direction": 3}
    ]);
    let answer = server.post(json!({"dpu_id": "1", "crossings": crossings}).to_string()).await.json();
    assert_eq!((&answer["accepted"], &answer["quarantined"][0]["crossing"]), (&json!(1), &json!(1)), "{answer}");
    let all = server.get("/v1/quarantine").await.json();
    assert_eq!(all["quarantined"].as_array().unwrap().len(), 2, "{all}");
    let some = server.get("/v1/quarantine?reason=clock_unset").await.json();
    let row = &some["quarantined"][0];
    assert_eq!((&row["topic"], &row["dpu_id"], &row["encoding"], &row["index"]), (&json!("http"), &json!("1"), &json!("text"), &json!(1)));
    assert!(row["payload"].as_str().unwrap().contains("1999-03-01"));
    assert_eq!((some["quarantined"].as_array().unwrap().len(), &some["next"]), (1, &json!(null)));

    let page = server.get("/v1/quarantine?limit=1").await.json();
    let cursor = page["next"].as_str().unwrap();
    let rest = server.get(&format!("/v1/quarantine?limit=1&cursor={cursor}")).await.json();
    assert_eq!((&rest["quarantined"][0], &rest["next"]), (&all["quarantined"][1], &json!(null)));
}

#[tokio::test]
async fn the_event_log_comes_in_pages_as_json_and_csv() {
    let server = Server::campus().await;
    server.post(report()).await;
    let path = "/v1/spaces/hall/crossings?from=2024-03-01T00:00:00Z&limit=2";
    let page = server.get(path).await.json();
    let first = json!({"at": "2024-03-01T11:00:00.000Z", "event": "entered", "doorway": "front", "dpu_id": "1", "direction": 1, "boot": 7, "seq": 2});
    assert_eq!((&page["crossings"][0], page["crossings"].as_array().unwrap().len()), (&first, 2));
    let rest = server.get(&format!("{path}&cursor={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((&rest["crossings"][0]["event"], &rest["next"]), (&json!("exited"), &json!(null)));

    for (accept, kind) in [("text/html, TEXT/CSV;q=0.9", "text/csv; charset=utf-8"), ("application/json, text/csv;q=0", "application/json")]
    {
        assert_eq!(server.get_with(path, ("accept", accept)).await.header("content-type"), kind, "{accept}");
    }
    let csv = server.get_with(path, ("accept", "text/csv")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.text().lines().nth(1), Some("2024-03-01T11:00:00.000Z,entered,front,1,1,7,2"));
    let next = csv.header("link").trim_start_matches('<').split('>').next().unwrap();
    let rest = server.get_with(next, ("accept", "text/csv")).await;
    assert_eq!(rest.text(), "at,event,doorway,dpu_id,direction,boot,seq\n2024-03-01T11:59:00.000Z,exited,front,1,-1,7,5\n");
}

#[tokio::test]
async fn spaces_are_listed_and_shown_with_their_doorways() {
    let server = Server::campus().await;
    let hall = server.get("/v1/spaces/hall").await.json();
    assert_eq!((&hall["root"], &hall["time_zone"], &hall["capacity"]), (&json!("campus"), &json!("America/Los_Angeles"), &json!(400)));
    assert_eq!(hall["doorways"][0], json!({"id": "front", "name": null, "between": ["outside", "hall"], "dpus": ["1"]}));
    let page = server.get("/v1/spaces?limit=1").await.json();
    assert_eq!((&page["spaces"][0]["id"], &page["spaces"][0]["children"]), (&json!("campus"), &json!(["hall"])));
    let rest = server.get(&format!("/v1/spaces?cursor={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((&rest["spaces"][0]["id"], &rest["next"]), (&json!("hall"), &json!(null)));
}

#[tokio::test]
async fn dpus_are_listed_and_shown_with_what_is_missing() {
    let server = Server::campus().await;
    server.post(report()).await;
    server.post(r#"{"dpu_id": "2", "crossings": [{"at": "2024-03-01T11:00:00Z", "direction": 1}]}"#).await;
    let dpu = server.get("/v1/dpus/1").await.json();
    assert_eq!(
        (&dpu["state"], &dpu["missing"], &dpu["plus"], &dpu["minus"]),
        (&json!("healthy"), &json!(2), &json!(3), &json!(1)),
        "{dpu}"
    );
    let unplaced = server.get("/v1/dpus?placed=false").await.json();
    assert_eq!((&unplaced["dpus"][0]["id"], &unplaced["dpus"][0]["state"]), (&json!("2"), &json!("unplaced")));
    let page = server.get("/v1/dpus?limit=1").await.json();
    let rest = server.get(&format!("/v1/dpus?limit=1&cursor={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((&page["dpus"][0]["id"], &rest["dpus"][0]["id"], &rest["next"]), (&json!("1"), &json!("2"), &json!(null)));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let server = Server::campus().await;
    let path = "/v1/spaces/hall/count?at=2024-03-01T11:00:00Z";
    let tag = server.get(path).await.header("etag").to_owned();
    let again = server.get_with(path, ("if-none-match", &tag)).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, tag.as_str()));
    server.post(report()).await;
    assert_eq!(server.get_with(path, ("if-none-match", &tag)).await.status, StatusCode::OK, "the past has changed");
}

#[tokio::test]
async fn answers_are_compressed_where_the_reader_can() {
    let server = Server::campus().await;
    for encoding in ["gzip", "br"] {
        assert_eq!(server.get_with("/openapi.json", ("accept-encoding", encoding)).await.header("content-encoding"), encoding);
    }
}

#[tokio::test]
async fn status_health_and_metrics_tell_how_things_stand() {
    let server = Server::campus().await;
    server.post(report()).await;
    let status = server.get("/v1/status").await.json();
    assert_eq!((&status["version"], &status["uptime_s"], &status["revision"]), (&json!("1.2.3"), &json!(3600), &json!(1)));
    assert_eq!(status["dpus"], json!({"healthy": 1, "silent": 0, "unmonitored": 0, "unplaced": 0}));
    assert_eq!(status["intake"], json!({"not_ready": null, "queued": 0, "lag": null}));
    assert_eq!(server.get("/healthz").await.json(), json!({"ok": true}));
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    assert_eq!(server.get("/nowhere").await.status, StatusCode::NOT_FOUND);

    let metrics = api::metrics_app(server.registry.clone());
    let page = metrics.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    let page = String::from_utf8(axum::body::to_bytes(page.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
    assert!(page.contains(r#"headcount_http_requests_total{method="GET",route="/v1/status",status="200"} 1"#), "{page}");
    assert!(page.contains(r#"route="none",status="404"} 1"#), "{page}");
}

#[tokio::test]
async fn the_documentation_page_is_there() {
    let server = Server::new().await;
    assert_eq!(server.get("/docs").await.header("location"), "/docs/");
    assert!(server.get("/docs/").await.text().contains("swagger-ui"));
}
