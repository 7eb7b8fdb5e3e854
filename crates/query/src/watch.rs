//! Counts as they change: whoever watches a space is told its count anew after each change, and when its past changed.
//!
//! # Guarantees
//!
//! - The last count told of a space is its count, at the instant told and now: a change marks the space once it can be
//!   read, and a marked space is read again; what time alone changes is read when it comes. Only `at` goes on untold, and
//!   `settled` with it: that is of the instant told, whether all was heard up to then. Should a mark ever be missed, or the
//!   time of a crossing come that was too far ahead to be asked for, every space is read anew every ten seconds.
//! - Whatever changes what could have been read more than [`LATE_MS`] ago is told, with an instant that is never later
//!   than the first count that differs.
//! - A space is read and told at most once in [`TELL_EVERY`], however many watch it, and never twice at once, so what is
//!   told of it comes in order. [`READS_AT_ONCE`] are read side by side: while the store is slow with fewer, these delay
//!   none but themselves, and each is told to be stalled after ten seconds.
//! - What is told stands once in memory for all who watch, and is replaced by the next: one who does not listen holds
//!   nothing up and piles nothing up.

mod metrics;
mod state;
mod told;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use occupancy::count::Count;
use occupancy::id::SpaceId;
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use occupancy::world::World;
use prometheus::Registry;
use store::StoreError;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use self::metrics::Metrics;
use self::state::State;
use self::told::{Ear, Heard};
pub use self::told::{News, ToldCount, Watcher};
use crate::count::{Read, check_number};
use crate::effect::differ_from;
use crate::error::WatchFailed;
use crate::hung::HungAt;
use crate::{Query, Snapshot, lock};

/// How many spaces one watcher can watch.
pub const WATCH_SPACES_MOST: usize = 100;
/// How often a space is told at most.
pub const TELL_EVERY: Duration = Duration::from_millis(100);
/// A crossing takes a moment to arrive: what it changes of the last 5 s counts as the present, not as the past.
pub const LATE_MS: i64 = 5_000;
/// How often every space is read anew, changed or not: a missed mark must not freeze a count.
const REFRESH: Duration = Duration::from_secs(10);
/// The pause after a count could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How many spaces are read side by side.
const READS_AT_ONCE: usize = 32;

/// Tells counts as they change.
pub struct Watch {
    query: Arc<Query>,
    state: Mutex<State>,
    woken: Notify,
    room: Arc<Semaphore>,
    watchers_most: u32,
    metrics: Metrics,
}

impl Watch {
    /// Tells at most so many watchers at once; nothing, until it is [run](Watch::run).
    ///
    /// # Errors
    /// A metric of the same name is registered already.
    pub fn new(query: Arc<Query>, watchers_most: u32, registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        let room = Arc::new(Semaphore::new(usize::try_from(watchers_most).unwrap_or(Semaphore::MAX_PERMITS)));
        Ok(Self { query, state: Mutex::default(), woken: Notify::new(), room, watchers_most, metrics })
    }

    /// Nobody but this process makes changes: all of them are told here.
    pub fn hear_all(&self) {
        self.query.kept.hear_all();
        self.query.standings.hear_all();
    }

    /// Ledgers have changed, and can be read as they are now.
    pub fn changed(&self, changes: &[Change]) {
        self.query.kept.changed(changes);
        self.query.standings.changed(changes);
        let past = (self.query.clock)().plus_ms(-LATE_MS);
        let mut state = self.state();
        let touched = changes.iter().map(|Change { dpu, from, .. }| state.touch(dpu, *from, past));
        if touched.fold(false, |any, one| any | one) {
            self.woken.notify_one();
        }
    }

    /// Changes may have been missed; what comes until they are [all told](Watch::complete) is part of it.
    pub fn incomplete(&self) {
        self.query.kept.hear_nothing();
        self.query.standings.hear_nothing();
        self.state().set_incomplete();
    }

    /// Every change up to an instant was told, or is in what can be read.
    pub fn complete(&self, as_of: Instant) {
        self.query.kept.hear_until(as_of);
        if self.state().set_complete() {
            self.woken.notify_one();
        }
    }

