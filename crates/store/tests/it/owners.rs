//! Owners of DPUs that crash, lose their DPUs without noticing, replay and retry over a faulty store: whatever they do,
//! what is stored in the end is the pure function of the set of crossings in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::few::Few;
use occupancy::id::DpuId;
use occupancy::ledger::{Changes, Counters, Fold, Position, Record, Row, fold};
use occupancy::time::{DAY_MS, UnixMs};
use store::conformance::ledger;
use store::conformance::model::Model;
use store::faults::{Faulty, Rng};
use store::{Commit, FjallStore, LedgerWrite, Ledgers, MemoryStore, Store};

const SEEDS: u64 = 10_000;

/// A rule of the protocol left out, to see that the test would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Writes carry the time of writing instead of a stamp that follows from the log.
    StampsByClock,
    /// The counters hold no position.
    NoPosition,
    /// A pure duplicate writes nothing.
    DuplicatesNotWritten,
}

/// One partition of the log. The topic is created again at `cut`: a new epoch, offsets from 0.
struct Log {
    ids: Vec<DpuId>,
    records: Vec<(DpuId, Record)>,
    cut: usize,
}

impl Log {
    fn new(rng: &mut Rng, seed: u64, broken: Broken) -> Self {
        let ids: Vec<DpuId> = (0..1 + rng.below(4) / 3).map(|i| format!("s{seed}-{i}").parse().unwrap()).collect();
        let numbered = rng.percent(60);
        let mut sent: Vec<Vec<Key>> = vec![Vec::new(); ids.len()];
        let mut records = Vec::new();
        let mut now = 5 * DAY_MS;
        let n = 2 + usize::try_from(rng.below(12)).unwrap();
        for i in 0..n {
            let dpu = usize::try_from(rng.below(ids.len() as u64)).unwrap();
            let mut crossings = Vec::new();
            for _ in 0..[1, 1, 1, 2, 3, 0][usize::try_from(rng.below(6)).unwrap()] {
                let sent = &mut sent[dpu];
                if !sent.is_empty() && rng.percent(25) {
                    crossings.push(sent[usize::try_from(rng.below(sent.len() as u64)).unwrap()]);
                    continue;
                }
                let at = (rng.below(3).cast_signed() - 1) * DAY_MS + rng.below(10).cast_signed();
                let (boot, seq) = if numbered { (1 + rng.below(2), 1 + sent.len() as u64) } else { (0, 0) };
                let direction = if rng.percent(50) { Direction::Plus } else { Direction::Minus };
                let key = Key { at: UnixMs::new(at).unwrap(), boot, seq, direction };
                sent.push(key);
                crossings.push(key);
            }
            let beats = crossings.is_empty() || rng.percent(20);
            let heartbeat =
                beats.then(|| Heartbeat { at: UnixMs::new(rng.below(9).cast_signed() * DAY_MS).unwrap(), boot: 1, last_seq: i as u64 });
            now += [0, 0, 0, 1, 3][usize::try_from(rng.below(5)).unwrap()];
            records.push((
                ids[dpu].clone(),
                Record { crossings: crossings.into(), heartbeat, appended_at: UnixMs::new(now).unwrap(), position: None },
            ));
        }
        let cut = if rng.percent(40) { 1 + usize::try_from(rng.below(n as u64)).unwrap() } else { n };
        for (i, (_, record)) in records.iter_mut().enumerate().filter(|_| broken != Broken::NoPosition) {
            let (epoch, start) = if i < cut { (1, 0) } else { (2, cut) };
            record.position = Some(Position { epoch, partition: 0, offset: (i - start) as i64 });
        }
        Self { ids, records, cut }
    }
}

/// What an owner does next.
enum Stage {
    Take,
    /// Batches folded, and those whose tail is still to be read.
    Read {
        folds: Vec<(DpuId, Fold)>,
        done: Vec<(DpuId, Changes)>,
        next: usize,
    },
    Write {
        commit: Arc<Commit>,
        next: usize,
        failed: bool,
    },
}

/// Who folds the log from `next` on; forgets everything when dropped.
struct Owner {
    next: usize,
    end: usize,
    known: BTreeMap<DpuId, Counters>,
    stage: Stage,
}

