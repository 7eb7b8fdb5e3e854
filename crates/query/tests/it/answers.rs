//! What now means, who has been heard, what is missing, what verify finds.

use std::sync::Arc;

use occupancy::baseline::Kind;
use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::edit::{Change, Correction, Note};
use occupancy::ledger::Totals;
use occupancy::topology::Reset;
use query::{ClockOffset, Difference, Query, QueryError, State};
use store::{Commit, LedgerWrite, Ledgers, MemoryStore, Quarantined, Reason, Source};

use crate::support::{NOW, at, campus, edit, hung, id, key, query, take, topology};

async fn hall() -> (Arc<MemoryStore>, Query) {
    let store = Arc::new(MemoryStore::new());
    let query = query(&store, at(NOW));
    edit(&query, topology(campus())).await;
    (store, query)
}

#[tokio::test]
async fn now_is_the_clock_or_the_newest_crossing_and_answers_like_that_instant() {
    let (store, query) = hall().await;
    take(&store, "1", vec![key("2024-03-01T11:00:00Z", 1)], None, at("2024-03-01T11:00:00Z")).await;
    let now = query.count(&id("hall"), None).await.unwrap();
    assert_eq!((now.at, now.raw, now.settled()), (at(NOW), 1, false));
    assert_eq!(now.heard_to, Some(at("2024-03-01T11:00:00Z")));
    assert_eq!((now.silent.clone(), now.uncovered.clone()), (vec![id("1")], vec![id("side")]));

    take(&store, "1", vec![key("2024-03-01T12:03:00Z", 1)], None, at(NOW)).await;
    let ahead = query.count(&id("hall"), None).await.unwrap();
    assert_eq!((ahead.at, ahead.raw), (at("2024-03-01T12:03:00Z"), 2), "a DPU's clock may run ahead");
    assert_eq!(query.count(&id("hall"), Some(ahead.at)).await.unwrap(), ahead);

    let late = at("2024-03-01T12:05:00.001Z");
    assert_eq!(query.count(&id("hall"), Some(late)).await, Err(QueryError::Ahead { at: late, latest: at("2024-03-01T12:05:00Z") }));
    assert_eq!(query.count(&id("nowhere"), None).await, Err(QueryError::UnknownSpace("nowhere".to_owned())));
}

#[tokio::test]
async fn several_spaces_are_answered_at_one_instant_with_their_baselines() {
    let (store, query) = hall().await;
    let mut document = campus();
    let four = "04:00:00".parse().unwrap();
    document.resets = vec![Reset { space: id("hall"), from: at("2024-02-01T00:00:00Z"), at: Some(four) }];
    edit(&query, topology(document)).await;
    let counted = Correction { id: id("c"), space: id("campus"), at: at("2024-03-01T03:00:00Z"), count: 40 };
    edit(&query, Change::Corrections { corrections: vec![counted], note: Note::default() }).await;
    let seen = vec![key("2024-02-29T23:00:00Z", 1), key("2024-03-01T04:00:00Z", -1), key("2024-03-01T05:00:00Z", -1)];
    take(&store, "1", seen, None, at("2024-03-01T05:00:00Z")).await;

    let counts = query.counts(&[id("hall"), id("campus"), id("hall")], None).await.unwrap();
    let told: Vec<_> = counts.iter().map(|count| (count.baseline.kind, count.raw, count.count(), count.exited)).collect();
    assert_eq!(told, [(Kind::Reset, -2, 0, 2), (Kind::Correction, 38, 38, 2), (Kind::Reset, -2, 0, 2)]);
    assert!(query.counts(&[], None).await.is_err());
    assert!(query.counts(&vec![id("hall"); 1001], None).await.is_err());
}

