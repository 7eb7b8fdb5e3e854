//! Interval counts that are read again, raised, lowered, and not over yet.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use occupancy::time::UnixMs;
use serde_json::{Value, json};
use wire::Interval;

use crate::provider::{Ledger, Provided, QUICK, at, json as answer, provider, puller};

const NOW: &str = "2026-01-01T12:00:00Z";

fn config(url: &str, more: &str) -> String {
    let table = "[intervals]\ndpu_id = \"/d\"\nstart = \"/from\"\nend = \"/to\"\nentered = \"/in\"\nexited = \"/out\"\nsettle_s = 60\n";
    format!("name = \"a\"\nurl = \"{url}\"\n[page]\nitems = \"\"\n{table}{QUICK}{more}")
}

fn quarter(hour: i64, quarter: i64, entered: u32, exited: u32) -> Value {
    let day: UnixMs = "2026-01-01T00:00:00Z".parse().unwrap();
    let from = day.plus_ms((hour * 4 + quarter) * 900_000);
    json!({"d": "d", "from": from.to_string(), "to": from.plus_ms(900_000).to_string(), "in": entered, "out": exited})
}

/// A provider that says what was last put there.
async fn saying() -> (Provided, Arc<Mutex<Vec<Value>>>) {
    let items = Arc::new(Mutex::new(Vec::new()));
    let said = items.clone();
    (provider(move |_, _| answer(200, &json!(*said.lock().unwrap()))).await, items)
}

/// How many crossed each way.
fn counted(ledger: &Ledger) -> (usize, usize) {
    let arrived = ledger.arrived.lock().unwrap();
    let entered = arrived.crossings.iter().filter(|crossing| crossing.key.direction.sign() == 1).count();
    (entered, arrived.crossings.len() - entered)
}

#[tokio::test]
async fn a_raised_count_adds_the_difference_and_a_lowered_one_is_told() {
    let (provided, items) = saying().await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let config = config(&provided.url, "");
    for (said, counts, rejected) in [
        ((5, 5), (5, 5), 0),
        ((5, 5), (5, 5), 0),
        ((6, 5), (6, 5), 0),
        ((5, 7), (6, 7), 1),
        ((5, 7), (6, 7), 0),
        ((4, 7), (6, 7), 1),
        ((8, 8), (8, 8), 0),
    ] {
        *items.lock().unwrap() = vec![quarter(8, 0, said.0, said.1), quarter(8, 1, 0, 0)];
        let round = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
        assert_eq!((counted(&ledger), round.rejected), (counts, rejected), "{said:?}");
    }
    let arrived = ledger.arrived.lock().unwrap();
    let why = arrived.rejected.keys().next().unwrap();
    assert!(why.starts_with("the interval says 4 entered, 7 exited, and has said up to 6, 7"), "{why}");
    assert_eq!(arrived.heard_to["d"].to_string(), "2026-01-01T08:29:59.999Z");
    let interval = Interval {
        start: "2026-01-01T08:00:00Z".parse::<UnixMs>().unwrap(),
        length_ms: NonZeroU32::new(900_000).unwrap(),
        entered: 8,
        exited: 8,
    };
    let replayed: Vec<_> = interval.crossings();
    assert!(arrived.crossings.iter().map(|crossing| crossing.key).eq(replayed), "a file of the same counts would count again");
}

