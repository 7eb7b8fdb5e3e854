//! History over HTTP: JSON, CSV, pages, tags.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::routes::report;
use crate::support::{NOW, Server};

const PATH: &str = "/v1/spaces/hall/history?from=2024-03-01T10:30:00Z";

async fn server() -> Server {
    let server = Server::campus().await;
    assert_eq!(server.post(report()).await.status, StatusCode::OK);
    server
}

#[tokio::test]
async fn buckets_tell_what_happened_up_to_now() {
    let server = server().await;
    let expected = json!({
        "space": "hall", "interval": "1h", "time_zone": "America/Los_Angeles",
        "buckets": [
            {
                "start": "2024-03-01T10:00:00.000Z", "end": "2024-03-01T11:00:00.000Z", "offset": "-08:00",
                "entered": 0, "exited": 0, "adjusted": 0, "close": {"count": 1, "raw": 1},
                "min": {"count": 1, "at": "2024-03-01T10:00:00.000Z"}, "max": {"count": 1, "at": "2024-03-01T10:00:00.000Z"},
                "mean": 1.0, "missing": null, "partial": false
            },
            {
                "start": "2024-03-01T11:00:00.000Z", "end": "2024-03-01T12:00:00.000Z", "offset": "-08:00",
                "entered": 2, "exited": 1, "adjusted": 0, "close": {"count": 2, "raw": 2},
                "min": {"count": 2, "at": "2024-03-01T11:00:00.000Z"}, "max": {"count": 3, "at": "2024-03-01T11:30:00.000Z"},
                "mean": 149.0 / 60.0, "missing": 1, "partial": true
            },
            {
                "start": "2024-03-01T12:00:00.000Z", "end": "2024-03-01T13:00:00.000Z", "offset": "-08:00",
                "entered": 0, "exited": 0, "adjusted": -2, "close": {"count": 0, "raw": 0},
                "min": {"count": 0, "at": "2024-03-01T12:00:00.000Z"}, "max": {"count": 0, "at": "2024-03-01T12:00:00.000Z"},
                "mean": 0.0, "missing": null, "partial": true
            }
        ],
        "next": null, "computed_at": NOW
    });
    assert_eq!(server.get(PATH).await.json(), expected);
    let day = server.get("/v1/spaces/hall/history").await.json();
    assert_eq!(day["buckets"].as_array().unwrap().len(), 25, "the last 24 hours, unless asked otherwise");
    assert_eq!(
        server.get("/v1/spaces/hall/history?to=2100-01-01T00:00:00Z&from=2024-03-01T11:59:00Z&interval=1m").await.json()["buckets"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let kolkata = server.get(&format!("{PATH}&tz=Asia/Kolkata&to=2024-03-01T11:00:00Z")).await.json();
    let bucket = &kolkata["buckets"][0];
    assert_eq!(
        (&kolkata["time_zone"], &bucket["start"], &bucket["offset"]),
        (&json!("Asia/Kolkata"), &json!("2024-03-01T10:30:00.000Z"), &json!("+05:30"))
    );
}

#[tokio::test]
async fn flow_tells_the_same_without_what_takes_a_walk() {
    let server = server().await;
    let mut expected = server.get(PATH).await.json();
    for bucket in expected["buckets"].as_array_mut().unwrap() {
        for walked in ["min", "max", "mean", "missing"] {
            bucket.as_object_mut().unwrap().remove(walked).unwrap();
        }
    }
    assert_eq!(server.get(&format!("{PATH}&stats=flow")).await.json(), expected);
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended_with_the_next_space_in_turn() {
    let server = server().await;
    let path = "/v1/history?space=hall&space=campus&from=2024-03-01T10:30:00Z";
    let all = server.get(path).await.json();
    let told = |answer: &Value| -> Vec<(Value, Value)> {
        let histories = answer["histories"].as_array().unwrap().iter();
        histories.flat_map(|one| one["buckets"].as_array().unwrap().iter().map(|bucket| (one["space"].clone(), bucket.clone()))).collect()
    };
    assert_eq!(told(&all).len(), 6);
    assert_eq!(all["histories"][0]["buckets"], server.get(PATH).await.json()["buckets"]);
    for (limit, pages) in [(1, 6), (2, 3), (4, 2), (5, 2), (6, 1)] {
        let (mut found, mut cursor, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let page = server.get(&format!("{path}&limit={limit}{cursor}")).await.json();
            found.extend(told(&page));
            count += 1;
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((found, count), (told(&all), pages), "limit {limit}");
    }
}

#[tokio::test]
async fn it_comes_as_csv_to_whoever_asks_for_it() {
    let server = server().await;
    let csv = server
        .get_with("/v1/history?space=hall&space=campus&from=2024-03-01T11:00:00Z&limit=3&tz=Etc/GMT%2B8", ("accept", "text/csv"))
        .await;
    assert_eq!((csv.header("content-type"), csv.header("vary")), ("text/csv; charset=utf-8", "accept"));
    let heading = "space,start,end,offset,entered,exited,adjusted,count,raw,min,min_at,max,max_at,mean,missing,partial\n";
    let eleven = "2024-03-01T11:00:00.000Z,2024-03-01T12:00:00.000Z,-08:00,2,1,0,2,2,2,2024-03-01T11:00:00.000Z,3,2024-03-01T11:30:00.000Z,2.4833333333333334,1,true\n";
    let twelve = "2024-03-01T12:00:00.000Z,2024-03-01T13:00:00.000Z,-08:00,0,0,-2,0,0,0,2024-03-01T12:00:00.000Z,0,2024-03-01T12:00:00.000Z,0,,true\n";
    assert_eq!(csv.text(), format!("{heading}hall,{eleven}hall,{twelve}campus,{eleven}"));
    let next = csv.header("link").trim_start_matches('<').split('>').next().unwrap();
    assert!(next.contains("space=hall&space=campus&from=2024-03-01T11:00:00.000Z") && next.contains("&tz=Etc/GMT%2B8&"), "{next}");
    let rest = server.get_with(next, ("accept", "text/csv")).await;
    assert_eq!((rest.text(), rest.header("link")), (format!("{heading}campus,{twelve}"), ""));
    let flow = server.get_with(&format!("{PATH}&stats=flow&limit=1"), ("accept", "text/csv")).await;
    assert_eq!(flow.text(), format!("{heading}hall,2024-03-01T10:00:00.000Z,2024-03-01T11:00:00.000Z,-08:00,0,0,0,1,1,,,,,,,false\n"));
    assert!(flow.header("link").contains("stats=flow"));
}

#[tokio::test]
async fn history_that_has_not_changed_is_not_sent_again() {
    let server = server().await;
    for accept in ["application/json", "text/csv"] {
        let path = format!("{PATH}&to=2024-03-01T11:00:00Z");
        let tag = server.get_with(&path, ("accept", accept)).await.header("etag").to_owned();
        assert!(tag.len() > 30, "{tag}");
        let again = axum::http::Request::get(&path).header("accept", accept).header("if-none-match", &tag);
        let again = again.body(axum::body::Body::empty()).unwrap();
        assert_eq!(server.call(again).await.status, StatusCode::NOT_MODIFIED);
    }
    let path = format!("{PATH}&to=2024-03-01T11:00:00Z");
    let tag = server.get(&path).await.header("etag").to_owned();
    let late = json!({"dpu_id": "1", "crossings": [{"at": "2024-03-01T10:59:00Z", "direction": 1}]});
    server.post(late.to_string()).await;
    assert_eq!(server.get_with(&path, ("if-none-match", &tag)).await.status, StatusCode::OK, "the past has changed");
}
