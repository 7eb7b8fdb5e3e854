//! Pages are followed to the last, items read, and what is wrong told and never skipped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use pull::{PullError, Trouble};
use serde_json::{Value, json};

use crate::provider::{Ledger, QUICK, at, json as answer, parameter, provider, puller};

const NOW: &str = "2026-01-01T00:00:00Z";
const CROSSINGS: &str =
    "[crossings]\ndpu_id = \"/d\"\nat = \"/t\"\ntime = \"unix_s\"\ndirection = \"/w\"\ndirections = { in = 1, out = -1 }\n";

fn config(url: &str, page: &str, items: &str) -> String {
    format!("name = \"a\"\nurl = \"{url}\"\nstart_cursor = \"0\"\n[page]\nitems = \"/data\"\n{page}\n{items}{QUICK}")
}

/// The crossing `i`, a second after the one before.
fn crossing(i: usize) -> Value {
    json!({"id": i, "d": format!("d{}", i % 3), "t": 1_700_000_000 + i, "w": if i.is_multiple_of(2) { "in" } else { "out" }})
}

fn page(from: usize, size: usize, all: usize) -> Vec<Value> {
    (from..all.min(from + size)).map(crossing).collect()
}

#[tokio::test]
async fn pages_are_followed_by_cursor_last_item_and_link_to_the_last() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (all, log) = (Arc::new(AtomicUsize::new(25)), asked.clone());
    let growing = all.clone();
    let provided = provider(move |query, _| {
        log.lock().unwrap().push(query.to_owned());
        let (from, all): (usize, usize) = (parameter(query, "c").parse().unwrap_or(0), growing.load(Ordering::Relaxed));
        let items = page(from, 10, all);
        let next = from + items.len();
        let next_or_null = if next < all { json!(next.to_string()) } else { Value::Null };
        let mut response = answer(200, &json!({"data": items, "next": next, "null": next_or_null, "more": next < all}));
        if next < all {
            response.headers_mut().insert(header::LINK, format!("</?c={next}>; rel=\"next\"").parse().unwrap());
        }
        response
    })
    .await;
    for (path, paging, first, again) in [
        ("/?c={cursor}", "next = \"/next\"", 4, 2),
        ("/?c={cursor}", "next = \"/next\"\nmore = \"/more\"", 3, 1),
        ("/?c={cursor}", "next = \"/null\"", 3, 1),
        ("/?c={cursor}", "next_of_last_item = \"/id\"", 4, 2),
        ("/", "next_link = true", 3, 1),
    ] {
        let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
        let config = config(&format!("{}{path}", provided.url), paging, CROSSINGS);
        all.store(25, Ordering::Relaxed);
        let round = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
        assert_eq!((round.pages, round.rejected, round.cut_short), (first, 0, false), "{paging}");
        assert_eq!(ledger.arrived.lock().unwrap().crossings.len(), 25);
        all.store(28, Ordering::Relaxed);
        asked.lock().unwrap().clear();
        let round = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
        assert_eq!(round.pages, again, "{paging} {:?}", asked.lock().unwrap());
        assert_ne!(parameter(&asked.lock().unwrap()[0], "c"), "0", "it begins anew instead of going on");
        assert_eq!(ledger.arrived.lock().unwrap().crossings.len(), 28);
    }
}

