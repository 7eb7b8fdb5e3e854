//! Ledgers long enough to be cut into many segments: the embedded store holds what the memory store holds.

use std::sync::Arc;

use occupancy::crossing::{Direction, Key};
use occupancy::id::DpuId;
use occupancy::ledger::Record;
use occupancy::time::{DAY_MS, UnixMs};
use store::conformance::{Lane, ledger};
use store::faults::{Faulty, Rng};
use store::{FjallStore, Ledgers, MemoryStore, Options, Store};
use tempfile::TempDir;

const SEEDS: u64 = 60;

/// Crossings over three days, mostly in order; some late, some twice, some rows of a kind of their own.
fn log(rng: &mut Rng, dpus: &[DpuId]) -> Vec<(DpuId, Record)> {
    let mut now = 5 * DAY_MS;
    let mut log: Vec<(DpuId, Record)> = Vec::new();
    for n in 0..20 + rng.below(30) {
        let dpu = dpus[usize::try_from(rng.below(dpus.len() as u64)).unwrap()].clone();
        now += rng.below(u64::try_from(DAY_MS / 8).unwrap()).cast_signed();
        let late_ms = if rng.percent(25) { rng.below(DAY_MS.unsigned_abs()).cast_signed() } else { 0 };
        let count = [1, 1, 3, 40, 90, 700][usize::try_from(rng.below(6)).unwrap()];
        let crossing = |i: u64| Key {
            at: UnixMs::new(now - late_ms + i.cast_signed() * 7_000).unwrap(),
            boot: n % 2,
            seq: if n % 2 == 0 { 0 } else { n * 1_000 + i },
            direction: if (n + i).is_multiple_of(3) { Direction::Minus } else { Direction::Plus },
        };
        let mut crossings: Vec<Key> = (0..count).map(crossing).collect();
        if let Some((_, earlier)) = log.last().filter(|_| rng.percent(20)) {
            crossings.extend_from_slice(&earlier.crossings);
        }
        log.push((
            dpu,
            Record { crossings: crossings.into(), heartbeat: None, appended_at: UnixMs::new(now + 900).unwrap(), position: None },
        ));
    }
    log
}

async fn same(seed: u64, rng: &mut Rng, fjall: &FjallStore, memory: &MemoryStore, dpus: &[DpuId]) {
    for dpu in dpus {
        let expected = ledger(memory, dpu).await;
        assert_eq!(ledger(fjall, dpu).await, expected, "seed {seed}");
        let Some(row) = expected.rows.get(usize::try_from(rng.below(expected.rows.len() as u64)).unwrap()) else { continue };
        for at in [row.key.at, row.key.at.plus_ms(1), UnixMs::new(5 * DAY_MS).unwrap(), UnixMs::MAX] {
            let asked = [(dpu.clone(), at)];
            assert_eq!(fjall.totals(&asked).await, memory.totals(&asked).await, "seed {seed} {at}");
            let limit = usize::try_from(rng.below(400)).unwrap();
            let (a, b) = (fjall.crossings(dpu, row.key, at, limit).await, memory.crossings(dpu, row.key, at, limit).await);
            assert_eq!(a, b, "seed {seed} {at}");
        }
        let from = [row.key, Key::first_at(row.key.at.day().start().plus_ms(DAY_MS))];
        assert_eq!(fjall.tail(dpu, &from).await, memory.tail(dpu, &from).await, "seed {seed}");
    }
}

#[tokio::test]
async fn long_ledgers_are_the_same_in_every_store() {
    let dpus: Vec<DpuId> = ["a", "a1", "b"].iter().map(|id| id.parse().unwrap()).collect();
    let folder = TempDir::new().unwrap();
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let log = log(&mut rng, &dpus);
        let path = folder.path().join(seed.to_string());
        let (mut fjall, memory) = (FjallStore::open(&path).unwrap(), MemoryStore::new());
        let mut lanes = (Lane::default(), Lane::default());
        let mut rest = &log[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(1 + usize::try_from(rng.below(4)).unwrap()));
            lanes.0.take(&fjall, batch).await.unwrap();
            lanes.1.take(&memory, batch).await.unwrap();
            if rng.percent(10) {
                drop(fjall);
                fjall = FjallStore::open_with(&path, &Options { create: false, ..Options::default() }).unwrap();
                lanes = (Lane::default(), Lane::default());
            }
            if rng.percent(30) {
                same(seed, &mut rng, &fjall, &memory, &dpus).await;
            }
            rest = after;
        }
        same(seed, &mut rng, &fjall, &memory, &dpus).await;
        assert_eq!(fjall.size_bytes().is_some(), memory.size_bytes().is_none());
    }
}

#[tokio::test]
async fn long_ledgers_outlive_commits_that_are_cut_short() {
    let dpus: Vec<DpuId> = ["a", "a1", "b"].iter().map(|id| id.parse().unwrap()).collect();
    let folder = TempDir::new().unwrap();
    for seed in 0..SEEDS / 2 {
        let mut rng = Rng::new(seed);
        let log = log(&mut rng, &dpus);
        let fjall = Faulty::new(FjallStore::open(folder.path().join(seed.to_string())).unwrap(), seed, 40);
        let memory = MemoryStore::new();
        let mut lanes = (Lane::default(), Lane::default());
        for batch in log.chunks(3) {
            let commit = Arc::new(lanes.0.prepare(&fjall, batch).await.unwrap());
            while fjall.commit(Arc::clone(&commit)).await.is_err() {}
            lanes.1.take(&memory, batch).await.unwrap();
            same(seed, &mut rng, fjall.inner(), &memory, &dpus).await;
        }
        fjall.land().await.unwrap();
        same(seed, &mut rng, fjall.inner(), &memory, &dpus).await;
    }
}
