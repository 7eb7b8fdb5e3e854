//! Reads: totals at any instant, the tail of a ledger, pages.

use std::sync::Arc;

use occupancy::crossing::Key;
use occupancy::ledger::{Counters, DayTail, Record, Row, Tail};
use occupancy::time::{Day, UnixMs};

use super::writes::quarantined;
use super::{Lane, Subject, at, dpu, key, totals};
use crate::{Commit, LedgerWrite, Part, Source};

fn row(key: Key, entered: u64, exited: u64) -> Row {
    Row { key, totals: totals(entered, exited), appended_at: at(20, 0) }
}

/// Days before 1970, gaps between days, both edges of a day, and the ends of time.
pub async fn totals_follow_the_days(subject: &mut impl Subject) {
    let (store, id) = (subject.store(), dpu("d1"));
    let day_ms = occupancy::time::DAY_MS;
    let crossings = vec![key(-3, 0, true), key(-3, day_ms - 1, true), key(-1, 5, false), key(0, 0, true), key(7, 9, true)];
    let record = Record { crossings: crossings.into(), heartbeat: None, appended_at: at(20, 0), position: None };
    Lane::default().take(store, &[(id.clone(), record)]).await.unwrap();
    let expected = [
        (UnixMs::MIN, totals(0, 0)),
        (at(-3, 0), totals(0, 0)),
        (at(-3, 1), totals(1, 0)),
        (at(-3, day_ms - 1), totals(1, 0)),
        (at(-2, 0), totals(2, 0)),
        (at(-1, 0), totals(2, 0)),
        (at(-1, 5), totals(2, 0)),
        (at(-1, 6), totals(2, 1)),
        (at(0, 0), totals(2, 1)),
        (at(0, 1), totals(3, 1)),
        (at(7, 9), totals(3, 1)),
        (at(7, 10), totals(4, 1)),
        (UnixMs::MAX, totals(4, 1)),
    ];
    let mut asked: Vec<_> = expected.iter().map(|(before, _)| (id.clone(), *before)).collect();
    asked.push((dpu("d2"), UnixMs::MAX));
    let mut answers: Vec<_> = expected.iter().map(|(_, totals)| *totals).collect();
    answers.push(totals(0, 0));
    assert_eq!(store.totals(&asked).await.unwrap(), answers);
}

/// Stamps tell which totals a commit changed, all of it or a half.
pub async fn stamps_tell_which_state_totals_are_of(subject: &mut impl Subject) {
    let (store, id) = (subject.store(), dpu("d1"));
    let record = |crossings: Vec<Key>| {
        let crossings = crossings.into();
        [(id.clone(), Record { crossings, heartbeat: None, appended_at: at(20, 0), position: None })]
    };
    let mut lane = Lane::default();
    for crossings in [vec![key(3, 9, true)], vec![key(4, 10, true), key(4, 20, false)], vec![key(4, 30, true), key(9, 0, true)]] {
        lane.take(store, &record(crossings)).await.unwrap();
    }
    let instants = [at(3, 9), at(4, 0), at(4, 10), at(4, 11), at(4, 25), at(4, 31), at(5, 0), at(7, 5), at(9, 0), at(9, 1)];
    let asked = instants.iter().flat_map(|at| [(id.clone(), *at, Part::Whole), (id.clone(), *at, Part::WithinDay)]);
    let asked: Vec<_> = asked.chain([(dpu("d2"), at(9, 1), Part::Whole)]).collect();
    for late in [key(4, 15, true), key(3, 8, false), key(6, 0, true), key(9, 5, true), key(2, 2, true)] {
        let before = store.stamped(&asked).await.unwrap();
        let held = store.counters(std::slice::from_ref(&id)).await.unwrap()[0].unwrap().stamp_us;
        let whole = lane.prepare(store, &record(vec![late])).await.unwrap();
        let cut = |rows: usize| {
            let cut = |write: &LedgerWrite| {
                let rows = write.rows.iter().rev().take(rows).rev().copied().collect();
                LedgerWrite { rows, counters: None, ..write.clone() }
            };
            Commit { ledgers: whole.ledgers.iter().map(cut).collect(), quarantine: Vec::new() }
        };
        for commit in [cut(0), cut(1), cut(usize::MAX), whole.clone()] {
            store.commit(Arc::new(commit)).await.unwrap();
            let after = store.stamped(&asked).await.unwrap();
            for ((before, after), asked) in before.iter().zip(&after).zip(&asked) {
                assert!(after.stamp_us > held || before.totals == after.totals, "{late:?}: {asked:?}");
            }
        }
    }
}

