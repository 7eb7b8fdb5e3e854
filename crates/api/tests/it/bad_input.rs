//! Bad input gets a clear problem: never a 500, never a panic, nothing half done.

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use http_body_util::{BodyExt, Full};
use occupancy::topology::MAX_DEPTH;
use serde_json::{Value, json};

use crate::support::{Server, campus};

#[tokio::test]
async fn history_that_cannot_be_told_is_refused_with_what_can_be() {
    let server = Server::campus().await;
    let many = format!("/v1/history?{}", "space=hall&".repeat(1001));
    let hall = |query: &str| format!("/v1/spaces/hall/history?{query}");
    for (path, names) in [
        (hall("interval=2h"), "there is no \"2h\": expected 1m, 5m, 15m, 30m, 1h, 1d, 1w, 1mo"),
        (hall("interval="), "there is no \"\": expected 1m"),
        (hall("interval=1h&interval=1h"), "`interval` stands twice"),
        (hall("tz=Mars/Olympus"), "\"Mars/Olympus\" is no IANA time zone"),
        (hall("tz="), "no IANA time zone"),
        (hall("stats=all"), "\"all\" is neither full nor flow"),
        (hall("limit=0"), "a page holds 1 to 10000 entries, not 0"),
        (hall("limit=10001"), "a page holds 1 to 10000 entries, not 10001"),
        (hall("limit=many"), "\"many\" is no number"),
        (hall("from=2024-03-01T00:00:00Z&to=2024-03-01T00:00:00Z"), "is empty"),
        (hall("from=2024-03-01T00:00:00Z&to=2024-02-01T00:00:00Z"), "is empty"),
        (hall("from=yesterday"), "from: \"yesterday\" is not an RFC 3339 time"),
        (hall("to=2024-03-01T00:00:00+01:00"), "a + in a time is written %2B"),
        (hall("from=0001-01-01T00:00:00Z"), "ask for a later `from`"),
        (hall("since=2024-03-01T00:00:00Z"), "there is no parameter \"since\": expected `from`, `to`"),
        (hall("space=campus"), "there is no parameter \"space\""),
        ("/v1/history?interval=1h".to_owned(), "1 to 1000 spaces can be asked for at once, not 0"),
        (many, "1 to 1000 spaces can be asked for at once, not 1001"),
    ] {
        let answer = server.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "bad-query"), "{path}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
    assert_eq!(server.get(&hall("to=9999-12-31T23:59:59.999Z&interval=1mo&tz=Etc/GMT%2B5")).await.status, 200);
}

#[tokio::test]
async fn methods_that_do_nothing_are_refused_and_name_those_that_do() {
    let server = Server::campus().await;
    for (method, path, allow) in [(Method::DELETE, "/v1/topology/campus", "GET,HEAD,PUT"), (Method::GET, "/v1/crossings", "POST")] {
        let answer = server.call(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (405, "method-not-allowed"), "{path}");
        assert_eq!(answer.header("allow"), allow);
    }
}

#[tokio::test]
async fn reports_that_cannot_be_taken_are_refused_whole() {
    let server = Server::campus().await;
    let crossings = |count: usize| vec![json!({"at": "2024-03-01T11:00:00Z", "direction": 1}); count];
    let too_many = json!({"dpu_id": "1", "crossings": vec![0; 100_000]}).to_string();
    let too_large = json!({"dpu_id": "1", "crossings": crossings(100_000)}).to_string();
    let many_reports = json!(vec![json!({"dpu_id": "1"}); 10_001]).to_string();
    let deep = "[".repeat(100_000);
    for (body, status, problem) in [
        ("", 400, "bad-body"),
        ("{", 400, "bad-body"),
        ("\u{0}", 400, "bad-body"),
        ("12", 400, "bad-body"),
        ("\"text\"", 400, "bad-body"),
        ("null", 400, "bad-body"),
        (&deep, 400, "bad-body"),
        (&too_many, 413, "too-many-crossings"),
        (&many_reports, 413, "too-many-crossings"),
        (&too_large, 413, "body-too-large"),
    ] {
        let answer = server.post(body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{}", answer.text());
    }
    let plain = server.call(Request::post("/v1/crossings").header("content-type", "text/plain").body(Body::from("{}")).unwrap()).await;
    assert_eq!((plain.status.as_u16(), plain.problem().as_str()), (415, "unsupported-media-type"));
    let packed = Request::post("/v1/crossings").header("content-type", "application/json").header("content-encoding", "gzip");
    let packed = server.call(packed.body(Body::from("[]")).unwrap()).await;
    assert_eq!((packed.status.as_u16(), packed.problem().as_str()), (415, "unsupported-media-type"));
    assert_eq!(server.get("/v1/quarantine").await.json()["quarantined"], json!([]), "what is refused is not kept");
}

#[tokio::test]
async fn reports_of_no_use_are_kept_out_and_do_no_harm() {
    let server = Server::campus().await;
    for body in [
        json!({}),
        json!({"dpu_id": 7}),
        json!({"dpu_id": "a b"}),
        json!([1, null, "x", [], {"crossings": []}]),
        json!({"dpu_id": "1", "crossings": "none"}),
        json!({"dpu_id": "1", "crossings": [{"at": "9999-12-31T23:59:59.999Z", "direction": 1}]}),
        json!({"dpu_id": "1", "crossings": [{"at": "2024-03-01T11:00:00Z", "direction": 0}]}),
        json!({"dpu_id": "1", "crossings": [{"at": 1e300, "direction": 1, "seq": -1}, {}, null, 3]}),
        json!({"dpu_id": "1", "boot": -1, "heartbeat": {"at": "soon"}}),
    ] {
        let answer = server.post(body.to_string()).await;
        assert_eq!(answer.status.as_u16(), 200, "{body}: {}", answer.text());
        assert_eq!(answer.json()["accepted"], json!(0), "{body}");
        assert_ne!(answer.json()["quarantined"], json!([]), "{body}");
    }
    assert_eq!(server.post("[]").await.json(), json!({"accepted": 0, "duplicate": 0, "quarantined": []}));
}

#[tokio::test]
async fn a_body_that_says_it_is_huge_is_refused_before_it_is_read() {
    let server = Server::campus().await;
    let huge = Request::post("/v1/crossings").header("content-type", "application/json").header("content-length", 100 << 20);
    let answer = server.call(huge.body(unread()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "body-too-large"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("1048576 bytes"), "{}", answer.text());

    let endless = Body::new(Full::new(Bytes::from(vec![b' '; (1 << 20) + 1])));
    let answer = server.post(endless).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "body-too-large"));
}

