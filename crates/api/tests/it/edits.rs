//! Topology and installations: edited only by one who has read what stands there.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Server, campus};

const TOPOLOGY: &str = "/v1/topology/campus";
const INSTALLATIONS: &str = "/v1/dpus/1/installations";

#[tokio::test]
async fn a_document_reads_back_as_written_and_its_tag_lets_it_be_edited() {
    let server = Server::campus().await;
    let read = server.get(TOPOLOGY).await;
    assert_eq!(read.json(), campus());
    let mut bigger = campus();
    bigger["space"].as_array_mut().unwrap().push(json!({"id": "wing", "parent": "campus"}));
    let written = server.put(TOPOLOGY, &bigger, ("if-match", read.header("etag"))).await;
    assert_eq!((written.status, written.json()), (StatusCode::OK, bigger.clone()));
    let again = server.get(TOPOLOGY).await;
    assert_eq!((again.header("etag"), again.json()), (written.header("etag"), bigger.clone()));

    let stale = server.put(TOPOLOGY, &campus(), ("if-match", read.header("etag"))).await;
    assert_eq!((stale.status, stale.problem()), (StatusCode::PRECONDITION_FAILED, "precondition-failed".to_owned()));
    let exists = server.put(TOPOLOGY, &campus(), ("if-none-match", "*")).await;
    assert_eq!(exists.status, StatusCode::PRECONDITION_FAILED);
    let blind = server.put(TOPOLOGY, &campus(), ("accept", "*/*")).await;
    assert_eq!((blind.status, blind.problem()), (StatusCode::PRECONDITION_REQUIRED, "precondition-required".to_owned()));

    let removes = server.put(TOPOLOGY, &campus(), ("if-match", again.header("etag"))).await;
    assert_eq!((removes.status, removes.problem()), (StatusCode::CONFLICT, "conflict".to_owned()));
    assert!(removes.json()["detail"].as_str().unwrap().contains("space wing"), "{removes:?}");
    let meant =
        server.put(&format!("{TOPOLOGY}?allow_removal=true"), &campus(), ("if-match", &format!("W/{}", again.header("etag")))).await;
    assert_eq!((meant.status, meant.json()), (StatusCode::OK, campus()));

    let away = server.put(&format!("{TOPOLOGY}?allow_removal=true"), &json!({}), ("if-match", meant.header("etag"))).await;
    assert_eq!((away.status, server.get(TOPOLOGY).await.status), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let server = Server::campus().await;
    let read = server.get(TOPOLOGY).await;
    let mut moved = campus();
    moved["installation"][0]["enters"] = json!("outside");
    moved["space"].as_array_mut().unwrap().push(json!({"id": "wing", "parent": "campus"}));
    let told = server.put(&format!("{TOPOLOGY}?dry_run=true"), &moved, ("if-match", read.header("etag"))).await;
    assert_eq!((told.status, told.header("etag")), (StatusCode::OK, ""));
    let told = told.json();
    assert_eq!((&told["spaces"]["added"], &told["past_changes"]), (&json!(["wing"]), &json!(["campus", "hall"])));
    assert_eq!(told["installations"]["changed"][0]["enters"], "outside");
    assert_eq!(server.get(TOPOLOGY).await.header("etag"), read.header("etag"));
}

#[tokio::test]
async fn a_flipped_dpu_is_put_right_for_the_past() {
    let server = Server::campus().await;
    server.post(r#"{"dpu_id": "1", "crossings": [{"at": "2024-03-01T11:00:00Z", "direction": -1}]}"#).await;
    let count = async || server.get("/v1/spaces/hall/count?at=2024-03-01T11:30:00Z").await.json()["raw"].clone();
    assert_eq!(count().await, json!(-1));
    let read = server.get(INSTALLATIONS).await;
    let flipped = json!({"installations": [{"doorway": "front", "enters": "outside", "from": "2024-01-01T00:00:00Z"}]});
    let told = server.put(&format!("{INSTALLATIONS}?dry_run=true"), &flipped, ("if-match", read.header("etag"))).await.json();
    assert_eq!(told["past_changes"], json!(["campus", "hall"]));
    assert_eq!(count().await, json!(-1));
    let written = server.put(INSTALLATIONS, &flipped, ("if-match", read.header("etag"))).await;
    assert_eq!((written.status, count().await), (StatusCode::OK, json!(1)));
    assert_eq!(server.get(INSTALLATIONS).await.header("etag"), written.header("etag"));
    let stale = server.put(INSTALLATIONS, &flipped, ("if-match", read.header("etag"))).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_when_many_edit_at_once() {
    const EDITORS: usize = 8;
    let server = std::sync::Arc::new(Server::campus().await);
    let mut editors = tokio::task::JoinSet::new();
    for editor in 0..EDITORS {
        let server = server.clone();
        editors.spawn(async move {
            let mut stale = 0;
            loop {
                let read = server.get(TOPOLOGY).await;
                let mut document = read.json();
                document["space"].as_array_mut().unwrap().push(json!({"id": format!("e{editor}"), "parent": "campus"}));
                match server.put(TOPOLOGY, &document, ("if-match", read.header("etag"))).await.status {
                    StatusCode::OK => return stale,
                    StatusCode::PRECONDITION_FAILED => stale += 1,
                    other => panic!("{other}"),
                }
            }
        });
    }
    let stale: usize = editors.join_all().await.into_iter().sum();
    let spaces: Vec<Value> = server.get(TOPOLOGY).await.json()["space"].as_array().unwrap().clone();
    assert_eq!(spaces.len(), 2 + EDITORS, "{stale} were told to read again");
}
