//! What the last count of now of a space was made of, kept while nothing but time has gone on.
//!
//! # Why a count of what is kept is what a read would make
//!
//! The changes of each DPU are numbered; some DPUs share a number. Whoever reads a count notes the numbers of its DPUs
//! *before* the read, and every change is told here once it is durable and before whoever sent it is. So while the numbers
//! are as they were noted, nothing was acknowledged that the read may have missed.
//!
//! Edits give the world another revision. Of what time alone changes, silence is told anew each time; a baseline that
//! begins, or a DPU that begins or ceases to hang there, ends what is kept; a crossing that lies ahead, which time would
//! let in, keeps a count from being kept.
//!
//! Where changes may go unheard nothing is noted, and what was noted before is worth nothing.
//!
//! Nothing is kept for longer than [`KEPT_MS`]: should a lane die between a commit and its change, no count freezes.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use occupancy::count::{Count, Found, Plan};
use occupancy::id::{DpuId, SpaceId};
use occupancy::ledger::Change;
use occupancy::time::UnixMs;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::count::{Read, ever_hung};
use crate::{Query, QueryError, Snapshot};

/// How long a count is made of the same, by the clock.
const KEPT_MS: i64 = 10_000;
/// How many numbers of changes there are.
const NUMBERS: usize = 4096;
/// How many DPUs' parts are kept at most, of the spaces asked for last: some 20 MB.
const PARTS_MOST: u64 = 100_000;

/// What is kept.
pub(crate) struct Standings {
    /// Whether all changes are told here.
    hears: AtomicBool,
    changes: Box<[AtomicU64]>,
    hasher: RandomState,
    spaces: Cache<SpaceId, Arc<Standing>, Weigh>,
}

/// Numbers of changes, by their place.
type Noted = Vec<(usize, u64)>;

/// What is kept of one space.
struct Standing {
    revision: u64,
    noted: Noted,
    plan: Plan,
    /// What there is for each term of the plan.
    found: Vec<Found>,
    /// What the clock said when it was read.
    from: UnixMs,
    /// When it ends.
    until: UnixMs,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<SpaceId, Arc<Standing>> for Weigh {
    fn weight(&self, _: &SpaceId, standing: &Arc<Standing>) -> u64 {
        1 + (standing.found.len() + standing.noted.len()) as u64
    }
}

impl Default for Standings {
    fn default() -> Self {
        Self {
            hears: AtomicBool::default(),
            changes: (0..NUMBERS).map(|_| AtomicU64::default()).collect(),
            hasher: RandomState::new(),
            spaces: Cache::with_weighter(1_000, PARTS_MOST, Weigh),
        }
    }
}

impl Standings {
    /// Nobody but this process makes changes, and all of them are told here.
    pub(crate) fn hear_all(&self) {
        self.hears.store(true, Ordering::SeqCst);
    }

    /// Changes may go unheard: what was noted up to now is worth nothing.
    pub(crate) fn hear_nothing(&self) {
        self.hears.store(false, Ordering::SeqCst);
        self.changes.iter().for_each(next);
    }

    /// Ledgers have changed.
    pub(crate) fn changed(&self, changes: &[Change]) {
        changes.iter().filter_map(|change| self.changes.get(self.place(&change.dpu))).for_each(next);
    }

    /// The numbers of DPUs, while changes are told.
    fn note<'a>(&self, dpus: impl Iterator<Item = &'a DpuId>) -> Option<Noted> {
        let places: BTreeSet<usize> = dpus.map(|dpu| self.place(dpu)).collect();
        let noted = places.into_iter().map(|place| (place, self.number(place))).collect();
        // Looked at last: what makes it false then makes these numbers old.
        self.hears.load(Ordering::SeqCst).then_some(noted)
    }

    fn place(&self, dpu: &DpuId) -> usize {
        self.hasher.hash_one(dpu) as usize % NUMBERS
    }

    fn number(&self, place: usize) -> u64 {
        self.changes.get(place).map_or(0, |number| number.load(Ordering::SeqCst))
    }

    /// The count of what is kept, if that is still how it stands.
    fn count(&self, space: &SpaceId, revision: u64, now: UnixMs, silent_after_ms: i64) -> Option<Count> {
        let kept = self.spaces.get(space)?;
        let same = |(place, number): &(usize, u64)| self.number(*place) == *number;
        let stands = kept.revision == revision && (kept.from..kept.until).contains(&now) && kept.noted.iter().all(same);
        stands.then(|| kept.plan.answer_at(kept.plan.at.max(now), kept.found.iter().copied(), silent_after_ms))
    }

    /// Keeps what was read after these numbers were noted, unless a crossing lies ahead of its count.
    fn keep(&self, snapshot: &Snapshot, noted: Noted, read: &Read) {
        let Some(plan) = read.plans.first() else { return };
        let ahead = read.counters.values().filter_map(|counters| counters.last).any(|last| last.at > plan.at);
        if !ahead {
            let end = read.now.plus_ms(KEPT_MS);
            let until = snapshot.world.next_turn(plan.space.as_str(), plan.at.plus_ms(1), end).unwrap_or(end);
            let found = plan.terms.iter().map(|term| read.found(term)).collect();
            let standing = Standing { revision: snapshot.revision, noted, plan: plan.clone(), found, from: read.now, until };
            self.spaces.insert(plan.space.clone(), Arc::new(standing));
        }
    }
}

fn next(number: &AtomicU64) {
    number.fetch_add(1, Ordering::SeqCst);
}

impl Query {
    /// The count of a space now.
    pub(crate) async fn count_now(&self, space: &SpaceId) -> Result<Count, QueryError> {
        let silent_after_ms = self.settings.silent_after_ms;
        let revision = self.topology.recent().await?.revision;
        if let Some(count) = self.standings.count(space, revision, (self.clock)(), silent_after_ms) {
            return Ok(count);
        }
        // Boxed, so that a count that is kept, which needs none of it, stays small.
        Box::pin(self.count_anew(space)).await
    }

    /// The count of a space now, which is then kept.
    async fn count_anew(&self, space: &SpaceId) -> Result<Count, QueryError> {
        let spaces = slice::from_ref(space);
        let snapshot = self.snapshot_of(spaces).await?;
        let noted = self.standings.note(ever_hung(&snapshot.world, spaces).into_iter().map(|one| &one.dpu));
        let read = self.read(&snapshot.world, spaces, None).await?;
        let count = read.counts(self.settings.silent_after_ms).pop();
        if let Some(noted) = noted {
            self.standings.keep(&snapshot, noted, &read);
        }
        count.ok_or_else(|| QueryError::UnknownSpace(space.to_string()))
    }
}
