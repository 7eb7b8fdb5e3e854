//! Commits: durable, repeatable, and the newest stamp wins.

use std::sync::Arc;

use occupancy::crossing::Heartbeat;
use occupancy::id::DpuId;
use occupancy::ledger::{Position, Record};
use occupancy::time::UnixMs;

use super::{Lane, Ledger, Subject, at, dpu, key, ledger, totals};
use crate::{Commit, LedgerWrite, Quarantined, Reason, Settings, Source};

/// The log of one DPU: appends, late ones, a duplicate and a heartbeat.
fn log(id: &DpuId) -> Vec<(DpuId, Record)> {
    let parts = [
        vec![key(3, 10, true)],
        vec![key(3, 20, true), key(4, 5, false)],
        vec![key(1, 7, true)],
        vec![],
        vec![key(3, 10, true), key(3, 15, false)],
        vec![key(9, 0, true), key(1, 3, false)],
    ];
    let record = |(i, crossings): (usize, Vec<_>)| Record {
        crossings: crossings.into(),
        heartbeat: (i == 3).then(|| Heartbeat { at: at(4, 6), boot: 2, last_seq: 9 }),
        appended_at: at(10, i as i64 / 2),
        position: Some(Position { epoch: 1, partition: 7, offset: i as i64 }),
    };
    parts.into_iter().enumerate().map(record).map(|record| (id.clone(), record)).collect()
}

pub(super) fn quarantined(topic: &str, partition: i32, offset: i64, index: u32) -> Quarantined {
    Quarantined {
        source: Source { topic: topic.to_owned(), partition, offset, index },
        reason: Reason::ClockAhead,
        detail: "9 years ahead".to_owned(),
        dpu: Some(dpu("d1")),
        received_at: at(10, 3),
        payload: vec![0, 159, 146, 150],
        replayed_at: None,
    }
}

/// A store nobody wrote to knows nothing, and says so without an error.
pub async fn a_new_store_is_empty(subject: &mut impl Subject) {
    let (store, id) = (subject.store(), dpu("d1"));
    assert_eq!(ledger(store, &id).await, Ledger { counters: None, openings: [].into(), rows: Vec::new() });
    assert_eq!(store.tail(&id, &[key(0, 0, true)]).await, Ok(occupancy::ledger::Tail::default()));
    assert_eq!(store.totals(&[(id, UnixMs::MAX)]).await, Ok(vec![totals(0, 0)]));
    assert_eq!((store.dpus(None, 9).await, store.quarantined(None, 9).await), (Ok(vec![]), Ok(vec![])));
    assert_eq!((store.since(0).await, store.settings().await), (Ok(vec![]), Ok(Settings::default())));
}

/// What was committed is there, also after a restart.
pub async fn commits_are_read_back(subject: &mut impl Subject) {
    let (a, b) = (dpu("a"), dpu("b"));
    let mut commit = Lane::default().prepare(subject.store(), &[log(&a), log(&b)].concat()).await.unwrap();
    commit.quarantine = vec![quarantined("http", 0, 4, Source::WHOLE), Quarantined { dpu: None, ..quarantined("t", -1, i64::MAX, 0) }];
    let commit = Arc::new(commit);
    subject.store().commit(Arc::clone(&commit)).await.unwrap();
    for _ in 0..2 {
        for write in &commit.ledgers {
            let found = ledger(subject.store(), &write.dpu).await;
            assert_eq!((found.counters, found.rows), (write.counters, write.rows.to_vec()));
            assert_eq!(found.openings, write.openings.iter().copied().collect());
        }
        assert_eq!(subject.store().quarantined(None, 9).await.unwrap(), commit.quarantine);
        let asked = [b.clone(), dpu("c"), a.clone(), b.clone()];
        let counters = [commit.ledgers[1].counters, None, commit.ledgers[0].counters, commit.ledgers[1].counters];
        assert_eq!(subject.store().counters(&asked).await.unwrap(), counters);
        subject.restart().await;
    }
}

/// The same commit again, at once or after a restart, leaves everything as it is.
pub async fn a_commit_repeated_changes_nothing(subject: &mut impl Subject) {
    let id = dpu("d1");
    let commit = Arc::new(Lane::default().prepare(subject.store(), &log(&id)).await.unwrap());
    subject.store().commit(Arc::clone(&commit)).await.unwrap();
    let before = ledger(subject.store(), &id).await;
    for _ in 0..2 {
        subject.store().commit(Arc::clone(&commit)).await.unwrap();
        assert_eq!(ledger(subject.store(), &id).await, before);
        subject.restart().await;
    }
    subject.store().commit(Arc::default()).await.unwrap();
    assert_eq!(ledger(subject.store(), &id).await, before);
}

/// A write without counters is what a cut leaves; the retry writes the rest.
pub async fn a_commit_cut_short_is_completed_by_its_retry(subject: &mut impl Subject) {
    let (store, id) = (subject.store(), dpu("d1"));
    let mut lane = Lane::default();
    lane.take(store, &log(&id)[..2]).await.unwrap();
    let old = ledger(store, &id).await;
    let whole = Arc::new(lane.prepare(store, &log(&id)[2..]).await.unwrap());
    let cut = LedgerWrite { counters: None, ..whole.ledgers[0].clone() };
    store.commit(Arc::new(Commit { ledgers: vec![cut.clone()], quarantine: Vec::new() })).await.unwrap();
    let found = ledger(store, &id).await;
    assert_eq!(found.counters, old.counters);
    assert!(cut.rows.iter().all(|row| found.rows.contains(row)));
    assert!(cut.openings.iter().all(|(day, totals)| found.openings.get(day) == Some(totals)));
    store.commit(Arc::clone(&whole)).await.unwrap();
    assert_eq!(ledger(store, &id).await.counters, whole.ledgers[0].counters);
}

/// Input that is quarantined again stays marked as replayed.
pub async fn a_replay_mark_stays(subject: &mut impl Subject) {
    let store = subject.store();
    let one = quarantined("t", 1, 2, 3);
    let marked = Quarantined { replayed_at: Some(at(11, 0)), ..one.clone() };
    for write in [&one, &marked, &one] {
        store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: vec![write.clone()] })).await.unwrap();
    }
    assert_eq!(store.quarantined(None, 9).await.unwrap(), [marked]);
}

/// An owner that lost its DPU and does not know writes a prefix of the log, late: the newer state stays.
pub async fn an_old_owner_that_writes_late_loses(subject: &mut impl Subject) {
    for seen in 1..6 {
        let (store, id) = (subject.store(), dpu(&format!("d{seen}")));
        let log = log(&id);
        let (mut old, mut new) = (Lane::default(), Lane::default());
        old.take(store, &log[..1]).await.unwrap();
        let late = old.prepare(store, &log[..seen]).await.unwrap();
        let later = old.prepare(store, &log[seen..seen]).await.unwrap();
        new.take(store, &log[..3]).await.unwrap();
        new.take(store, &log).await.unwrap();
        let won = ledger(store, &id).await;
        store.commit(Arc::new(late)).await.unwrap();
        store.commit(Arc::new(later)).await.unwrap();
        assert_eq!(ledger(store, &id).await, won, "the old owner had seen {seen} records");
    }
}