#[tokio::test]
async fn that_a_count_was_lowered_is_noticed_though_it_was_lost_whether_the_greater_one_arrived() {
    let (provided, items) = saying().await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let failing = Ledger { fails: Arc::new(|| true), ..ledger.clone() };
    let config = config(&provided.url, "").replace("once_attempts = 200", "once_attempts = 1");
    *items.lock().unwrap() = vec![quarter(8, 0, 6, 0)];
    let error = puller(&config, folder.path(), &failing, &at(NOW)).round(true).await.unwrap_err();
    assert_eq!(error.to_string(), "not published after 1 attempts: the answer got lost");
    *items.lock().unwrap() = vec![quarter(8, 0, 5, 0)];
    let round = puller(&config, folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
    assert_eq!((counted(&ledger), round.rejected), ((6, 0), 1));
}

#[tokio::test]
async fn an_interval_is_taken_once_it_is_over_and_the_cursor_waits_for_it() {
    let items = vec![quarter(11, 2, 1, 1), quarter(11, 3, 2, 2), quarter(13, 1, 9, 9)];
    let provided = provider(move |query, _| {
        let items = if query == "after=2026-01-01T13%3A30%3A00.000Z" { vec![] } else { items.clone() };
        answer(200, &json!({"list": items}))
    })
    .await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let config =
        config(&format!("{}?after={{cursor}}", provided.url), "").replace("items = \"\"", "items = \"/list\"\nnext_of_last_item = \"/to\"");
    for (now, pages, rejected, counts) in [
        // The last begins more than an hour from here, which is wrong.
        ("2026-01-01T12:00:59.999Z", 1, 1, (1, 1)),
        ("2026-01-01T12:01:00Z", 2, 0, (3, 3)),
    ] {
        let round = puller(&config, folder.path(), &ledger, &at(now)).round(true).await.unwrap();
        assert_eq!((round.pages, round.rejected, counted(&ledger)), (pages, rejected, counts), "{now}");
    }
    let folder = tempfile::tempdir().unwrap();
    let round = puller(&config, folder.path(), &Ledger::default(), &at("2026-01-01T12:20:00Z")).round(true).await.unwrap();
    assert_eq!((round.pages, round.rejected), (1, 0), "it waits for the last");
}

/// Of a provider whose first page holds an interval of now: pages read, items rejected. The cursor waits for what is not over.
async fn first_of_two(end: &str, more: &str) -> (u64, u64) {
    let items = vec![json!({"d": "d", "from": NOW, "to": end, "in": 1, "out": 1.0})];
    let provided = provider(move |query, _| {
        let list = if query.ends_with('0') { items.clone() } else { Vec::new() };
        answer(200, &json!({"list": list, "next": 1}))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&format!("{}?after={{cursor}}", provided.url), "").replace("settle_s = 60", &format!("settle_s = 60\n{more}"));
    let config = format!("start_cursor = \"0\"\n{}", config.replace("items = \"\"", "items = \"/list\"\nnext = \"/next\""));
    let round = puller(&config, folder.path(), &Ledger::default(), &at(NOW)).round(true).await.unwrap();
    (round.pages, round.rejected)
}

#[tokio::test]
async fn one_interval_with_a_wrong_end_does_not_hold_the_cursor() {
    for (end, more, pages_and_rejected) in [
        ("2026-02-10T12:00:00Z", "", (2, 1)),
        ("2026-01-02T13:00:00.001Z", "", (2, 1)),
        // The longest day; then a week, where somebody counts weeks.
        ("2026-01-02T13:00:00Z", "", (1, 0)),
        ("2026-01-08T12:00:00Z", "longest_interval_s = 604800", (1, 0)),
        ("2026-01-01T12:15:01Z", "longest_interval_s = 900", (2, 1)),
    ] {
        assert_eq!(first_of_two(end, more).await, pages_and_rejected, "{end} {more}");
    }
}

#[tokio::test]
async fn wrong_intervals_are_rejected() {
    let (provided, items) = saying().await;
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::default());
    let mut bad = vec![quarter(8, 0, 1, 1), quarter(8, 0, 900_001, 1), quarter(8, 0, 1, 1), quarter(8, 0, 1, 1), quarter(8, 0, 1, 1)];
    bad[0]["out"] = json!(1.0);
    bad[2]["from"] = json!("2026-01-01T08:10:00Z");
    bad[3]["to"] = bad[3]["from"].clone();
    bad[4]["from"] = json!("1999-12-31T23:50:00Z");
    bad[4]["to"] = json!("2000-01-01T00:00:00Z");
    *items.lock().unwrap() = bad;
    let round = puller(&config(&provided.url, ""), folder.path(), &ledger, &at(NOW)).round(true).await.unwrap();
    assert_eq!((counted(&ledger), round.rejected), ((1, 1), 4));
    let whys: Vec<String> = ledger.arrived.lock().unwrap().rejected.keys().cloned().collect();
    for says in [
        "and not a whole number from 0 to 100000",
        "it overlaps the DPU's interval from 2026-01-01T08:00",
        "it lasts 0 ms",
        "before 2000-01-01",
    ] {
        assert!(whys.iter().any(|why| why.contains(says)), "{says}: {whys:?}");
    }
}
