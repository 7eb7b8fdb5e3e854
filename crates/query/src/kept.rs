//! Buckets of history that were walked before, kept until something touches their past.
//!
//! # Why what is kept is what a walk would find
//!
//! A bucket that is over follows from the crossings before its end and the world. Whoever walks takes a ticket first; a
//! change or an edit marks all tickets out, and drops all that is kept, from its instant on. What is walked is kept only as
//! far as its ticket is not marked. So a change that a walk may have missed either came before the ticket, and was durable
//! before the walk read anything, or marks it. Whether a bucket is partial is not kept: that is told anew each time.
//!
//! Nothing is kept, or told of what is kept, while changes may go unheard.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono_tz::Tz;
use moka::sync::Cache;
use occupancy::bucket::{Bucket, Interval};
use occupancy::id::{DpuId, SpaceId};
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use tokio::time::Instant;

use crate::Snapshot;
use crate::count::ever_hung;
use crate::effect::differ_from;
use crate::live::FRESH;

/// How many buckets are kept at most, of the spaces asked for most: some 20 MB.
const BUCKETS_MOST: u64 = 100_000;

/// A bucket as it was walked, and what is missing in it.
pub(crate) type Walked = (Bucket, Option<u64>);
/// How a space's time is cut into buckets.
type Cut = (Tz, Interval);

/// What is kept.
pub(crate) struct Kept {
    spaces: Cache<SpaceId, Arc<Mutex<Rows>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hears: Hears,
    /// The world everything kept is of, and which of its DPUs ever hung at the spaces something is kept of.
    world: Snapshot,
    by_dpu: HashMap<DpuId, Vec<SpaceId>>,
    indexed: BTreeSet<SpaceId>,
    /// How many tickets there were.
    tickets: u64,
}

/// Whether changes are heard.
#[derive(Debug, Clone, Copy, Default)]
enum Hears {
    #[default]
    Nothing,
    /// All, as nobody else makes any.
    All,
    /// All up to an instant.
    Until(Instant),
}

/// What is kept of one space.
#[derive(Default)]
struct Rows {
    cuts: HashMap<Cut, BTreeMap<UnixMs, Walked>>,
    /// The tickets out, and from when on what they stand for may have changed.
    tickets: BTreeMap<u64, UnixMs>,
}

/// What was kept of a page when a walk began, and the right to keep more.
pub(crate) struct Ticket {
    space: SpaceId,
    cut: Cut,
    number: u64,
    rows: Arc<Mutex<Rows>>,
    /// The first buckets of the page.
    pub(crate) found: Vec<Walked>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.rows).tickets.remove(&self.number);
    }
}

impl Rows {
    fn drop_from(&mut self, from: UnixMs) {
        self.tickets.values_mut().for_each(|marked| *marked = from.min(*marked));
        for buckets in self.cuts.values_mut() {
            buckets.retain(|_, (bucket, _)| bucket.end <= from);
        }
        self.cuts.retain(|_, buckets| !buckets.is_empty());
    }

    fn buckets(&self) -> usize {
        self.cuts.values().map(BTreeMap::len).sum()
    }
}

impl Default for Kept {
    fn default() -> Self {
        let weigh = |_: &SpaceId, rows: &Arc<Mutex<Rows>>| u32::try_from(lock(rows).buckets()).unwrap_or(u32::MAX).max(1);
        Self { spaces: Cache::builder().max_capacity(BUCKETS_MOST).weigher(weigh).build(), state: Mutex::default() }
    }
}

impl Kept {
    /// Nobody but this process makes changes, and all of them are told here.
    pub(crate) fn hear_all(&self) {
        lock(&self.state).hears = Hears::All;
    }

    /// Every change up to an instant was told here, since the last that may not have been.
    pub(crate) fn hear_until(&self, as_of: Instant) {
        lock(&self.state).hears = Hears::Until(as_of);
    }

    /// Changes may go unheard: what is kept is worth nothing.
    pub(crate) fn hear_nothing(&self) {
        let mut state = lock(&self.state);
        *state = State { tickets: state.tickets, ..State::default() };
        self.spaces.invalidate_all();
    }

