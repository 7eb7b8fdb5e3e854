//! The world of one run: its clock, log, group, store and the network between them, and a trace of all that happens.

use std::fmt::{Arguments, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use store::faults::Rng;
use store::{Commit, Ledgers as _, MemoryStore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Bug;
use crate::feed::Changelog;
use crate::group::Group;
use crate::log::Log;
use crate::oracle;
use crate::plan::Plan;

/// The log's clock when a run begins: a few hours before the leap day of 2024.
const BEGINNING_MS: i64 = 1_709_150_400_000;
/// How much faster than the run's own clock the clock of the log and the DPUs goes: a run takes days.
const LOG_MS_PER_MS: u64 = 60_000;
/// Nothing is under way for longer, in ms.
const SETTLED_MS: u64 = 5_000;

/// Everything but processes and DPUs.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) bug: Option<Bug>,
    pub(crate) store: MemoryStore,
    start: Instant,
    log: Mutex<Log>,
    group: Mutex<Group>,
    changelog: Mutex<Changelog>,
    rng: Mutex<Rng>,
    /// What is under way in the network, whatever becomes of its sender.
    network: Mutex<JoinSet<()>>,
    healed: AtomicBool,
    trace: Mutex<String>,
    wrong: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn new(plan: Plan, bug: Option<Bug>, rng: Rng) -> Self {
        Self {
            plan,
            bug,
            store: MemoryStore::new(),
            start: Instant::now(),
            log: Mutex::default(),
            group: Mutex::default(),
            changelog: Mutex::default(),
            rng: Mutex::new(rng),
            network: Mutex::default(),
            healed: AtomicBool::new(false),
            trace: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    /// Since the run began, in ms.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The clock of the log and the DPUs.
    pub(crate) fn clock(&self) -> UnixMs {
        UnixMs::MIN.plus_ms(BEGINNING_MS - UnixMs::MIN.ms() + self.now_ms().saturating_mul(LOG_MS_PER_MS).cast_signed())
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub(crate) fn group(&self) -> MutexGuard<'_, Group> {
        lock(&self.group)
    }

    pub(crate) fn changelog(&self) -> MutexGuard<'_, Changelog> {
        lock(&self.changelog)
    }

    /// A change arrives.
    pub(crate) fn publish(&self, change: Change) {
        let Change { dpu, counters, from } = &change;
        self.note(format_args!(
            "changelog: {dpu} at {}, from {}",
            counters.stamp_us,
            from.map_or("nowhere".to_owned(), |from| from.to_string())
        ));
        self.changelog().entry(dpu.clone()).or_default().push(change);
    }

    /// A number below `n`.
    pub(crate) fn below(&self, n: u64) -> u64 {
        lock(&self.rng).below(n)
    }

    /// Whether a fault that is this frequent happens now.
    pub(crate) fn fault(&self, percent: u64) -> bool {
        !self.healed() && lock(&self.rng).percent(percent)
    }

    /// Whether a fault that is this frequent, in per mille, happens now.
    pub(crate) fn rare_fault(&self, per_mille: u64) -> bool {
        !self.healed() && self.below(1_000) < per_mille
    }

    /// A generator of somebody's own.
    pub(crate) fn fork(&self) -> Rng {
        Rng::new(lock(&self.rng).draw())
    }

    /// From now on, or no longer, nothing goes wrong.
    pub(crate) fn heal(&self, healed: bool) {
        self.healed.store(healed, Ordering::Relaxed);
    }

    pub(crate) fn healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// A line of the trace.
    pub(crate) fn note(&self, what: Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(lock(&self.trace), "{:>6} {what}", self.now_ms());
    }

    /// Something that must never be.
    pub(crate) fn wrong(&self, what: String) {
        self.note(format_args!("WRONG: {what}"));
        lock(&self.wrong).push(what);
    }

    /// The trace, and what went wrong.
    pub(crate) fn close(&self) -> (String, Vec<String>) {
        (std::mem::take(&mut *lock(&self.trace)), std::mem::take(&mut *lock(&self.wrong)))
    }

    /// Appends a record to the log now; its offset.
    pub(crate) fn append(&self, partition: i32, payload: Vec<u8>, copy_of: Option<(i32, i64)>) -> i64 {
        let back = if self.fault(self.plan.dpu.clock_back) { self.below(300_000).cast_signed() } else { 0 };
        let offset = self.log().append(partition, self.clock().plus_ms(-back), payload, copy_of);
        self.note(format_args!("log: {partition}/{offset} appended{}", if copy_of.is_some() { ", sent home" } else { "" }));
        offset
    }

    /// An offset commit arrives.
    pub(crate) async fn commit_offset(&self, member: u64, partition: i32, offset: i64) {
        let before = self.group().commit(member, partition, offset);
        self.note(format_args!("group: {partition} at {offset} from member {member}: {before:?} before"));
        if let Some(before) = before {
            for unsafe_offset in oracle::not_durable(self, partition, before..offset).await {
                self.wrong(format!("{partition}/{offset} was committed before {unsafe_offset}"));
            }
        }
    }

    /// Does something in a while, in the network.
    pub(crate) fn later(&self, delay_ms: u64, what: impl Future<Output = ()> + Send + 'static) {
        let mut network = lock(&self.network);
        while network.try_join_next().is_some() {}
        network.spawn(async move {
            sleep(Duration::from_millis(delay_ms)).await;
            what.await;
        });
    }

    /// Waits until nothing is under way.
    pub(crate) async fn settle(&self) {
        let mut network = std::mem::take(&mut *lock(&self.network));
        let all = async { while network.join_next().await.is_some() {} };
        // What still waits for a process that died will never happen.
        let _ = timeout(Duration::from_millis(SETTLED_MS), all).await;
    }

    /// Sends a part of a commit to the store. When the answer comes, in ms; `None` if never.
    pub(crate) async fn send(self: &Arc<Self>, part: Arc<Commit>) -> Option<u64> {
        let faults = &self.plan.wire;
        let quick_ms = self.below(4);
        let arrives_ms = if self.fault(faults.slow) { 20 + self.below(400) } else { quick_ms };
        if self.fault(faults.lost) {
            self.note(format_args!("store: lost {}", described(&part)));
            return None;
        }
        if self.fault(faults.twice) {
            self.land_later(self.below(200), Arc::clone(&part));
        }
        if arrives_ms == 0 {
            self.land(&part).await;
        } else {
            self.land_later(arrives_ms, part);
        }
        let answered_ms = arrives_ms + self.below(if self.fault(faults.slow) { 60 } else { 2 });
        let heard = !self.fault(faults.unheard);
        heard.then_some(answered_ms)
    }

    fn land_later(self: &Arc<Self>, delay_ms: u64, part: Arc<Commit>) {
        let world = Arc::clone(self);
        self.later(delay_ms, async move { world.land(&part).await });
    }

    async fn land(&self, part: &Arc<Commit>) {
        self.note(format_args!("store: {}", described(part)));
        if let Err(error) = self.store.commit(Arc::clone(part)).await {
            self.wrong(format!("the memory store failed: {error}"));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part of a commit in a few words.
fn described(part: &Commit) -> String {
    let mut text = String::new();
    for write in &part.ledgers {
        let (openings, rows) = (write.openings.len(), write.rows.len());
        let counters = write.counters.map(|counters| (counters.totals().net(), counters.position.map_or(-1, |position| position.offset)));
        let _ = write!(text, "{} at {}: {openings} openings, {rows} crossings, counters {counters:?}; ", write.dpu, write.stamp_us);
    }
    let _ = write!(text, "{} quarantined", part.quarantine.len());
    text
}
