//! A store copied into another of any kind holds the same, and goes on from there.

use std::sync::Arc;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Position, Record};
use occupancy::time::{DAY_MS, UnixMs};

use super::edits::edit;
use super::writes::quarantined;
use super::{Lane, Ledger, Subject, at, dpu, ledger};
use crate::faults::Rng;
use crate::{Commit, CopyError, Copying, Edits, MemoryStore, Quarantined, Settings, Source, Store};

/// A log of so many DPUs, each with so many crossings over some days, some late; and one that only sends heartbeats.
#[must_use]
pub fn log_of(seed: u64, dpus: u64, crossings: u64) -> Vec<(DpuId, Record)> {
    let (mut rng, mut log) = (Rng::new(seed), Vec::new());
    for n in 0..dpus {
        let mut left = crossings;
        while left > 0 {
            let mut taken = Vec::new();
            for _ in 0..left.min(1 + rng.below(200)) {
                let ms = i64::try_from(rng.below(5) * DAY_MS.unsigned_abs() + rng.below(50_000_000)).unwrap();
                let direction = if rng.percent(50) { Direction::Plus } else { Direction::Minus };
                taken.push(Key { at: UnixMs::CLOCK_SET.plus_ms(ms), boot: 3, seq: left, direction });
                left -= 1;
            }
            log.push((dpu(&format!("d{n}")), taken, None));
        }
    }
    log.push((dpu("lonely"), Vec::new(), Some(Heartbeat { at: at(1, 6), boot: 2, last_seq: 9 })));
    let record = |(offset, (dpu, crossings, heartbeat)): (i64, (DpuId, Vec<Key>, Option<Heartbeat>))| {
        let position = Some(Position { epoch: 2, partition: 1, offset });
        (dpu, Record { crossings: crossings.into(), heartbeat, appended_at: UnixMs::CLOCK_SET.plus_ms(DAY_MS + offset), position })
    };
    (0..).zip(log).map(record).collect()
}

/// Folds a log into an empty store and gives it edits, quarantined input and what it knows of its log.
///
/// # Panics
/// When the store fails.
pub async fn fill(store: &dyn Store, log: &[(DpuId, Record)]) {
    let mut lane = Lane::default();
    for batch in log.chunks(7) {
        lane.take(store, batch).await.unwrap();
    }
    for n in 0..3_u8 {
        store.append(n.into(), &edit(1, n.into())).await.unwrap();
    }
    let rows = (0..40).map(|offset| quarantined("t", 0, offset * 9_000, 1));
    let replayed = Quarantined { replayed_at: Some(at(11, 0)), ..quarantined("http", 0, 4, Source::WHOLE) };
    store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: rows.chain([replayed]).collect() })).await.unwrap();
    let known = Settings { cluster_id: Some("k".to_owned()), partitions: Some(12), epoch: 2, first_start_done: true, copying_from: None };
    assert!(store.put_settings(&Settings::default(), &known).await.unwrap());
}

/// Copies, from the beginning or from where a copy was cut off, and compares.
///
/// # Errors
/// As [`Copying::run`].
///
/// # Panics
/// When the stores differ in the end.
pub async fn copy(copying: Copying<'_>) -> Result<(), CopyError> {
    copying.begin("source").await?;
    copying.run(&|_| ()).await?;
    let compared = copying.compare(&|mismatch| println!("{mismatch}"), &|_| ()).await?;
    let (dpus, crossings) = copying.survey().await?;
    assert_eq!((compared.mismatches, compared.dpus, compared.crossings), (0, dpus, crossings));
    copying.finish("source").await
}

async fn ledgers(store: &dyn Store) -> Vec<(DpuId, Ledger)> {
    let mut all = Vec::new();
    for (dpu, _) in store.dpus(None, usize::MAX).await.unwrap() {
        let found = ledger(store, &dpu).await;
        all.push((dpu, found));
    }
    all
}

fn to<'a>(source: &'a MemoryStore, subject: &'a impl Subject) -> Copying<'a> {
    Copying { at_once: 2, part_rows: 60, ..Copying::new(source, subject.store()) }
}

/// There and back again everything is the same, whatever the size of the parts; and what is sent again changes nothing.
pub async fn a_copy_holds_the_same(subject: &mut impl Subject) {
    let (source, back) = (MemoryStore::new(), MemoryStore::new());
    let log = log_of(7, 3, 450);
    fill(&source, &log).await;
    to(&source, subject).begin("source").await.unwrap();
    assert_eq!(to(&source, subject).begin("other").await, Err(CopyError::OtherSource("source".to_owned())));
    subject.restart().await;
    copy(to(&source, subject)).await.unwrap();
    subject.restart().await;
    assert_eq!(to(&source, subject).begin("source").await, Err(CopyError::NotEmpty("crossings")));
    copy(Copying { part_rows: 71, ..Copying::new(subject.store(), &back) }).await.unwrap();
    for copied in [subject.store(), &back] {
        assert_eq!(ledgers(copied).await, ledgers(&source).await);
        assert_eq!(copied.settings().await, source.settings().await);
    }
    // The same crossings, later in the log.
    let again = log.iter().cloned().zip(10_000..).map(|((dpu, mut record), offset)| {
        record.position = Some(Position { epoch: 2, partition: 1, offset });
        (dpu, record)
    });
    let again: Vec<_> = again.collect();
    for store in [&source, subject.store()] {
        Lane::default().take(store, &again).await.unwrap();
    }
    assert_eq!(ledgers(subject.store()).await, ledgers(&source).await);
    assert_eq!(ledgers(&source).await.iter().map(|(_, ledger)| ledger.rows.len()).sum::<usize>(), 3 * 450);
}