#[tokio::test]
async fn a_cursor_that_stays_or_goes_in_circles_ends_the_round() {
    let provided = provider(|query, _| {
        let next = match parameter(query, "c") {
            "0" => "1",
            "1" => "2",
            "2" => "0",
            _ => "stay",
        };
        answer(200, &json!({"data": page(0, 5, 5), "next": next}))
    })
    .await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let circle = config(&format!("{}/?c={{cursor}}", provided.url), "next = \"/next\"", CROSSINGS);
    let round = puller(&circle, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
    assert_eq!((round.pages, round.cut_short), (4, true));
    let folder = tempfile::tempdir().unwrap();
    let stays = circle.replace("start_cursor = \"0\"", "start_cursor = \"x\"");
    let mut puller = puller(&stays, folder.path(), &ledger, &at(NOW));
    assert_eq!(puller.round(true).await.unwrap().pages, 2);
    assert_eq!(puller.round(true).await.unwrap().pages, 1);
    assert_eq!(ledger.arrived.lock().unwrap().crossings.len(), 5);
}

#[tokio::test]
async fn a_bad_item_is_rejected_once_and_costs_no_other() {
    let good = crossing(1);
    let with = |key: &str, value: Value| {
        let mut item = good.clone();
        item[key] = value;
        item
    };
    let bad = [
        (with("d", Value::Null), "there is nothing at \"/d\""),
        (with("d", json!("a b")), "\"/d\": character ' ' at position 1"),
        (with("d", json!([1])), "\"/d\" is neither a text nor a number"),
        (with("t", json!("yesterday")), "\"/t\" is \"yesterday\", and no number of seconds since 1970"),
        (with("t", json!(-5)), "\"/t\" is \"-5\""),
        (with("t", json!(1e15)), "is outside the years 1 to 9999"),
        (with("w", json!("up")), "\"/w\" is \"up\", and not one of in, out"),
        (json!("text"), "there is nothing at \"/t\""),
    ];
    let mut items: Vec<Value> = bad.iter().map(|(item, _)| item.clone()).collect();
    items.extend([with("t", json!(1_700_000_000.123)), with("t", json!("1700000000.5")), good.clone(), good]);
    let provided = provider(move |_, _| answer(200, &json!({"data": items}))).await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let config = config(&provided.url, "", CROSSINGS);
    for rejected in [bad.len() as u64, 0] {
        let round = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
        assert_eq!((round.items, round.rejected), (12, rejected));
    }
    let arrived = ledger.arrived.lock().unwrap();
    for (item, says) in &bad {
        assert!(arrived.rejected.iter().any(|(why, times)| why.contains(says) && *times == 1), "{item}: {:?}", arrived.rejected);
    }
    let times: Vec<i64> = arrived.crossings.iter().map(|crossing| crossing.key.at.ms()).collect();
    assert_eq!(times, [1_700_000_000_123, 1_700_000_000_500, 1_700_000_001_000]);
}

#[tokio::test]
async fn however_many_bad_items_a_page_has_each_is_rejected_once() {
    let provided = provider(|_, _| answer(200, &json!({"data": (0..3_000).collect::<Vec<_>>()}))).await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let config = config(&provided.url, "", CROSSINGS);
    for rejected in [3_000, 0, 0] {
        // From the state alone: a restart forgets nothing either.
        let round = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
        assert_eq!((round.items, round.rejected), (3_000, rejected));
    }
}

#[tokio::test]
async fn numbers_are_whole_as_they_are_in_reports() {
    let crossing = |seq: Value| json!({"d": 7, "t": 1_700_000_000, "w": "in", "id": seq});
    let good = [json!(41), json!(42.0), json!("43"), json!("44.0"), json!(9_007_199_254_740_991.0), json!("9223372036854775807")];
    // From 2^53 on a number with a point may have been rounded.
    let bad = [json!(41.5), json!(-1), json!("4x"), json!("1 "), json!(9_007_199_254_740_992.0), json!("9223372036854775808"), json!(true)];
    let items: Vec<Value> = good.iter().chain(&bad).cloned().map(crossing).collect();
    let provided = provider(move |_, _| answer(200, &json!({"data": items}))).await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let config = config(&provided.url, "", &format!("{CROSSINGS}seq = \"/id\"\n"));
    puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
    let arrived = ledger.arrived.lock().unwrap();
    let found: Vec<u64> = arrived.crossings.iter().map(|one| one.key.seq).collect();
    assert_eq!(found, [41, 42, 43, 44, 9_007_199_254_740_991, 9_223_372_036_854_775_807]);
    assert_eq!(arrived.rejected.len(), bad.len(), "{:?}", arrived.rejected);
    assert!(arrived.rejected.keys().all(|why| why.contains("and not a whole number from 0 to")), "{:?}", arrived.rejected);
}

#[tokio::test]
async fn two_flags_numbers_and_ids_of_ours_make_a_crossing() {
    let table = "[crossings]\ndpu_id = \"/d\"\nat = \"/t\"\nplus = \"/in\"\nminus = \"/out\"\nseq = \"/id\"\nboot = \"/run\"\n[dpus]\n7 = \"front\"\n";
    let t = "2026-01-01T01:00:00+01:00";
    let items = json!([
        {"d": 7, "t": t, "in": true, "out": false, "id": 5, "run": 2}, {"d": 7, "t": t, "in": 1, "out": 1, "id": 6, "run": 2},
        {"d": 7, "t": t, "in": 2, "id": 7, "run": 2}, {"d": 7, "t": t, "in": 0, "id": 8, "run": 2}, {"d": "front", "t": t, "in": 1, "id": 9, "run": 2},
    ]);
    let provided = provider(move |_, _| answer(200, &json!({"data": items}))).await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    puller(&config(&provided.url, "", table), folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
    let arrived = ledger.arrived.lock().unwrap();
    let found: Vec<_> =
        arrived.crossings.iter().map(|one| (one.dpu.as_str(), one.key.boot, one.key.seq, one.key.direction.sign())).collect();
    assert_eq!(found, [("front", 2, 5, 1), ("front", 2, 6, -1), ("front", 2, 6, 1)]);
    let whys: String = arrived.rejected.keys().map(String::as_str).collect();
    for says in ["several at one instant are interval counts", "neither \"/in\" nor \"/out\" is true", "which is our id of \"7\""] {
        assert!(whys.contains(says), "{whys}");
    }
}

#[tokio::test]
async fn what_is_no_page_is_told_and_never_skipped() {
    let redirect = |_: &HeaderMap| (axum::http::StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response();
    let plain = |body: &'static str| move |_: &HeaderMap| body.into_response();
    let status = |status| move |_: &HeaderMap| answer(status, &json!({"data": []}));
    type Case = (Box<dyn Fn(&HeaderMap) -> Response + Send + Sync>, u32, &'static str);
    let cases: Vec<Case> = vec![
        (Box::new(redirect), 1, "the provider redirects (302)"),
        (Box::new(status(401)), 1, "refuses the request with 401"),
        (Box::new(status(503)), 3, "the provider says 503"),
        (Box::new(plain("<html>")), 3, "the answer is no JSON: expected value"),
        (Box::new(plain("{\"data\":[")), 3, "the answer is no JSON: EOF"),
        (Box::new(plain("{\"error\":\"sorry\"}")), 3, "there is no list at \"/data\""),
        (Box::new(|_: &HeaderMap| " ".repeat(2_000).into_response()), 3, "larger than max_answer_bytes (1000)"),
    ];
    for (behaves, attempts_expected, says) in cases {
        let provided = provider(move |_, headers| behaves(headers)).await;
        let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
        let config = config(&provided.url, "", CROSSINGS).replace("once_attempts = 200", "once_attempts = 3\nmax_answer_bytes = 1000");
        let error = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap_err();
        let PullError::NoPage { attempts, trouble } = error else { panic!("{error}") };
        assert!(attempts == attempts_expected && trouble.to_string().contains(says), "{attempts} attempts: {trouble}");
        assert!(!folder.path().join("state.json").exists(), "the cursor moved");
    }
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let nobody = config("http://127.0.0.1:1", "", CROSSINGS).replace("once_attempts = 200", "once_attempts = 2");
    let error = puller(&nobody, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap_err();
    assert!(matches!(error, PullError::NoPage { attempts: 2, trouble: Trouble::Unreachable(_) }), "{error}");
}

#[tokio::test]
async fn a_provider_that_asks_for_a_pause_gets_it_and_headers_go_along() {
    let asked = AtomicUsize::new(0);
    let provided = provider(move |_, headers| {
        assert_eq!(headers["authorization"], "Bearer s3cret");
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            let mut busy = answer(429, &json!({}));
            busy.headers_mut().insert(header::RETRY_AFTER, "1".parse().unwrap());
            return busy;
        }
        answer(200, &json!({"data": [crossing(1)]}))
    })
    .await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
    let headers = format!("{CROSSINGS}[headers]\nauthorization = {{ file = \"token\", prefix = \"Bearer \" }}\n");
    let began = Instant::now();
    puller(&config(&provided.url, "", &headers), folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1), "it came again after {:?}", began.elapsed());
    assert_eq!(ledger.arrived.lock().unwrap().crossings.len(), 1);
}
