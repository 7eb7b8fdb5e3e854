//! Totals read while others write: each answer is what the crossings of some moment during the call add up to, the naive
//! way, though most of it comes from what was kept of earlier reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::ledger::{Record, Totals};
use occupancy::time::{DAY_MS, UnixMs};
use store::conformance::Lane;
use store::conformance::model::Model;
use store::faults::Rng;
use store::{FjallStore, Ledgers};
use tempfile::TempDir;
use tokio::task::JoinSet;

const SEEDS: u64 = 6;
const BATCHES: usize = 60;
const DPUS: usize = 4;

/// Batches over four days, in order and late, a few crossings or enough for segments.
fn batches(rng: &mut Rng, dpus: &[DpuId]) -> Vec<Vec<(DpuId, Record)>> {
    let mut now = 5 * DAY_MS;
    let mut batch = |n: u64| {
        now += rng.below((4 * DAY_MS).unsigned_abs() / BATCHES as u64).cast_signed();
        let mut record = |dpu: &DpuId| {
            let late_ms = if rng.percent(30) { rng.below((2 * DAY_MS).unsigned_abs()).cast_signed() } else { 0 };
            let crossing = |i: u64| Key {
                at: UnixMs::new(now - late_ms + i.cast_signed() * 9_000).unwrap(),
                boot: 0,
                seq: n * 1_000 + i,
                direction: if (n + i).is_multiple_of(3) { Direction::Minus } else { Direction::Plus },
            };
            let crossings = (0..[1, 2, 5, 60][usize::try_from(rng.below(4)).unwrap()]).map(crossing).collect();
            (dpu.clone(), Record { crossings, heartbeat: None, appended_at: UnixMs::new(now).unwrap(), position: None })
        };
        dpus.iter().take(1 + usize::try_from(n).unwrap() % DPUS).map(&mut record).collect()
    };
    (1..=BATCHES as u64).map(&mut batch).collect()
}

/// What is asked for, and what is right after each number of batches.
fn answers(rng: &mut Rng, dpus: &[DpuId], batches: &[Vec<(DpuId, Record)>]) -> (Vec<(DpuId, UnixMs)>, Vec<Vec<Totals>>) {
    let instants: BTreeSet<_> =
        (0..10).map(|_| UnixMs::new(3 * DAY_MS + rng.below((7 * DAY_MS).unsigned_abs()).cast_signed()).unwrap()).collect();
    let asked: Vec<_> = dpus.iter().flat_map(|dpu| instants.iter().map(|at| (dpu.clone(), *at))).collect();
    let after = |n: usize| {
        let of = |dpu: &DpuId| -> Model {
            let records = batches.iter().take(n).flatten().filter(|(id, _)| id == dpu);
            records.flat_map(|(_, record)| record.crossings.iter().copied()).collect()
        };
        dpus.iter().flat_map(|dpu| instants.iter().map(|at| of(dpu).before(*at)).collect::<Vec<_>>()).collect()
    };
    let right = (0..=batches.len()).map(after).collect();
    (asked, right)
}

/// A run: what is asked, what is right after each batch, and how many batches were begun and are done.
struct Run {
    seed: u64,
    store: FjallStore,
    asked: Vec<(DpuId, UnixMs)>,
    right: Vec<Vec<Totals>>,
    begun: AtomicUsize,
    done: AtomicUsize,
}

impl Run {
    /// Reads until all is written, all instants or some, so that what is kept is of different moments.
    async fn read(&self, mut rng: Rng) {
        for round in 0_usize.. {
            let least = self.done.load(Ordering::SeqCst);
            let percent = if round.is_multiple_of(3) { 100 } else { 20 };
            let some: Vec<usize> = (0..self.asked.len()).filter(|_| rng.percent(percent)).collect();
            let wanted: Vec<_> = some.iter().map(|i| self.asked[*i].clone()).collect();
            let found = self.store.totals(&wanted).await.unwrap();
            let most = self.begun.load(Ordering::SeqCst);
            let right = |n: usize| some.iter().zip(&found).all(|(i, found)| self.right[n][*i] == *found);
            let seed = self.seed;
            assert!((least..=most).any(right), "seed {seed}: between batch {least} and {most} nothing adds up to {wanted:?} {found:?}");
            if least == self.right.len() - 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn write(&self, batches: &[Vec<(DpuId, Record)>]) {
        let mut lane = Lane::default();
        for (n, batch) in batches.iter().enumerate() {
            self.begun.store(n + 1, Ordering::SeqCst);
            lane.take(&self.store, batch).await.unwrap();
            self.done.store(n + 1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn totals_are_of_one_moment_while_others_write() {
    let dpus: Vec<DpuId> = (0..DPUS).map(|i| format!("d{i}").parse().unwrap()).collect();
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let folder = TempDir::new().unwrap();
        let store = FjallStore::open(folder.path()).unwrap();
        let batches = batches(&mut rng, &dpus);
        let (asked, right) = answers(&mut rng, &dpus, &batches);
        let run = Arc::new(Run { seed, store, asked, right, begun: AtomicUsize::new(0), done: AtomicUsize::new(0) });
        let mut readers = JoinSet::new();
        for reader in 0..3 {
            let run = Arc::clone(&run);
            readers.spawn(async move { run.read(Rng::new(seed * 10 + reader)).await });
        }
        run.write(&batches).await;
        readers.join_all().await;
    }
}
