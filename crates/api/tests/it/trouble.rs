//! What callers are told when the way in is closed or a handler fails.

use std::sync::Arc;

use api::Feed;
use serde_json::json;
use store::MemoryStore;

use crate::support::{Server, Stuck};

fn server(stuck: Stuck) -> Server {
    Server::over(Arc::new(MemoryStore::new()), Arc::new(stuck), Feed::default())
}

#[tokio::test]
async fn a_closed_way_in_says_when_to_try_again() {
    for (stuck, problem, retry_after) in [(Stuck::Busy, "busy", "7"), (Stuck::Stopping, "stopping", "1")] {
        let answer = server(stuck).post(r#"{"dpu_id": "1"}"#).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str(), answer.header("retry-after")), (503, problem, retry_after));
    }
}

#[tokio::test]
async fn behind_a_log_reports_are_queued() {
    let answer = server(Stuck::Queues).post(r#"[{"dpu_id": "1"}, {"dpu_id": "2"}]"#).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"queued": 2})));
}

#[tokio::test]
async fn a_handler_that_panics_answers_with_a_problem() {
    let answer = server(Stuck::Panics).post("[]").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (500, "internal"));
    assert!(!answer.text().contains("of the inside"), "no inside shows");
}

#[tokio::test]
async fn a_request_without_an_answer_is_given_up() {
    let server = Server::patient(50, Arc::new(MemoryStore::new()), Arc::new(Stuck::Never), Feed::default());
    let answer = server.post("[]").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str(), answer.header("retry-after")), (503, "timeout", "1"));
}

#[tokio::test]
async fn readiness_follows_the_way_in_and_health_does_not() {
    let feed = Feed { not_ready: Some("12 records behind".to_owned()), queued: 3, lag: Some(12) };
    let server = Server::over(Arc::new(MemoryStore::new()), Arc::new(Stuck::Queues), feed);
    let answer = server.get("/readyz").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "not-ready"));
    assert_eq!(answer.json()["detail"], "12 records behind");
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/v1/status").await.json()["intake"], json!({"not_ready": "12 records behind", "queued": 3, "lag": 12}));
}
