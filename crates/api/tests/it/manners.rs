//! How every request is met: ids, limits, pages of other origins.

use std::net::IpAddr;
use std::num::NonZeroU32;

use api::{Manners, Peer};
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use serde_json::json;

use crate::support::{Answer, Server};

async fn from(server: &Server, address: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get("/v1/spaces"), |request, (name, value)| request.header(*name, *value));
    let peer = Peer(address.parse::<IpAddr>().unwrap());
    server.call(request.extension(peer).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let server = Server::new().await;
    let id = |answer: &Answer| answer.header("x-request-id").to_owned();
    let (one, other) = (server.get("/v1/spaces").await, server.get("/v1/nothing").await);
    assert_eq!((id(&one).len(), id(&other).len()), (36, 36));
    assert_ne!(id(&one), id(&other));
    assert_eq!(id(&server.get_with("/v1/spaces", ("x-request-id", "till-7/42")).await), "till-7/42");
    for bad in ["", "a b", &"x".repeat(129)] {
        assert_eq!(id(&server.get_with("/v1/spaces", ("x-request-id", bad)).await).len(), 36, "{bad}");
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again_and_others_are_not() {
    let server = Server::with(Manners { requests_per_second: NonZeroU32::new(3), proxies: 1, ..Manners::default() });
    for _ in 0..3 {
        assert_eq!(from(&server, "192.0.2.1", &[]).await.status, 200);
    }
    let refused = from(&server, "192.0.2.1", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str(), refused.header("retry-after")), (429, "too-many-requests", "1"));
    let detail = refused.json()["detail"].clone();
    assert_eq!(detail, json!("192.0.2.1 may make 3 requests a second (--requests-per-second): try again in 1 s"));
    assert_eq!(refused.header("x-request-id").len(), 36);
    assert_eq!(from(&server, "192.0.2.2", &[]).await.status, 200);
    assert_eq!(from(&server, "192.0.2.1", &[("x-forwarded-for", "198.51.100.7")]).await.status, 200, "another client of the proxy");
    assert_eq!(server.get("/v1/spaces").await.status, 200, "within the process there is no limit");
}

#[tokio::test]
async fn pages_of_an_origin_that_is_named_may_use_the_api_and_others_may_not() {
    let origin = "https://dashboard.example.org";
    let server = Server::with(Manners { cors_origins: vec![HeaderValue::from_static(origin)], ..Manners::default() });
    let ask = async |origin: &str| {
        let request = Request::builder().method(Method::OPTIONS).uri("/v1/topology/campus").header("origin", origin);
        let request = request.header("access-control-request-method", "PUT").header("access-control-request-headers", "if-match");
        server.call(request.body(Body::empty()).unwrap()).await
    };
    let allowed = ask(origin).await;
    assert_eq!((allowed.status.as_u16(), allowed.header("access-control-allow-origin")), (200, origin));
    assert!(allowed.header("access-control-allow-methods").contains("PUT"), "{allowed:?}");
    assert!(allowed.header("access-control-allow-headers").contains("if-match"), "{allowed:?}");
    assert_eq!(ask("https://elsewhere.example.org").await.header("access-control-allow-origin"), "");
    let read = server.get_with("/v1/spaces", ("origin", origin)).await;
    assert_eq!(read.header("access-control-allow-origin"), origin);
    assert!(read.header("access-control-expose-headers").contains("etag"), "{read:?}");
    let usual = Server::new().await.get_with("/v1/spaces", ("origin", origin)).await;
    assert_eq!(usual.header("access-control-allow-origin"), "", "nobody unless told");
}