#[tokio::test]
async fn dpus_have_a_state_and_are_listed_by_where_they_hang() {
    let (store, query) = hall().await;
    let beat = |text: &str| Some(Heartbeat { at: at(text), boot: 1, last_seq: 0 });
    let moved = vec![hung("2", "side", "hall", "2024-01-01T00:00:00Z", Some("2024-02-01T00:00:00Z"))];
    edit(&query, Change::Installations { dpu: id("2"), list: moved }).await;
    edit(&query, Change::Installations { dpu: id("3"), list: vec![hung("3", "side", "hall", NOW, None)] }).await;
    edit(&query, Change::Installations { dpu: id("4"), list: vec![hung("4", "side", "hall", NOW, None)] }).await;
    take(&store, "1", vec![], beat("2024-03-01T11:58:00Z"), at("2024-03-01T11:58:00Z")).await;
    take(&store, "4", vec![key("2024-03-01T11:59:00Z", 1)], None, at(NOW)).await;
    take(&store, "5", vec![key("2024-03-01T11:59:00Z", 1)], None, at(NOW)).await;

    let all = query.dpus(None, None, 10).await.unwrap();
    let states: Vec<_> = all.items.iter().map(|dpu| (dpu.id.to_string(), dpu.state)).collect();
    let expected =
        [("1", State::Healthy), ("2", State::Unmonitored), ("3", State::Silent), ("4", State::Unmonitored), ("5", State::Unplaced)];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
    assert_eq!(all.next, None);
    let census = query.census().await.unwrap();
    assert_eq!(census.dpus.into_values().collect::<Vec<_>>(), [1, 1, 2, 1]);

    let ids = |page: query::Page<query::Dpu, _>| (page.items.iter().map(|dpu| dpu.id.to_string()).collect::<Vec<_>>().join(" "), page.next);
    assert_eq!(ids(query.dpus(None, None, 2).await.unwrap()), ("1 2".to_owned(), Some(id("2"))));
    assert_eq!(ids(query.dpus(None, Some(&id("2")), 3).await.unwrap()), ("3 4 5".to_owned(), None));
    assert_eq!(ids(query.dpus(Some(true), Some(&id("1")), 2).await.unwrap()), ("2 3".to_owned(), Some(id("3"))));
    assert_eq!(ids(query.dpus(Some(false), None, 2).await.unwrap()), ("5".to_owned(), None));
    assert_eq!(query.dpu(&id("6")).await, Err(QueryError::UnknownDpu("6".to_owned())));
    assert_eq!(query.dpus(None, None, 0).await, Err(QueryError::Limit { asked: 0, most: 1000 }));
}

#[tokio::test]
async fn missing_crossings_are_those_numbered_and_never_got() {
    let (store, query) = hall().await;
    let numbered = |text: &str, boot, seq| Key { at: at(text), boot, seq, direction: Direction::Plus };
    let missing = async || query.missing(&query.dpu(&id("1")).await.unwrap()).await.unwrap();
    assert_eq!(missing().await, None);
    take(&store, "1", vec![key("2024-02-20T00:00:00Z", 1)], None, at(NOW)).await;
    assert_eq!(missing().await, None, "no numbers");
    let seen =
        [("2024-02-26T10:00:00Z", 7, 90), ("2024-02-27T10:00:00Z", 3, 5), ("2024-02-28T10:00:00Z", 3, 8), ("2024-02-28T10:00:00Z", 3, 9)];
    take(&store, "1", seen.map(|(text, boot, seq)| numbered(text, boot, seq)).to_vec(), None, at(NOW)).await;
    assert_eq!(missing().await, Some(2), "6 and 7 of boot 3");
    let beat = |text: &str, boot, last_seq| Some(Heartbeat { at: at(text), boot, last_seq });
    take(&store, "1", vec![], beat("2024-02-28T11:00:00Z", 3, 12), at(NOW)).await;
    assert_eq!(missing().await, Some(5), "the heartbeat tells of 10, 11 and 12");
    take(&store, "1", vec![], beat("2024-02-29T11:00:00Z", 8, 4), at(NOW)).await;
    assert_eq!(missing().await, None, "a new boot, nothing of it yet");
}