impl Owner {
    fn start(next: usize, end: usize) -> Self {
        Self { next, end, known: BTreeMap::new(), stage: Stage::Take }
    }

    fn done(&self) -> bool {
        self.next >= self.end
    }

    /// One step, between which others may act; true when a batch has become durable.
    async fn step(&mut self, world: &mut World<'_, impl Store>) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Take) {
            Stage::Take => {
                self.take(world).await;
                false
            }
            Stage::Read { mut folds, mut done, next } => {
                self.stage = match folds.pop() {
                    Some((dpu, Fold::Append(changes))) => {
                        done.push((dpu, changes));
                        Stage::Read { folds, done, next }
                    }
                    Some((dpu, Fold::Merge(merge))) => {
                        let tail = world.store.tail(&dpu, &merge.from()).await.unwrap();
                        done.push((dpu, merge.apply(&tail)));
                        Stage::Read { folds, done, next }
                    }
                    None => Stage::Write { commit: Arc::new(self.commit(done, world)), next, failed: false },
                };
                false
            }
            Stage::Write { commit, next, failed: _ } => {
                let durable = world.store.commit(Arc::clone(&commit)).await.is_ok();
                if durable {
                    self.next = next;
                } else {
                    self.stage = Stage::Write { commit, next, failed: true };
                }
                durable
            }
        }
    }

    async fn take(&mut self, world: &mut World<'_, impl Store>) {
        let next = self.end.min(self.next + 1 + usize::try_from(world.rng.below(3)).unwrap());
        let mut batch: BTreeMap<DpuId, Vec<Record>> = BTreeMap::new();
        for (dpu, record) in &world.log.records[self.next..next] {
            batch.entry(dpu.clone()).or_default().push(record.clone());
        }
        let mut folds = Vec::new();
        for (dpu, records) in batch {
            if !self.known.contains_key(&dpu) {
                let found = world.store.counters(std::slice::from_ref(&dpu)).await.unwrap();
                self.known.insert(dpu.clone(), found[0].unwrap_or_default());
            }
            folds.extend(fold(&self.known[&dpu], &records).map(|fold| (dpu, fold)));
        }
        self.stage = Stage::Read { folds, done: Vec::new(), next };
    }

    fn commit(&mut self, done: Vec<(DpuId, Changes)>, world: &mut World<'_, impl Store>) -> Commit {
        let mut commit = Commit::default();
        for (dpu, mut changes) in done {
            match world.broken {
                Broken::StampsByClock => {
                    world.clock_us += 1;
                    changes.counters.stamp_us = world.clock_us;
                }
                Broken::DuplicatesNotWritten if changes.tallies.iter().all(|tally| tally.accepted == 0) => {
                    changes.rows = Few::default();
                    changes.openings.clear();
                }
                _ => {}
            }
            self.known.insert(dpu.clone(), changes.counters);
            commit.ledgers.push(LedgerWrite::new(dpu, changes));
        }
        commit
    }
}

struct World<'a, S> {
    store: &'a Faulty<S>,
    log: &'a Log,
    rng: Rng,
    broken: Broken,
    clock_us: i64,
}