    /// Watches spaces; each is told as it is now, then as it changes.
    ///
    /// # Errors
    /// There are too many watchers, too many spaces or none, a space is unknown, it is closed, or the store fails.
    pub async fn subscribe(&self, spaces: &[SpaceId]) -> Result<Watcher, WatchFailed> {
        let full = WatchFailed::Full { most: self.watchers_most };
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| full)?;
        let mut spaces = spaces.to_vec();
        spaces.sort_unstable();
        spaces.dedup();
        check_number(&spaces, WATCH_SPACES_MOST)?;
        let snapshot = self.query.snapshot_of(&spaces).await?;
        self.learn(&snapshot);
        let receivers = self.state().watch(&spaces).ok_or(WatchFailed::Stopping)?;
        self.woken.notify_one();
        // Before anything is read: what is told from here on may not be in it.
        let heard: Vec<Heard> = receivers.into_iter().map(Heard::new).collect();
        let mut ears = Vec::with_capacity(spaces.len());
        for (space, heard) in spaces.iter().zip(heard) {
            let since = Instant::now();
            ears.push(Ear::new(Arc::new(ToldCount::new(self.query.count(space, None).await?)), since, heard));
        }
        Ok(Watcher::new(ears, self.metrics.clone(), place))
    }

    /// Tells no more: whoever watches comes to an end.
    pub fn close(&self) {
        self.state().close();
    }

    /// Reads and tells what changed, for as long as it is polled.
    pub async fn run(&self) -> Infallible {
        let mut edited = self.query.topology().revisions();
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let permits = Semaphore::new(READS_AT_ONCE);
        let (mut look, mut reads) = (pin!(Fuse::terminated()), FuturesUnordered::new());
        loop {
            let idle = look.is_terminated();
            let due = self.state().due((self.query.clock)()).filter(|_| idle);
            tokio::select! {
                () = self.woken.notified() => {}
                _ = refresh.tick() => self.state().mark_all(),
                // Its other end lives as long as this.
                _ = edited.changed(), if idle => look.set(self.look().fuse()),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => look.set(self.look().fuse()),
                due = &mut look => reads.extend(due.into_iter().map(|space| self.tell(&permits, space))),
                Some(()) = reads.next() => {}
            }
        }
    }

    /// Looks for edits. Which spaces are to be read then: none where it fails.
    async fn look(&self) -> Vec<SpaceId> {
        match in_time(self.query.topology().recent()).await {
            Ok(snapshot) => {
                self.learn(&snapshot);
                self.state().take_due((self.query.clock)())
            }
            Err(error) => {
                self.state().stall_all(&error.to_string(), Instant::now() + TRY_AGAIN);
                Vec::new()
            }
        }
    }

    /// Reads and tells one space, at its turn.
    async fn tell(&self, permits: &Semaphore, space: SpaceId) {
        // Never closed.
        let _permit = permits.acquire().await;
        let world = self.state().begin(&space);
        // Before it is read: a baseline in between is told by its turn.
        let now = (self.query.clock)();
        match in_time(self.query.read(&world, std::slice::from_ref(&space), None)).await {
            Ok(read) => {
                let silent_after_ms = self.query.settings.silent_after_ms;
                let turn = next_turn(&world, &space, &read, silent_after_ms, now);
                let count: Option<Count> = read.counts(silent_after_ms).pop();
                self.state().tell(&space, count, turn);
            }
            Err(error) => self.state().stall(&space, &error.to_string(), Instant::now() + TRY_AGAIN),
        }
    }

    /// Goes by a newer world: what it changes is marked.
    fn learn(&self, snapshot: &Snapshot) {
        loop {
            let (was, spaces) = self.state().known();
            if was.revision >= snapshot.revision {
                return;
            }
            // Not under the lock, which lanes wait for.
            let now = (self.query.clock)();
            let differ = differ_from(&was.world, &snapshot.world, &spaces, now);
            let hung = HungAt::new(snapshot, &spaces);
            if self.state().learn(was.revision, hung, &differ, now.plus_ms(-LATE_MS)) {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What is read, unless no answer comes.
async fn in_time<T, E: From<StoreError>>(read: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    timeout(REFRESH, read).await.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer came".to_owned()).into()))
}

/// When time alone changes a count next: a baseline begins, a DPU begins or ceases to hang there, or falls silent. Of those
/// that the next refresh comes before, nothing.
fn next_turn(world: &World, space: &SpaceId, read: &Read, silent_after_ms: i64, now: UnixMs) -> Option<UnixMs> {
    let soon = now.plus_ms(1)..now.plus_ms(i64::try_from(REFRESH.as_millis()).unwrap_or(0) + 1_000);
    let heard = read.counters.values().filter_map(|counters| counters.heard);
    // Should one not hang there then, it is read once for nothing.
    let silent = heard.map(|heard| heard.plus_ms(silent_after_ms + 1)).filter(|turn| soon.contains(turn));
    silent.chain(world.next_turn(space.as_str(), soon.start, soon.end)).min()
}
