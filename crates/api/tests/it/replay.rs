//! Quarantined input, taken in after all.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Server};

/// A server that kept out a crossing of the year 1970, one of tomorrow, and one without a time.
async fn server() -> (Server, Vec<String>) {
    let server = Server::campus().await;
    let crossings = json!([
        {"at": "1970-01-01T00:00:07Z", "direction": 1}, {"at": "2024-03-02T12:00:00Z", "direction": 1}, {"at": "soon", "direction": 1}
    ]);
    let posted = server.post(json!({"dpu_id": "1", "crossings": crossings}).to_string()).await;
    assert_eq!(posted.json()["quarantined"].as_array().unwrap().len(), 3, "{posted:?}");
    let rows = rows(&server).await;
    let ids = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    (server, ids)
}

async fn rows(server: &Server) -> Vec<Value> {
    server.get("/v1/quarantine").await.json()["quarantined"].as_array().unwrap().clone()
}

async fn replay(server: &Server, body: &Value) -> Answer {
    let request = Request::post("/v1/quarantine/replay").header("content-type", "application/json");
    server.call(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn what_was_kept_out_for_its_time_is_taken_in_by_who_vouches_for_the_clock() {
    let (server, ids) = server().await;
    let body = json!({"rows": [ids[0], ids[1], ids[1]], "accept_clock": true});
    let replayed = replay(&server, &body).await;
    assert_eq!(replayed.json(), json!({"replayed": 2, "accepted": 2, "duplicate": 0, "quarantined": 0}), "{replayed:?}");
    let marked: Vec<bool> = rows(&server).await.iter().map(|row| row["replayed_at"].is_string()).collect();
    assert_eq!(marked, [true, true, false]);
    assert_eq!(server.get("/v1/status").await.json()["quarantine"]["undecodable"], 1);
    assert_eq!(server.get("/v1/status").await.json()["quarantine"]["clock_unset"], 0);
    let again = replay(&server, &body).await;
    assert_eq!(again.json(), json!({"replayed": 2, "accepted": 0, "duplicate": 2, "quarantined": 0}));
    let log = server.get("/v1/spaces/hall/crossings").await.json();
    let times: Vec<&str> = log["crossings"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(times, ["2024-03-02T12:00:00.000Z"], "where it hung then, it counts");
}

#[tokio::test]
async fn rows_that_cannot_be_taken_in_are_refused_and_nothing_is_half_done() {
    let (server, ids) = server().await;
    let many = vec![ids[0].clone(); 1001];
    for (body, status, problem, names) in [
        (json!({"rows": [ids[0], ids[1]]}), 422, "not-replayable", "\"accept_clock\": true"),
        (json!({"rows": [ids[0], ids[2]], "accept_clock": true}), 422, "not-replayable", "still cannot be read"),
        (json!({"rows": [ids[0], "http/0/1/1"], "accept_clock": true}), 404, "not-quarantined", "http/0/1/1"),
        (json!({"rows": ["http/2147483648/9999999999999999999/0"]}), 404, "not-quarantined", "http/2147483648/"),
        (json!({"rows": ["http/21474836480/1"]}), 400, "bad-body", "TOPIC/PARTITION/OFFSET"),
        (json!({"rows": [ids[0], "row 7"], "accept_clock": true}), 400, "bad-body", "TOPIC/PARTITION/OFFSET"),
        (json!({"rows": []}), 400, "bad-body", "1 to 1000 rows can be replayed at once, not 0"),
        (json!({"rows": many}), 400, "bad-body", "not 1001"),
        (json!({"rows": ids[0]}), 400, "bad-body", "sequence"),
        (json!({"rows": [ids[0]], "force": true}), 400, "bad-body", "force"),
        (json!({}), 400, "bad-body", "rows"),
    ] {
        let answer = replay(&server, &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{body}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
    assert!(rows(&server).await.iter().all(|row| row["replayed_at"].is_null()));
    assert_eq!(server.get("/v1/spaces/hall/crossings").await.json()["crossings"], json!([]));
    assert_eq!(replay(&server, &json!({"rows": [ids[0]], "accept_clock": true})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn rows_as_large_as_requests_come_and_go_a_few_at_a_time() {
    let server = Server::campus().await;
    let body = json!([{"dpu_id": "1", "crossing": "x".repeat(1_000_000)}]).to_string();
    for _ in 0..20 {
        assert_eq!(server.post(body.clone()).await.status, StatusCode::OK);
    }
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = server.get(&format!("/v1/quarantine?limit=1000{cursor}")).await;
        assert!(page.body.len() < 9 << 20, "{} bytes", page.body.len());
        let page = page.json();
        ids.extend(page["quarantined"].as_array().unwrap().iter().map(|row| row["id"].clone()));
        pages += 1;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((ids.len(), pages), (20, 3));
    let refused = replay(&server, &json!({"rows": ids})).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "rows-too-large"));
    assert!(refused.text().contains("more than 8388608 bytes together"), "{}", refused.text());
    assert_eq!(replay(&server, &json!({"rows": [ids[0]]})).await.problem(), "not-replayable");
}