/// A body that fails as soon as anybody reads it.
fn unread() -> Body {
    Body::new(Full::new(Bytes::from_static(b"[]")).map_frame(|frame| {
        assert!(!frame.is_data(), "read after all");
        frame
    }))
}

/// The campus with one thing wrong.
fn campus_with(change: impl Fn(&mut Value)) -> Value {
    let mut document = campus();
    change(&mut document);
    document
}

#[tokio::test]
async fn topologies_that_cannot_stand_are_refused_and_named() {
    let server = Server::campus().await;
    let other = json!({"space": [{"id": "other"}, {"id": "shared", "parent": "other"}]});
    assert_eq!(server.put("/v1/topology/other", &other, ("if-none-match", "*")).await.status, 201);
    let push = |key: &'static str, entry: Value| campus_with(move |document| document[key].as_array_mut().unwrap().push(entry.clone()));
    let hang = |dpu: &str, from: &str, to: Value| json!({"dpu": dpu, "doorway": "side", "enters": "hall", "from": from, "to": to});
    let read = server.get("/v1/topology/campus").await;
    let tag = read.header("etag");
    for (document, status, problem, names) in [
        (json!([]), 400, "bad-body", "expected"),
        (json!({"spaces": []}), 400, "bad-body", "spaces"),
        (json!({"space": [{"id": 7}]}), 400, "bad-body", "string"),
        (json!({"space": [{"id": "campus", "capacity": -1}]}), 400, "bad-body", "-1"),
        (json!({}), 409, "conflict", "campus"),
        (json!({"space": [{"id": "hall"}]}), 422, "invalid-topology", "campus"),
        (push("space", json!({"id": "a b", "parent": "campus"})), 422, "invalid-topology", "a b"),
        (push("space", json!({"id": "outside", "parent": "campus"})), 422, "invalid-topology", "reserved"),
        (push("space", json!({"id": "mars", "parent": "campus", "time_zone": "Mars/Olympus"})), 422, "invalid-topology", "Mars/Olympus"),
        (push("space", json!({"id": "hall", "parent": "campus"})), 422, "invalid-topology", "twice"),
        (push("space", json!({"id": "lost", "parent": "nowhere"})), 422, "invalid-topology", "nowhere"),
        (push("space", json!({"id": "second"})), 422, "invalid-topology", "second"),
        (push("space", json!({"id": "loop", "parent": "loop"})), 422, "invalid-topology", "its own ancestor"),
        (campus_with(|d| d["space"][1]["parent"] = json!("hall")), 422, "invalid-topology", "its own ancestor"),
        (push("space", json!({"id": "shared", "parent": "campus"})), 409, "conflict", "root other"),
        (push("reset", json!({"space": "hall", "at": "25:00"})), 422, "invalid-topology", "25:00"),
        (push("reset", json!({"space": "nowhere", "at": "04:00"})), 422, "invalid-topology", "nowhere"),
        (push("reset", json!({"space": "hall", "at": "04:00", "from": "99999-01-01T00:00:00Z"})), 422, "invalid-topology", "99999"),
        (push("doorway", json!({"id": "same", "between": ["hall", "hall"]})), 422, "invalid-topology", "same"),
        (push("doorway", json!({"id": "three", "between": ["hall", "campus", "outside"]})), 400, "bad-body", "2"),
        (push("doorway", json!({"id": "to", "between": ["hall", "nowhere"]})), 422, "invalid-topology", "nowhere"),
        (campus_with(|d| d["doorway"][0]["between"] = json!(["hall", "campus"])), 409, "conflict", "front"),
        (campus_with(|d| d["doorway"][1]["between"] = json!(["hall", "outside"])), 409, "conflict", "side"),
        (push("installation", json!({"dpu": "2", "doorway": "gone", "enters": "hall"})), 422, "invalid-topology", "gone"),
        (push("installation", json!({"dpu": "2", "doorway": "side", "enters": "outside"})), 422, "invalid-topology", "outside"),
        (push("installation", json!({"doorway": "side", "enters": "hall"})), 422, "invalid-topology", "dpu"),
        (
            push("installation", hang("1", "2024-02-01T00:00:00Z", json!(null))),
            409,
            "conflict",
            "DPU 1 would hang over front and over side",
        ),
        (push("installation", hang("2", "2024-02-01T00:00:00Z", json!("2024-02-01T00:00:00Z"))), 422, "invalid-topology", "empty"),
        (campus_with(|d| d["installation"] = json!([])), 409, "conflict", "DPU 1"),
    ] {
        let answer = server.put("/v1/topology/campus", &document, ("if-match", tag)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{document}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
    assert_eq!(server.get("/v1/topology/campus").await.header("etag"), tag, "nothing half done");
    let wrong_place = server.put("/v1/topology/hall", &json!({"space": [{"id": "hall"}]}), ("if-none-match", "*")).await;
    assert_eq!((wrong_place.status.as_u16(), wrong_place.problem().as_str()), (409, "conflict"));
}

/// A chain of spaces, the first of which is the root `tower`.
fn tower(floors: usize) -> Value {
    let name = |floor: usize| if floor == 0 { "tower".to_owned() } else { format!("f{floor}") };
    let mut spaces = vec![json!({"id": "tower"})];
    spaces.extend((1..floors).rev().map(|floor| json!({"id": name(floor), "parent": name(floor - 1)})));
    json!({ "space": spaces })
}

#[tokio::test]
async fn a_tree_without_end_is_refused_before_it_is_walked() {
    let server = Server::campus().await;
    for floors in [MAX_DEPTH + 2, 60_000] {
        let answer = server.put("/v1/topology/tower", &tower(floors), ("if-none-match", "*")).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid-topology"));
        assert!(answer.json()["detail"].as_str().unwrap().contains("levels"), "{}", answer.text());
    }
    assert_eq!(server.put("/v1/topology/tower", &tower(MAX_DEPTH), ("if-none-match", "*")).await.status, 201);
    let wide: Vec<Value> = (0..60_000).map(|i| json!({"id": format!("w{i}"), "parent": "wide"})).chain([json!({"id": "wide"})]).collect();
    let wide = json!({ "space": wide });
    assert_eq!(server.put("/v1/topology/wide", &wide, ("if-none-match", "*")).await.status, 201);
    let read = server.get("/v1/topology/wide").await;
    let gone = server.put("/v1/topology/wide", &json!({"space": [{"id": "wide"}]}), ("if-match", read.header("etag"))).await;
    assert_eq!(gone.status, 409);
    assert!(gone.body.len() < 10_000, "{} bytes of detail", gone.body.len());
}

#[tokio::test]
async fn installations_that_cannot_stand_are_refused_and_named() {
    let server = Server::campus().await;
    let path = "/v1/dpus/1/installations";
    let read = server.get(path).await;
    let list = |entries: Value| json!({ "installations": entries });
    for (body, status, problem, names) in [
        (json!([]), 400, "bad-body", ""),
        (list(json!(7)), 400, "bad-body", "7"),
        (list(json!([{"doorway": "front", "enters": "hall", "until": "now"}])), 400, "bad-body", "until"),
        (list(json!([{"dpu": "2", "doorway": "front", "enters": "hall"}])), 422, "invalid-topology", "DPU 2"),
        (list(json!([{"doorway": "gone", "enters": "hall"}])), 422, "invalid-topology", "gone"),
        (list(json!([{"doorway": "front", "enters": "campus"}])), 422, "invalid-topology", "campus"),
        (list(json!([{"doorway": "front", "enters": "hall", "from": "never"}])), 422, "invalid-topology", "never"),
        (list(json!([{"doorway": "front", "enters": "hall"}, {"doorway": "side", "enters": "hall"}])), 409, "conflict", "front"),
    ] {
        let answer = server.put(path, &body, ("if-match", read.header("etag"))).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem), "{body}: {}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{names}: {}", answer.text());
    }
    for nothing in [("accept", "*/*"), ("if-none-match", "\"seen\"")] {
        assert_eq!(server.put(path, &list(json!([])), nothing).await.status, 428, "{nothing:?}");
    }
    assert_eq!(server.get(path).await.header("etag"), read.header("etag"));
}
