//! Buckets of history that were walked before, kept until something touches their past.
//!
//! # Why what is kept is what a walk would find
//!
//! A bucket that is over follows from the crossings before its end and the world. Whoever walks takes a ticket first; a
//! change or an edit marks all tickets out, and drops all that is kept, from its instant on. What is walked is kept only as
//! far as its ticket is not marked. So a change that a walk may have missed either came before the ticket, and was durable
//! before the walk read anything, or marks it. Whether a bucket is partial is told anew each time; one that was when it was
//! walked and is no more may hold more by now, of which this was not told yet: it is walked anew.
//!
//! Where other processes write, nothing is kept, or told of what is kept, unless all that was *published* by an instant at
//! most [`FRESH`] ago was heard; of what was published since, each bucket may hold some and not the rest. A lane may die
//! after a commit and before it publishes that: what is kept lacks those crossings, which a walk finds, until the log
//! delivers them to the lane after it, which tells of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use chrono_tz::Tz;
use moka::sync::Cache;
use occupancy::bucket::Interval;
use occupancy::id::SpaceId;
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use tokio::time::Instant;

use crate::effect::differ_from;
use crate::hung::HungAt;
use crate::live::FRESH;
use crate::{HistoryBucket, Snapshot, lock};

/// How many buckets are kept at most, of the spaces asked for last: some 20 MB.
const BUCKETS_MOST: u64 = 100_000;
/// How many of one space, so that none takes the place of all others.
const SPACE_MOST: usize = 10_000;

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
    /// The spaces something is kept of, in the world it is of.
    hung: HungAt,
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
    cuts: HashMap<Cut, BTreeMap<UnixMs, HistoryBucket>>,
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
    pub(crate) found: Vec<HistoryBucket>,
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
            // Later buckets end later: most often none is dropped.
            while buckets.last_entry().is_some_and(|last| last.get().bucket.end > from) {
                buckets.pop_last();
            }
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
        let mut touched: BTreeMap<&SpaceId, UnixMs> = BTreeMap::new();
        for (dpu, from) in changes.iter().filter_map(|change| Some((&change.dpu, change.from?))) {
            for space in state.hung.of(dpu) {
                touched.entry(space).and_modify(|first| *first = from.min(*first)).or_insert(from);
            }
        }
        self.drop_from(touched);
    }

    fn drop_from<'a>(&self, touched: impl IntoIterator<Item = (&'a SpaceId, UnixMs)>) {
        for (space, from) in touched {
            if let Some(rows) = self.spaces.get(space) {
                lock(&rows).drop_from(from);
            }
        }
    }

    /// The first buckets of a page, of those that are kept and `good`, and a ticket for a walk over the rest; `None` where
    /// nothing may be kept. A bucket is none of those unless it has the very window.
    pub(crate) fn begin(
        &self,
        snapshot: &Snapshot,
        space: &SpaceId,
        cut: Cut,
        windows: impl Iterator<Item = (UnixMs, UnixMs)>,
        good: impl Fn(&HistoryBucket) -> bool,
    ) -> Option<Ticket> {
        self.learn(snapshot);
        let mut state = lock(&self.state);
        let hears = match state.hears {
            Hears::Nothing => false,
            Hears::All => true,
            Hears::Until(as_of) => as_of.elapsed() < FRESH,
        };
        if !hears || state.hung.snapshot().revision != snapshot.revision {
            return None;
        }
        state.hung.add(space);
        state.tickets += 1;
        let rows = self.spaces.get_with_by_ref(space, Arc::default);
        let mut own = lock(&rows);
        own.tickets.insert(state.tickets, UnixMs::MAX);
        let kept = own.cuts.get(&cut);
        let same = |(start, end)| kept?.get(&start).filter(|one| one.bucket.end == end && good(one)).cloned();
        let found = windows.map_while(same).collect();
        drop(own);
        Some(Ticket { space: space.clone(), cut, number: state.tickets, rows, found })
    }

    /// Goes by a newer world: what it changes is dropped.
    fn learn(&self, snapshot: &Snapshot) {
        loop {
            let (was, spaces) = {
                let state = lock(&self.state);
                // A space of which nothing is kept any more is left out from here on.
                let kept = state.hung.spaces().iter().filter(|space| self.spaces.contains_key(*space));
                (state.hung.snapshot().clone(), kept.cloned().collect::<Vec<_>>())
            };
            if was.revision >= snapshot.revision {
                return;
            }
            // Not under the lock, which lanes wait for.
            let differ = differ_from(&was.world, &snapshot.world, &spaces, UnixMs::MAX);
            let mut hung = HungAt::new(snapshot, &spaces);
            let mut state = lock(&self.state);
            if state.hung.snapshot().revision == was.revision {
                self.drop_from(differ.iter().map(|(space, from)| (space, *from)));
                for came in state.hung.spaces().iter().filter(|space| !spaces.contains(space)) {
                    self.drop_from([(came, UnixMs::MIN)]);
                    hung.add(came);
                }
                state.hung = hung;
                return;
            }
        }
    }

    /// Keeps what was walked after what was found, as far as nothing touched it meanwhile.
    pub(crate) fn keep(&self, ticket: &Ticket, walked: &[HistoryBucket], now: UnixMs) {
        // Under this lock, so that what was forgotten meanwhile does not come back.
        let _state = lock(&self.state);
        if self.spaces.get(&ticket.space).is_none_or(|current| !Arc::ptr_eq(&current, &ticket.rows)) {
            return;
        }
        let mut rows = lock(&ticket.rows);
        let marked = rows.tickets.get(&ticket.number).copied().unwrap_or(UnixMs::MIN);
        let over = walked.iter().filter(|one| one.bucket.end <= now.min(marked));
        if rows.buckets() + walked.len() > SPACE_MOST {
            rows.cuts.clear();
        }
        rows.cuts.entry(ticket.cut).or_default().extend(over.take(SPACE_MOST).map(|one| (one.bucket.start, one.clone())));
        drop(rows);
        // Put in anew, it is weighed anew.
        self.spaces.insert(ticket.space.clone(), Arc::clone(&ticket.rows));
    }
}