/// Runs owners over a log until all of it is folded; what is wrong in the store then.
async fn run(seed: u64, store: impl Store, broken: Broken) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let log = Log::new(&mut rng, seed, broken);
    let percent = [0, 30, 50, 70][usize::try_from(rng.below(4)).unwrap()];
    let store = Faulty::new(store, rng.draw(), percent);
    let mut world = World { store: &store, log: &log, rng, broken, clock_us: 1_000_000 * 5 * DAY_MS };
    let (mut start, mut committed, mut end) = (0, 0, log.cut);
    let mut current = Owner::start(0, end);
    let mut zombies: Vec<Owner> = Vec::new();
    let mut events = 8;
    loop {
        if current.done() {
            if end < log.records.len() {
                // Drained: the topic is created again.
                (start, committed, end) = (end, end, log.records.len());
                current = Owner::start(start, end);
            } else if zombies.is_empty() || world.rng.percent(3) {
                break;
            }
        }
        // Most owners go where a write has just failed.
        let failed = matches!(current.stage, Stage::Write { failed: true, .. });
        if events > 0 && world.rng.percent(if failed { 50 } else { 6 }) {
            events -= 1;
            let from = match world.rng.below(4) {
                // An operator rewinds.
                0 => start + usize::try_from(world.rng.below((committed - start + 1) as u64)).unwrap(),
                _ => committed,
            };
            let old = std::mem::replace(&mut current, Owner::start(from, end));
            committed = from;
            // It crashes, or loses the partition and does not notice.
            if world.rng.percent(60) {
                zombies.push(old);
            }
        }
        let who = usize::try_from(world.rng.below(zombies.len() as u64 + 2)).unwrap();
        match zombies.get_mut(who) {
            Some(zombie) if zombie.done() => drop(zombies.remove(who)),
            Some(zombie) => drop(zombie.step(&mut world).await),
            None => {
                if !current.done() && current.step(&mut world).await {
                    committed = current.next;
                }
            }
        }
    }
    store.land().await.unwrap();
    let mut wrong = Vec::new();
    for id in &log.ids {
        wrong.extend(differences(store.inner(), &log, id).await);
    }
    wrong
}

/// Where a stored ledger differs from the pure function of the log.
async fn differences(store: &dyn Store, log: &Log, id: &DpuId) -> Vec<String> {
    let mine: Vec<&Record> = log.records.iter().filter(|(dpu, _)| dpu == id).map(|(_, record)| record).collect();
    let mut first: BTreeMap<Key, UnixMs> = BTreeMap::new();
    for record in &mine {
        for key in record.crossings.iter() {
            first.entry(*key).or_insert(record.appended_at);
        }
    }
    let model: Model = first.keys().copied().collect();
    let rows: Vec<Row> = model.rows().into_iter().map(|(key, totals)| Row { key, totals, appended_at: first[&key] }).collect();
    let heard = |record: &&Record| {
        let beats = record.heartbeat.iter().map(|beat| beat.at);
        record.crossings.iter().map(|key| key.at).chain(beats).map(|at| at.min(record.appended_at)).max()
    };
    let last = model.last();
    let counters = mine.last().map(|newest| Counters {
        opening: last.map(|last| model.before(last.at.day().start())).unwrap_or_default(),
        day: rows.last().map(|row| row.totals).unwrap_or_default(),
        last,
        heartbeat: mine.iter().filter_map(|record| record.heartbeat).max(),
        heard: mine.iter().filter_map(heard).max(),
        position: newest.position,
        stamp_us: mine.iter().fold(0, |stamp_us, record| (record.appended_at.ms() * 1000).max(stamp_us + 1)),
    });
    let found = ledger(store, id).await;
    let mut wrong = Vec::new();
    if found.rows != rows {
        wrong.push(format!("{id}: rows {:?}, expected {rows:?}", found.rows));
    }
    if found.openings != model.openings() {
        wrong.push(format!("{id}: openings {:?}, expected {:?}", found.openings, model.openings()));
    }
    if found.counters != counters {
        wrong.push(format!("{id}: counters {:?}, expected {counters:?}", found.counters));
    }
    wrong
}

#[tokio::test]
async fn whatever_owners_do_the_store_ends_as_the_log_says() {
    for seed in 0..SEEDS {
        let wrong = run(seed, MemoryStore::new(), Broken::Nothing).await;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
}

#[tokio::test]
async fn whatever_owners_do_the_embedded_store_ends_as_the_log_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = FjallStore::open(folder.path()).unwrap();
    for seed in 0..100 {
        let wrong = run(seed, store.clone(), Broken::Nothing).await;
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
}

#[tokio::test]
async fn a_protocol_with_a_rule_left_out_is_found_out() {
    for broken in [Broken::StampsByClock, Broken::NoPosition, Broken::DuplicatesNotWritten] {
        let mut found = 0;
        for seed in 0..SEEDS {
            let wrong = run(seed, MemoryStore::new(), broken).await;
            // Rows and openings alone: the counters differ by the very rule that is left out.
            found += u32::from(wrong.iter().any(|what| !what.contains(": counters ")));
        }
        assert!(found > 0, "{broken:?} went unnoticed");
    }
}