/// Tails over gaps, over an opening a crash left without crossings, and with a stored opening that is wrong.
pub async fn tails_hold_what_a_merge_needs(subject: &mut impl Subject) {
    let (store, id) = (subject.store(), dpu("d1"));
    let (a, b, c) = (row(key(-2, 5, true), 1, 0), row(key(-2, 8, true), 2, 0), row(key(3, 1, false), 0, 1));
    let (d, e) = (row(key(8, 2, true), 1, 0), row(key(8, 4, true), 2, 0));
    let wrong = totals(900, 0);
    let openings = vec![(Day(-2), totals(0, 0)), (Day(3), totals(2, 0)), (Day(5), wrong), (Day(8), wrong)];
    let counters = Some(Counters { last: Some(e.key), stamp_us: 1, ..Counters::default() });
    let write = LedgerWrite { dpu: id.clone(), stamp_us: 1, openings, rows: vec![a, b, c, d, e].into(), counters };
    store.commit(Arc::new(Commit { ledgers: vec![write], quarantine: Vec::new() })).await.unwrap();

    let orphan = (Day(5), DayTail::default());
    let last = |row| DayTail { last: Some(row), ..DayTail::default() };
    let cases = [
        (vec![], totals(0, 0), vec![]),
        // At the end of the last day.
        (vec![key(8, 4, true)], totals(2, 1), vec![(Day(8), DayTail { before: totals(1, 0), rows: vec![e], last: Some(e) })]),
        // After everything within a day.
        (vec![key(8, 9, true)], totals(2, 1), vec![(Day(8), DayTail { before: totals(2, 0), rows: vec![], last: Some(e) })]),
        // In a day without crossings, after one that has none either.
        (vec![key(6, 0, true)], totals(2, 1), vec![(Day(8), last(e))]),
        (vec![key(5, 0, true)], totals(2, 1), vec![orphan.clone(), (Day(8), last(e))]),
        // Two days at once, the first before everything.
        (
            vec![key(-2, 0, true), key(3, 1, true)],
            totals(0, 0),
            vec![
                (Day(-2), DayTail { before: totals(0, 0), rows: vec![a, b], last: Some(b) }),
                (Day(3), DayTail { before: totals(0, 1), rows: vec![], last: Some(c) }),
                orphan.clone(),
                (Day(8), last(e)),
            ],
        ),
        // After the last day, whose opening is believed: it lies before the merge.
        (vec![key(30, 0, true)], totals(902, 0), vec![]),
    ];
    for (from, before, days) in cases {
        let tail = Tail { before, days: days.into_iter().collect() };
        assert_eq!(store.tail(&id, &from).await.unwrap(), tail, "from {from:?}");
    }
}

/// Rows by range and by page.
pub async fn crossings_come_in_pages(subject: &mut impl Subject) {
    let (store, id) = (subject.store(), dpu("d1"));
    let keys: Vec<Key> = (0..20).map(|i| key(i / 7 - 1, i64::from(i), i % 3 == 0)).collect();
    let records = |id: &str| (dpu(id), Record { crossings: keys.clone().into(), heartbeat: None, appended_at: at(20, 0), position: None });
    // Neighbours whose ids begin alike must not leak in.
    Lane::default().take(store, &["d", "d1", "d10", "d1-", "d2"].map(records)).await.unwrap();
    for limit in [1, 3, 7, 20, usize::MAX] {
        let (mut found, mut from) = (Vec::new(), Key::first_at(UnixMs::MIN));
        loop {
            let page = store.crossings(&id, from, UnixMs::MAX, limit.saturating_add(1)).await.unwrap();
            found.extend(page.iter().take(limit).map(|row| row.key));
            match page.get(limit) {
                Some(row) => from = row.key,
                None => break,
            }
        }
        assert_eq!(found, keys);
    }
    let within = |from: Key, until: UnixMs| keys.iter().copied().filter(move |key| *key >= from && key.at < until).collect::<Vec<_>>();
    for (from, until) in [(keys[3], keys[9].at), (keys[3], keys[9].at.plus_ms(1)), (keys[5], keys[5].at), (keys[9], keys[3].at)] {
        let found = store.crossings(&id, from, until, usize::MAX).await.unwrap();
        assert_eq!(found.iter().map(|row| row.key).collect::<Vec<_>>(), within(from, until));
    }
    assert_eq!(store.crossings(&id, keys[0], UnixMs::MAX, 0).await, Ok(vec![]));
}

/// DPUs in order of id.
pub async fn dpus_come_in_pages(subject: &mut impl Subject) {
    let store = subject.store();
    let ids = ["10", "2", "A", "a", "a-b", "a.b", "a:", "aa", "b"].map(dpu);
    let record = Record { crossings: vec![key(0, 0, true)].into(), heartbeat: None, appended_at: at(20, 0), position: None };
    for id in ids.iter().rev() {
        Lane::default().take(store, &[(id.clone(), record.clone())]).await.unwrap();
    }
    let mut sorted = ids.to_vec();
    sorted.sort();
    for limit in [1, 2, 9, usize::MAX] {
        let (mut found, mut page) = (Vec::new(), store.dpus(None, limit).await.unwrap());
        while let Some((last, _)) = page.last() {
            let next = store.dpus(Some(last), limit).await.unwrap();
            found.extend(std::mem::replace(&mut page, next));
        }
        assert_eq!(found.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), sorted);
        assert!(found.iter().all(|(_, counters)| counters.totals() == totals(1, 0)));
    }
    assert_eq!(store.dpus(Some(&dpu("a-a")), 1).await.unwrap()[0].0, dpu("a-b"));
}

/// Quarantine in order of source.
pub async fn quarantine_comes_in_pages(subject: &mut impl Subject) {
    let store = subject.store();
    let mut all = Vec::new();
    for topic in ["http", "a", "a.b"] {
        for (partition, offset, index) in [(0, 0, 0), (0, 0, Source::WHOLE), (0, 300, 1), (1, 2, 0), (1, 2, 256), (-1, -1, 5)] {
            all.push(quarantined(topic, partition, offset, index));
        }
    }
    store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: all.clone() })).await.unwrap();
    all.sort_by(|a, b| a.source.cmp(&b.source));
    for limit in [1, 4, usize::MAX] {
        let (mut found, mut page) = (Vec::new(), store.quarantined(None, limit).await.unwrap());
        while let Some(last) = page.last() {
            let next = store.quarantined(Some(&last.source), limit).await.unwrap();
            found.extend(std::mem::replace(&mut page, next));
        }
        assert_eq!(found, all);
    }
}