#[tokio::test]
async fn the_clock_offset_is_of_the_last_crossings_also_where_a_rush_came_before_a_quiet_hour() {
    let (store, query) = hall().await;
    let last = at("2024-02-29T20:00:00Z");
    // Five thousand in an hour and a half, an hour and a half before the last; the clock was set within the last fifty of them.
    let rush = |n: i64| last.plus_ms(-3 * 3_600_000 + n * 1000);
    let keys = |from: i64, to: i64| (from..to).map(|n| Key { at: rush(n), ..key(NOW, 1) }).collect::<Vec<_>>();
    for (keys, late_ms) in [(keys(0, 4_950), 60_000), (keys(4_950, 5_000), 500), (vec![Key { at: last, ..key(NOW, 1) }], 200)] {
        for one in keys {
            take(&store, "1", vec![one], None, one.at.plus_ms(late_ms)).await;
        }
    }
    let told = query.clock_offset(&query.dpu(&id("1")).await.unwrap()).await.unwrap();
    assert_eq!(told, Some(ClockOffset { crossings: 100, least_ms: 200, median_ms: 500, worst_ms: 60_000 }));
}

#[tokio::test]
async fn quarantine_pages_by_source_and_reason() {
    let (store, query) = hall().await;
    let row = |index: u32| Quarantined {
        source: Source { topic: "http".to_owned(), partition: 0, offset: 1, index },
        reason: if index.is_multiple_of(3) { Reason::ClockUnset } else { Reason::Undecodable },
        detail: "bad".to_owned(),
        dpu: None,
        received_at: at(NOW),
        payload: vec![0xff],
        replayed_at: None,
    };
    store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: (0..450).map(row).collect() })).await.unwrap();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = query.quarantined(Some(Reason::ClockUnset), after.as_ref(), 60).await.unwrap();
        found.extend(page.items.iter().map(|row| row.source.index));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, (0..450).step_by(3).collect::<Vec<_>>());
    assert_eq!(
        query.census().await.unwrap().quarantine,
        [(Reason::Undecodable, 300), (Reason::ClockAhead, 0), (Reason::ClockUnset, 150), (Reason::TooLate, 0)].into()
    );
}

#[tokio::test]
async fn verify_tells_what_differs() {
    let (store, _) = hall().await;
    let seen = vec![key("2024-02-28T10:00:00Z", 1), key("2024-02-29T10:00:00Z", 1), key("2024-02-29T11:00:00Z", -1)];
    take(&store, "1", seen, None, at(NOW)).await;
    let fine = query::verify(&*store, |difference| panic!("{difference}")).await.unwrap();
    assert_eq!((fine.dpus, fine.crossings, fine.differences), (1, 3, 0));

    let dpu = id("1");
    let mut counters = store.counters(std::slice::from_ref(&dpu)).await.unwrap().pop().flatten().unwrap();
    let mut rows = store.crossings(&dpu, key("2024-02-29T11:00:00Z", -1), at(NOW), 1).await.unwrap();
    rows[0].totals.entered = 9;
    counters.day.entered = 9;
    counters.stamp_us += 1;
    let openings = vec![(at("2024-02-29T00:00:00Z").day(), Totals { entered: 7, exited: 0 })];
    let spoilt = LedgerWrite { dpu, stamp_us: counters.stamp_us, openings, rows: rows.into(), counters: Some(counters) };
    store.commit(Arc::new(Commit { ledgers: vec![spoilt], quarantine: Vec::new() })).await.unwrap();
    let mut told = Vec::new();
    let found = query::verify(&*store, |difference| told.push(difference)).await.unwrap();
    assert_eq!(found.differences, 3);
    assert!(matches!(told[..], [Difference::Opening { .. }, Difference::Row { .. }, Difference::Counters { .. }]), "{told:?}");
    assert!(told[0].to_string().contains("stored 7 entered 0 exited, recomputed 1 entered 0 exited"), "{}", told[0]);
}
