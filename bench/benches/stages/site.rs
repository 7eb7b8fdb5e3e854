//! DPUs, two to a room, what they see, and stores that hold it.

use std::sync::Arc;

use occupancy::crossing::{Direction, Key};
use occupancy::edit::Change;
use occupancy::id::{DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::ledger::{Changes, Counters, Fold, Record, fold};
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Side, Space};
use query::{Query, Settings};
use store::{Commit, LedgerWrite, Store};
use tokio::runtime::Runtime;

/// DPUs over the doorways of a campus.
pub(crate) const DPUS: usize = 100;
/// 2024-01-01T00:00:00Z.
const BEGINNING_MS: i64 = 1_704_067_200_000;
/// One crossing of each DPU falls in each step.
const STEP_MS: i64 = 30_000;
/// Crossings a commit while a store is filled.
const BATCH: usize = 1_000;

pub(crate) fn dpu(n: usize) -> DpuId {
    format!("d{n}").parse().unwrap()
}

/// The instant so many steps after the beginning.
pub(crate) fn after(steps: usize) -> UnixMs {
    UnixMs::new(BEGINNING_MS + steps as i64 * STEP_MS).unwrap()
}

/// Crossing k, from 0, of a DPU: every third goes back out.
pub(crate) fn seen(k: usize) -> Key {
    let direction = if k % 3 == 2 { Direction::Minus } else { Direction::Plus };
    Key { at: after(k), boot: 1, seq: k as u64 + 1, direction }
}

/// A report's record, taken in at its last crossing.
pub(crate) fn record(crossings: Vec<Key>) -> Record {
    let appended_at = crossings.last().map_or(after(0), |last| last.at);
    Record { crossings: crossings.into(), heartbeat: None, appended_at, position: None }
}

/// What a record after all others appends.
pub(crate) fn append(counters: &Counters, crossings: Vec<Key>) -> Changes {
    match fold(counters, &[record(crossings)]) {
        Some(Fold::Append(changes)) => changes,
        other => unreachable!("no append: {other:?}"),
    }
}

/// A commit of one crossing more of each DPU, whose counters it moves on.
pub(crate) fn next_commit(counters: &mut [Counters], k: usize) -> Arc<Commit> {
    let write = |(n, counters): (usize, &mut Counters)| {
        let changes = append(counters, vec![seen(k)]);
        *counters = changes.counters;
        LedgerWrite::new(dpu(n), changes)
    };
    Arc::new(Commit { ledgers: counters.iter_mut().enumerate().map(write).collect(), quarantine: Vec::new() })
}

/// Fills a store with so many crossings of all DPUs together.
pub(crate) fn fill(runtime: &Runtime, store: &dyn Store, crossings: usize) {
    let mut counters = vec![Counters::default(); DPUS];
    for first in (0..crossings / DPUS).step_by(BATCH) {
        let batch = first..(first + BATCH).min(crossings / DPUS);
        for (n, counters) in counters.iter_mut().enumerate() {
            let changes = append(counters, batch.clone().map(seen).collect());
            *counters = changes.counters;
            let ledgers = vec![LedgerWrite::new(dpu(n), changes)];
            runtime.block_on(store.commit(Arc::new(Commit { ledgers, quarantine: Vec::new() }))).unwrap();
        }
    }
}

/// Answers over a store whose DPUs hang over doorways from outside, two to a room; now is that many steps on.
pub(crate) fn query(runtime: &Runtime, store: Arc<dyn Store>, steps: usize) -> Query {
    let now = after(steps);
    let query = Query::new(store, Arc::new(move || now), Settings::default());
    let space = |id: &str, parent: Option<SpaceId>| Space { id: id.parse().unwrap(), parent, name: None, time_zone: None, capacity: None };
    let root: SpaceId = "campus".parse().unwrap();
    let mut document = Document { spaces: vec![space("campus", None)], resets: vec![], doorways: vec![], installations: vec![] };
    for n in 0..DPUS {
        let inside = room(n / 2);
        if n % 2 == 0 {
            document.spaces.push(space(inside.as_str(), Some(root.clone())));
        }
        let (doorway, enters) = (format!("door-{n}").parse::<occupancy::id::DoorwayId>().unwrap(), Side::Space(inside));
        document.installations.push(Installation {
            dpu: dpu(n),
            from: after(0),
            to: None,
            doorway: doorway.clone(),
            enters: enters.clone(),
        });
        document.doorways.push(Doorway { id: doorway, name: None, between: [Side::Outside, enters] });
    }
    let change = Change::Topology { root, document, allow_removal: false };
    runtime.block_on(query.topology().edit(change, now, false, |_| true)).unwrap();
    query
}

pub(crate) fn room(n: usize) -> SpaceId {
    format!("room-{n}").parse().unwrap()
}