    /// Ledgers have changed.
    pub(crate) fn changed(&self, changes: &[Change]) {
        let state = lock(&self.state);
        if state.by_dpu.is_empty() {
            return;
        }
        for Change { dpu, from, .. } in changes {
            if let Some(from) = from {
                self.drop_from(state.by_dpu.get(dpu).into_iter().flatten(), *from);
            }
        }
    }

    fn drop_from<'a>(&self, spaces: impl Iterator<Item = &'a SpaceId>, from: UnixMs) {
        for rows in spaces.filter_map(|space| self.spaces.get(space)) {
            lock(&rows).drop_from(from);
        }
    }

    /// The first buckets of a page, of those that are kept, and a ticket for a walk over the rest; `None` where nothing may
    /// be kept. The windows of buckets that are not over at `now` are theirs only so far.
    pub(crate) fn begin(
        &self,
        snapshot: &Snapshot,
        space: &SpaceId,
        cut: Cut,
        windows: impl Iterator<Item = (UnixMs, UnixMs)>,
    ) -> Option<Ticket> {
        let mut state = lock(&self.state);
        let hears = match state.hears {
            Hears::Nothing => false,
            Hears::All => true,
            Hears::Until(as_of) => as_of.elapsed() < FRESH,
        };
        self.learn(&mut state, snapshot);
        if !hears || state.world.revision != snapshot.revision {
            return None;
        }
        state.index(space);
        state.tickets += 1;
        let rows = self.spaces.get_with_by_ref(space, Arc::default);
        let mut own = lock(&rows);
        own.tickets.insert(state.tickets, UnixMs::MAX);
        let kept = own.cuts.get(&cut);
        let same = |(start, end)| kept?.get(&start).filter(|(bucket, _)| bucket.end == end).copied();
        let found = windows.map_while(same).collect();
        drop(own);
        Some(Ticket { space: space.clone(), cut, number: state.tickets, rows, found })
    }

    /// Goes by a newer world: what it changes is dropped.
    fn learn(&self, state: &mut State, snapshot: &Snapshot) {
        if snapshot.revision <= state.world.revision {
            return;
        }
        let was = std::mem::replace(&mut state.world, snapshot.clone());
        let spaces: Vec<SpaceId> = std::mem::take(&mut state.indexed).into_iter().collect();
        for (space, from) in differ_from(&was.world, &snapshot.world, &spaces, UnixMs::MAX) {
            self.drop_from([&space].into_iter(), from);
        }
        state.by_dpu.clear();
        // A space of which nothing is kept any more is left out from here on.
        spaces.iter().filter(|space| self.spaces.contains_key(*space)).for_each(|space| state.index(space));
    }

    /// Keeps what was walked after what was found, as far as nothing touched it meanwhile.
    pub(crate) fn keep(&self, ticket: &Ticket, walked: &[Walked], now: UnixMs) {
        // Under this lock, so that what was forgotten meanwhile does not come back.
        let _state = lock(&self.state);
        if self.spaces.get(&ticket.space).is_none_or(|current| !Arc::ptr_eq(&current, &ticket.rows)) {
            return;
        }
        let mut rows = lock(&ticket.rows);
        let marked = rows.tickets.get(&ticket.number).copied().unwrap_or(UnixMs::MIN);
        let over = walked.iter().filter(|(bucket, _)| bucket.end <= now.min(marked));
        rows.cuts.entry(ticket.cut).or_default().extend(over.map(|one| (one.0.start, *one)));
        drop(rows);
        // Put in anew, it is weighed anew.
        self.spaces.insert(ticket.space.clone(), Arc::clone(&ticket.rows));
    }
}

impl State {
    fn index(&mut self, space: &SpaceId) {
        if !self.indexed.insert(space.clone()) {
            return;
        }
        let dpus: BTreeSet<&DpuId> = ever_hung(&self.world.world, std::slice::from_ref(space)).into_iter().map(|one| &one.dpu).collect();
        for dpu in dpus {
            self.by_dpu.entry(dpu.clone()).or_default().push(space.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks panics halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
