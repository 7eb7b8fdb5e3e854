//! Counts as they change, over HTTP.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::routes::report;
use crate::support::Server;

/// A connection on which events come.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        let response = server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, text: String::new() }
    }

    /// The next event: its name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
                let told = (field("event: "), serde_json::from_str(&field("data: ")).unwrap_or(Value::Null));
                self.text = rest.to_owned();
                return Some(told);
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.response.body_mut().frame()).await.expect("nothing comes");
            self.text += std::str::from_utf8(frame?.unwrap().data_ref().unwrap()).unwrap();
        }
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn watched(server: &Server, act: impl Future<Output = ()>) {
    tokio::select! {
        never = server.watch.run() => match never {},
        () = act => {}
    }
}

#[tokio::test]
async fn a_count_is_told_in_full_at_once_and_after_each_change() {
    let server = Server::campus().await;
    watched(&server, async {
        let mut events = Events::open(&server, "/v1/live?space=hall", &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(events.header("content-type"), "text/event-stream");
        assert_eq!(events.header("cache-control"), "no-cache");
        assert_eq!((events.header("content-encoding"), events.header("etag")), ("", ""), "what has no end is neither packed nor tagged");
        assert_eq!(events.next().await, Some(("count".to_owned(), server.get("/v1/spaces/hall/count").await.json())));
        assert_eq!(server.post(report()).await.status, StatusCode::OK);
        let (event, count) = events.next().await.unwrap();
        let at = count["at"].as_str().unwrap();
        assert_eq!(("count", &count), (event.as_str(), &server.get(&format!("/v1/spaces/hall/count?at={at}")).await.json()));
        assert!(count["heard_to"].is_string(), "{count}");
        // The report's crossings are of the last hours.
        let (event, revised) = events.next().await.unwrap();
        assert_eq!((event.as_str(), &revised["space"]), ("revised", &json!("hall")));
        assert!(revised["from"].as_str().unwrap() < at, "{revised}");
        server.watch.close();
        assert_eq!(events.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn who_comes_again_is_told_that_the_past_may_have_changed() {
    let server = Server::campus().await;
    watched(&server, async {
        let mut events = Events::open(&server, "/v1/live?space=hall", &[("last-event-id", "2024-03-01T11:00:00.000Z")]).await;
        assert_eq!(events.next().await.unwrap().0, "count");
        assert_eq!(events.next().await, Some(("revised".to_owned(), json!({"space": "hall", "from": null}))));
    })
    .await;
}

#[tokio::test]
async fn of_several_spaces_each_is_told_to_have_changed_after_its_own_count() {
    let server = Server::campus().await;
    watched(&server, async {
        let last = [("last-event-id", "2024-03-01T11:00:00.000Z")];
        let mut events = Events::open(&server, "/v1/live?space=hall&space=campus&space=hall", &last).await;
        let mut spaces = Vec::new();
        for _ in 0..2 {
            let (event, count) = events.next().await.unwrap();
            assert_eq!(event, "count");
            let revised = json!({"space": count["space"], "from": null});
            assert_eq!(events.next().await, Some(("revised".to_owned(), revised)));
            spaces.push(count["space"].as_str().unwrap().to_owned());
        }
        spaces.sort();
        assert_eq!(spaces, ["campus", "hall"]);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let server = Server::campus().await;
    let many = format!("/v1/live?{}", (0..101).map(|n| format!("space=s{n}&")).collect::<String>());
    for (path, status, problem, names) in [
        ("/v1/live", 400, "bad-query", "1 to 100 spaces can be asked for at once, not 0"),
        (&many, 400, "bad-query", "not 101"),
        ("/v1/live?space=a%20b", 400, "bad-id", "character ' '"),
        ("/v1/live?space=nowhere", 404, "unknown-space", "nowhere"),
        ("/v1/live?space=hall&at=2024-03-01T11:00:00Z", 400, "bad-query", "there is no parameter \"at\": expected `space`"),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{path}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
    let both =
        [Events::open(&server, "/v1/live?space=hall", &[]).await, Events::open(&server, "/v1/live?space=hall&space=hall", &[]).await];
    let third = server.get("/v1/live?space=hall").await;
    assert_eq!((third.status.as_u16(), third.problem().as_str(), third.header("retry-after")), (503, "too-many-clients", "1"));
    assert!(third.text().contains("2 clients watch already"), "{}", third.text());
    drop(both);
    drop(Events::open(&server, "/v1/live?space=hall", &[]).await);
}
