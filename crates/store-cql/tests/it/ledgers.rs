//! Ledgers beyond the suite: extreme keys, many days, many DPUs, quarantine across buckets.

use std::sync::Arc;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::ledger::Record;
use occupancy::time::{DAY_MS, UnixMs};
use store::conformance::model::Model;
use store::conformance::{Lane, ledger};
use store::{Commit, Ledgers, Quarantined, Reason, Source};

use crate::cluster;

fn at(day: i64, ms: i64) -> UnixMs {
    UnixMs::new(day * DAY_MS + ms).unwrap()
}

fn record(crossings: Vec<Key>) -> Record {
    Record { crossings: crossings.into(), heartbeat: None, appended_at: at(20_000, 0), position: None }
}

fn dpu(n: usize) -> DpuId {
    format!("dpu-{n}").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_boot_and_seq_of_64_bits_is_kept_in_order() {
    let Some(store) = cluster::store().await else { return };
    let id = dpu(0);
    let signed = i64::MAX.cast_unsigned();
    let numbers = [0, 1, 127, 128, 255, 256, 32_767, 32_768, signed - 1, signed, signed + 1, u64::MAX - 1, u64::MAX];
    let mut keys = Vec::new();
    for (boot, seq) in numbers.iter().flat_map(|boot| numbers.map(|seq| (*boot, seq))) {
        keys.extend([Direction::Minus, Direction::Plus].map(|direction| Key { at: at(3, 5), boot, seq, direction }));
    }
    let heartbeat = Some(Heartbeat { at: at(3, 6), boot: u64::MAX, last_seq: u64::MAX });
    // The later ones first: so the rest are merged before them.
    let (early, late) = keys.split_at(keys.len() / 2);
    let mut lane = Lane::default();
    lane.take(&store, &[(id.clone(), Record { heartbeat, ..record(late.to_vec()) })]).await.unwrap();
    lane.take(&store, &[(id.clone(), record(early.to_vec()))]).await.unwrap();
    let found = ledger(&store, &id).await;
    let model: Model = keys.iter().copied().collect();
    assert_eq!(found.rows.iter().map(|row| (row.key, row.totals)).collect::<Vec<_>>(), model.rows());
    let counters = found.counters.unwrap();
    assert_eq!((counters.last, counters.heartbeat), (keys.last().copied(), heartbeat));
    for (i, key) in keys.iter().enumerate().step_by(17) {
        let page = store.crossings(&id, *key, UnixMs::MAX, 3).await.unwrap();
        let expected: Vec<Key> = keys.iter().skip(i).take(3).copied().collect();
        assert_eq!(page.iter().map(|row| row.key).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_of_many_days_is_read_and_mended() {
    let Some(store) = cluster::store().await else { return };
    let id = dpu(0);
    let key = |n: i64| Key {
        direction: if n % 3 == 0 { Direction::Plus } else { Direction::Minus },
        ..Key::first_at(at(10_000 + n / 2, n * 7_001 % DAY_MS))
    };
    // More days than a page of them holds.
    let mut keys: Vec<Key> = (0..600).map(key).collect();
    let mut lane = Lane::default();
    lane.take(&store, &[(id.clone(), record(keys.clone()))]).await.unwrap();
    // Two late ones, before everything and on a day in the middle: every later opening changes.
    let late = [Key::first_at(at(9_000, 1)), Key::first_at(at(10_150, 1))];
    lane.take(&store, &[(id.clone(), record(late.to_vec()))]).await.unwrap();
    keys.extend(late);
    keys.sort();
    let model: Model = keys.iter().copied().collect();
    assert_eq!(store.openings(&id).await.unwrap().into_iter().collect::<std::collections::BTreeMap<_, _>>(), model.openings());
    let (mut found, mut from) = (Vec::new(), Key::first_at(UnixMs::MIN));
    loop {
        let page = store.crossings(&id, from, UnixMs::MAX, 251).await.unwrap();
        found.extend(page.iter().take(250).map(|row| (row.key, row.totals)));
        match page.get(250) {
            Some(next) => from = next.key,
            None => break,
        }
    }
    assert_eq!(found, model.rows());
    let asked: Vec<(DpuId, UnixMs)> = keys.iter().flat_map(|key| [key.at, key.at.plus_ms(1)]).map(|at| (id.clone(), at)).collect();
    let expected: Vec<_> = asked.iter().map(|(_, at)| model.before(*at)).collect();
    assert_eq!(store.totals(&asked).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_dpus_are_asked_at_once_and_listed_in_pages() {
    let Some(options) = cluster::keyspace().await else { return };
    let store = store_cql::CqlStore::connect(&options).await.unwrap();
    let count = 2_300;
    let plus = |n: usize| (0..n % 4).map(|ms| Key { direction: Direction::Plus, ..Key::first_at(at(5, ms as i64)) }).collect();
    let batch: Vec<(DpuId, Record)> = (0..count).map(|n| (dpu(n), record(plus(n)))).collect();
    Lane::default().take(&store, &batch).await.unwrap();
    let asked: Vec<(DpuId, UnixMs)> = (0..count).rev().map(|n| (dpu(n), at(6, 0))).collect();
    let entered: Vec<u64> = store.totals(&asked).await.unwrap().iter().map(|totals| totals.entered).collect();
    assert_eq!(entered, (0..count).rev().map(|n| (n % 4) as u64).collect::<Vec<_>>());
    let asked: Vec<DpuId> = (0..count).rev().map(dpu).collect();
    let counters = store.counters(&asked).await.unwrap();
    assert!(counters.iter().zip((0..count).rev()).all(|(found, n)| found.unwrap().totals().entered == (n % 4) as u64));

    // The directory names a DPU before there are counters of it; a crash may leave it so.
    let session = cluster::session(&options).await;
    for id in ["dpu-0-a", "dpu-1-a", "zzz"] {
        session.query_unpaged("INSERT INTO dpus (directory, dpu_id) VALUES (0, ?)", (id,)).await.unwrap();
    }
    let mut sorted: Vec<DpuId> = asked;
    sorted.sort();
    for limit in [999, 1_000, 1_500, usize::MAX] {
        let (mut found, mut page) = (Vec::new(), store.dpus(None, limit).await.unwrap());
        while let Some((last, _)) = page.last() {
            assert!(page.len() == limit || found.len() + page.len() == count, "a page of {} came short of {limit}", page.len());
            let next = store.dpus(Some(last), limit).await.unwrap();
            found.extend(std::mem::replace(&mut page, next).into_iter().map(|(id, _)| id));
        }
        assert_eq!(found, sorted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantine_of_any_offset_is_listed_in_order() {
    let Some(store) = cluster::store().await else { return };
    let one = |topic: &str, offset: i64| Quarantined {
        source: Source { topic: topic.to_owned(), partition: 3, offset, index: 0 },
        reason: Reason::TooLate,
        detail: "late".to_owned(),
        dpu: None,
        received_at: at(20_000, 0),
        payload: vec![7; 100_000],
        replayed_at: None,
    };
    let offsets = [i64::MIN, -65_537, -65_536, -1, 0, 65_535, 65_536, 65_537, 1 << 40, i64::MAX];
    let mut all: Vec<Quarantined> = offsets.iter().flat_map(|offset| ["b", "é", "a"].map(|topic| one(topic, *offset))).collect();
    store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: all.clone() })).await.unwrap();
    all.sort_by(|a, b| a.source.cmp(&b.source));
    for limit in [1, 7, usize::MAX] {
        let (mut found, mut page) = (Vec::new(), store.quarantined(None, limit).await.unwrap());
        while let Some(last) = page.last() {
            let next = store.quarantined(Some(&last.source), limit).await.unwrap();
            found.extend(std::mem::replace(&mut page, next));
        }
        assert!(found == all, "by {limit}");
    }
    // The later of two replay marks stays, whichever was written last.
    let marked = |ms| Quarantined { replayed_at: Some(at(20_001, ms)), ..one("a", 0) };
    for mark in [marked(1), marked(9), marked(5), one("a", 0)] {
        store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: vec![mark] })).await.unwrap();
    }
    let after = one("a", -1).source;
    assert_eq!(store.quarantined(Some(&after), 1).await.unwrap(), [marked(9)]);
}
