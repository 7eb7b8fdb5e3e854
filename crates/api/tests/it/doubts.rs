//! What makes one doubt a count is told: clocks, counts that do not go together.

use serde_json::json;

use crate::routes::report;
use crate::support::Server;

#[tokio::test]
async fn a_dpu_is_told_with_its_doorway_and_how_its_clock_goes() {
    let server = Server::campus().await;
    server.post(report()).await;
    let dpu = server.get("/v1/dpus/1").await.json();
    let offset = json!({"crossings": 4, "least_ms": 60_000, "median_ms": 3_600_000, "worst_ms": 57_600_000});
    assert_eq!((&dpu["doorway"], &dpu["clock_offset"]), (&json!("front"), &offset));

    server.post(r#"{"dpu_id": "2", "crossings": [{"at": "2024-03-01T12:04:00Z", "direction": 1}]}"#).await;
    let ahead = server.get("/v1/dpus/2").await.json();
    let offset = json!({"crossings": 1, "least_ms": -240_000, "median_ms": -240_000, "worst_ms": -240_000});
    assert_eq!((&ahead["doorway"], &ahead["clock_offset"]), (&json!(null), &offset));
    server.post(r#"{"dpu_id": "3", "heartbeat": {"at": "2024-03-01T11:59:00Z"}}"#).await;
    assert_eq!(server.get("/v1/dpus/3").await.json()["clock_offset"], json!(null), "no crossing, no offset");
}

#[tokio::test]
async fn the_rest_of_a_space_is_told_where_nobody_passed_unseen() {
    let server = Server::campus().await;
    server.post(report()).await;
    let explain = "/v1/spaces/campus/explain?at=2024-03-01T11:45:00Z";
    let told = server.get(explain).await.json();
    let rest = &told["conservation"];
    assert_eq!((&rest["remainder"], &rest["start"], &rest["uncovered"]), (&json!(null), &json!(null), &json!(["side"])));
    assert_eq!(server.get("/v1/spaces/hall/explain").await.json()["conservation"], json!(null), "it has no children");

    let read = server.get("/v1/dpus/2/installations").await;
    let hung = json!({"installations": [{"doorway": "side", "enters": "hall", "from": "2024-01-01T00:00:00Z"}]});
    server.put("/v1/dpus/2/installations", &hung, ("if-match", read.header("etag"))).await;
    let crossing = |direction: i64| json!({"at": "2024-03-01T11:40:00Z", "direction": direction, "seq": 7 + direction});
    server.post(json!({"dpu_id": "2", "boot": 1, "crossings": [crossing(1), crossing(-1)]}).to_string()).await;
    server.post(r#"{"dpu_id": "2", "boot": 1, "crossings": [{"at": "2024-03-01T11:41:00Z", "direction": 1, "seq": 9}]}"#).await;
    let baseline = json!({"kind": "reset", "at": "2024-02-29T12:00:00.000Z", "count": 0});
    let expected = json!({
        "remainder": -1, "contradicts": true, "since": "2024-02-29T12:00:00.000Z", "start": 0, "entered": 1, "exited": 2,
        "has_doorways": true, "uncovered": [], "children": [{"space": "hall", "raw": 4, "baseline": baseline}]
    });
    assert_eq!(server.get(explain).await.json()["conservation"], expected, "somebody came from where nobody was");
}
