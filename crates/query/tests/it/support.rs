//! A small store to ask: worlds by edits, crossings through the ledger's own fold.

use std::sync::Arc;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::edit::Change;
use occupancy::id::{DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::ledger::{Counters, Fold, Record, fold};
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Side, Space};
use query::{Query, Settings};
use store::{Commit, LedgerWrite, Ledgers, Store};

pub(crate) const NOW: &str = "2024-03-01T12:00:00.000Z";

pub(crate) fn at(text: &str) -> UnixMs {
    text.parse().unwrap()
}

pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn query(store: &Arc<impl Store + 'static>, now: UnixMs) -> Query {
    Query::new(store.clone(), Arc::new(move || now), Settings::default())
}

/// A crossing without boot and seq.
pub(crate) fn key(text: &str, sign: i64) -> Key {
    Key { at: at(text), boot: 0, seq: 0, direction: Direction::try_from(sign).unwrap() }
}

/// Takes a report in as a lane would.
pub(crate) async fn take(store: &Arc<impl Ledgers>, dpu: &str, crossings: Vec<Key>, heartbeat: Option<Heartbeat>, appended_at: UnixMs) {
    let commit = folded(store, dpu, crossings, heartbeat, appended_at).await;
    store.commit(Arc::new(commit)).await.unwrap();
}

/// What a lane would commit of a report.
pub(crate) async fn folded(
    store: &Arc<impl Ledgers>,
    dpu: &str,
    crossings: Vec<Key>,
    heartbeat: Option<Heartbeat>,
    appended_at: UnixMs,
) -> Commit {
    let dpu: DpuId = id(dpu);
    let counters: Counters = store.counters(std::slice::from_ref(&dpu)).await.unwrap().pop().unwrap().unwrap_or_default();
    let record = Record { crossings: crossings.into(), heartbeat, appended_at, position: None };
    let changes = match fold(&counters, &[record]).unwrap() {
        Fold::Append(changes) => changes,
        Fold::Merge(merge) => {
            let tail = store.tail(&dpu, &merge.from()).await.unwrap();
            merge.apply(&tail)
        }
    };
    Commit { ledgers: vec![LedgerWrite::new(dpu, changes)], quarantine: Vec::new() }
}

pub(crate) fn space(name: &str, parent: Option<&str>) -> Space {
    Space { id: id(name), parent: parent.map(id), name: None, time_zone: None, capacity: None }
}

pub(crate) fn doorway(name: &str, a: &str, b: &str) -> Doorway {
    Doorway { id: id(name), name: None, between: [id::<Side>(a), id::<Side>(b)] }
}

pub(crate) fn hung(dpu: &str, doorway: &str, enters: &str, from: &str, to: Option<&str>) -> Installation {
    Installation { dpu: id(dpu), doorway: id(doorway), enters: id(enters), from: at(from), to: to.map(at) }
}

/// A campus with a hall: DPU 1 over the front door since 2024, +1 enters.
pub(crate) fn campus() -> Document {
    Document {
        spaces: vec![space("campus", None), space("hall", Some("campus"))],
        resets: Vec::new(),
        doorways: vec![doorway("front", "outside", "hall"), doorway("side", "campus", "hall")],
        installations: vec![hung("1", "front", "hall", "2024-01-01T00:00:00Z", None)],
    }
}

pub(crate) fn topology(document: Document) -> Change {
    Change::Topology { root: id::<SpaceId>("campus"), document, allow_removal: false }
}

pub(crate) async fn edit(query: &Query, change: Change) {
    query.topology().edit(change, at(NOW), false, |_| true).await.unwrap();
}
