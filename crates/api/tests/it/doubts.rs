//! What makes one doubt a count is told: clocks, counts that do not go together, DPUs the wrong way round.

use serde_json::{Value, json};

use crate::routes::report;
use crate::support::{Server, campus};

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

    // Now, at noon, all has been reset; a minute later one comes from outside, and one from where nobody is.
    let later = "2024-03-01T12:01:00.000Z";
    for dpu in ["1", "2"] {
        server.post(json!({"dpu_id": dpu, "boot": 8, "crossings": [{"at": later, "direction": 1, "seq": 1}]}).to_string()).await;
    }
    let both_sides = json!([
        {"space": "campus", "at": later, "remainder": -1, "contradicts": true},
        {"space": "hall", "at": later, "remainder": null, "contradicts": false}
    ]);
    assert_eq!(server.get("/v1/dpus/2").await.json()["conservation"], both_sides);
    let one_side = json!([{"space": "hall", "at": later, "remainder": null, "contradicts": false}]);
    assert_eq!(server.get("/v1/dpus/1").await.json()["conservation"], one_side, "outside is no space");
    server.post(r#"{"dpu_id": "3", "heartbeat": {"at": "2024-03-01T11:59:00Z"}}"#).await;
    assert_eq!(server.get("/v1/dpus/3").await.json()["conservation"], json!([]), "it hangs nowhere");
}

/// A hall with one door, over which DPU 1 hangs the wrong way round: thirty people come and go on each of seven days.
async fn upside_down() -> Server {
    let server = Server::new().await;
    let mut document = campus();
    document["doorway"].as_array_mut().unwrap().pop();
    server.put("/v1/topology/campus", &document, ("if-none-match", "*")).await;
    let seen = |day: i64, hour: i64, direction: i64| {
        (0..30).map(move |second| json!({"at": format!("2024-02-{day}T{hour}:00:{second:02}Z"), "direction": direction}))
    };
    let crossings: Vec<Value> = (23..30).flat_map(|day| seen(day, 15, -1).chain(seen(day, 22, 1))).collect();
    let report = json!({"dpu_id": "1", "crossings": crossings, "heartbeat": {"at": "2024-03-01T12:00:00Z"}});
    assert_eq!(server.post(report.to_string()).await.json()["accepted"], json!(420));
    server
}

#[tokio::test]
async fn a_dpu_the_wrong_way_round_is_suspected_and_the_edit_told_mends_it() {
    let server = upside_down().await;
    let told = server.get("/v1/spaces/campus/suspects").await.json();
    let one = &told["suspects"][0];
    assert_eq!((&told["beyond_doubt"], &told["unjudged"], &told["suspects"][1]), (&json!(0), &json!([]), &json!(null)));
    assert_eq!((&one["dpu"], &one["doorway"], &one["enters"]), (&json!("1"), &json!("front"), &json!("hall")));
    assert_eq!((&one["crossings"], &one["days"], &one["misfit"]["flipped"]), (&json!(420), &json!(7), &json!(0.0)));
    let first = json!({
        "space": "hall", "from": "2024-02-23T12:00:00.000Z", "to": "2024-02-24T12:00:00.000Z", "begins_empty": true,
        "installed": {"net": 0, "lowest": -30}, "flipped": {"net": 0, "lowest": 0}
    });
    assert_eq!((&one["evidence"][0], one["evidence"].as_array().unwrap().len()), (&first, 7));

    let read = server.get("/v1/dpus/1/installations").await;
    let path = "/v1/dpus/1/installations";
    let dry = server.put(&format!("{path}?dry_run=true"), &one["edit"], ("if-match", read.header("etag"))).await;
    assert_eq!(dry.json()["counts"][0]["from"], json!("2024-01-01T00:00:00.000Z"), "{}", dry.text());
    let made = server.put(path, &one["edit"], ("if-match", read.header("etag"))).await;
    assert_eq!((made.status.as_u16(), &made.json()["installations"][0]["enters"]), (200, &json!("outside")));
    let after = server.get("/v1/spaces/campus/suspects").await.json();
    assert_eq!(after, json!({"suspects": [], "beyond_doubt": 1, "unjudged": [], "next": null}));
}

#[tokio::test]
async fn what_cannot_be_judged_is_listed_with_the_reason() {
    let server = Server::campus().await;
    server.post(report()).await;
    let told = server.get("/v1/spaces/hall/suspects?days=3").await.json();
    assert_eq!(told, json!({"suspects": [], "beyond_doubt": 0, "unjudged": [{"dpu": "1", "why": "no_whole_day"}], "next": null}));
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_refused_with_what_can_be() {
    let server = Server::campus().await;
    for (path, status, problem, names) in [
        ("/v1/spaces/nowhere/suspects", 404, "unknown-space", "nowhere"),
        ("/v1/spaces/a%20b/suspects", 400, "bad-id", "position 1"),
        ("/v1/spaces/hall/suspects?days=2", 400, "bad-query", "3 to 28 whole days can be looked at, not 2"),
        ("/v1/spaces/hall/suspects?days=29", 400, "bad-query", "3 to 28 whole days can be looked at, not 29"),
        ("/v1/spaces/hall/suspects?limit=1001", 400, "bad-query", "1 to 1000 entries, not 1001"),
        ("/v1/spaces/hall/suspects?cursor=x", 400, "bad-query", "cursor"),
        ("/v1/spaces/hall/suspects?days=-7", 400, "bad-query", "days"),
        ("/v1/spaces/hall/suspects?days=week", 400, "bad-query", "days"),
        ("/v1/spaces/hall/suspects?days=", 400, "bad-query", "days"),
        ("/v1/spaces/hall/suspects?days=7&days=7", 400, "bad-query", "days"),
        ("/v1/spaces/hall/suspects?at=2024-03-01T12:00:00Z", 400, "bad-query", "at"),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{path}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
}
