//! What was read of days and segments, kept in memory while they stay as they are.
//!
//! # Guarantees
//!
//! What is kept is what the reader's own snapshot holds. Each DPU has a generation, which moves to the next odd number
//! before a write changes one of its days and to the next even one after that; one write changes days at a time. Whoever
//! reads notes the generation *before* the snapshot is taken. Is it even, and still the same later, then no change began
//! or ended in between: the snapshot holds the days of this very generation, and so does everything kept under it. A
//! generation that was left does not come back, so what was kept under it is never asked for again.
//!
//! Some DPUs share a generation: a change of one costs the others a read.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::Slice;
use occupancy::id::DpuId;
use occupancy::ledger::Totals;
use occupancy::time::{Day, UnixMs};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::StoreError;
use crate::day::DayEntry;

/// How many generations there are.
const GENERATIONS: usize = 4096;
/// What a kept value takes besides what it points at, about, in bytes.
const EACH_BYTES: u64 = 128;

/// The latest day with an opening at or before some day, if there is one.
pub(super) type Active = Option<(Day, Arc<DayEntry>)>;

/// Where a segment stands: its day, and its number there.
type Place = (Day, u32);
/// A segment as it is stored.
type Packed = Arc<[u8]>;

/// What is kept, each with its generation.
pub(super) struct Sealed {
    generations: Box<[AtomicU64]>,
    hasher: RandomState,
    segments: Cache<(DpuId, Place), (u64, Packed), Weigh>,
    days: Cache<(DpuId, Day), (u64, Active), Weigh>,
    totals: Cache<(DpuId, UnixMs), (u64, Totals)>,
    /// What was asked for, as hashes: totals are kept once they are asked for again. An instant that nobody else means, as
    /// most are, costs nothing but its place here.
    asked: Box<[AtomicU64]>,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<(DpuId, Day), (u64, Active)> for Weigh {
    fn weight(&self, _: &(DpuId, Day), (_, active): &(u64, Active)) -> u64 {
        let starts = active.as_ref().map_or(0, |(_, entry)| entry.starts.len());
        EACH_BYTES + (size_of::<DayEntry>() + starts * size_of::<UnixMs>()) as u64
    }
}

impl Weighter<(DpuId, Place), (u64, Packed)> for Weigh {
    fn weight(&self, _: &(DpuId, Place), (_, segment): &(u64, Packed)) -> u64 {
        EACH_BYTES + segment.len() as u64
    }
}

/// A generation as it was noted before a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted(u64);

impl Sealed {
    /// Keeps about so many bytes: two thirds are for segments, which are found here without a search through the tree.
    pub(super) fn new(bytes: u64) -> Self {
        let (segments_bytes, days_bytes, totals) = (bytes / 3 * 2, bytes / 4, bytes / 12 / EACH_BYTES);
        let number = |of: u64| usize::try_from(of).unwrap_or(usize::MAX);
        Self {
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            segments: Cache::with_weighter(number(segments_bytes / (4 * EACH_BYTES)), segments_bytes, Weigh),
            days: Cache::with_weighter(number(days_bytes / (4 * EACH_BYTES)), days_bytes, Weigh),
            totals: Cache::new(number(totals)),
            asked: (0..number(totals).max(1)).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The DPU's generation, to be noted before a snapshot is taken.
    pub(super) fn note(&self, dpu: &DpuId) -> Noted {
        Noted(self.generation(self.place(dpu)).load(Ordering::SeqCst))
    }

    /// What is kept of a DPU, for a snapshot that was taken after its generation was noted.
    pub(super) fn kept<'a>(&'a self, dpu: &'a DpuId, noted: Noted) -> Kept<'a> {
        let same = noted.0.is_multiple_of(2) && self.note(dpu) == noted;
        Kept { sealed: self, dpu, generation: same.then_some(noted.0) }
    }

    /// Days are about to change. To be held until they did, or it was given up; one at a time.
    pub(super) fn changing(&self) -> Changing<'_> {
        Changing { sealed: self, places: BTreeSet::new() }
    }

    /// Whether these totals were asked for not long ago.
    #[allow(clippy::indexing_slicing, reason = "a place is below the number of them")]
    fn asked_again(&self, dpu: &DpuId, before: UnixMs) -> bool {
        let hash = self.hasher.hash_one((dpu, before));
        let place = &self.asked[hash as usize % self.asked.len()];
        let again = place.load(Ordering::Relaxed) == hash;
        if !again {
            place.store(hash, Ordering::Relaxed);
        }
        again
    }

    fn place(&self, dpu: &DpuId) -> usize {
        self.hasher.hash_one(dpu) as usize % GENERATIONS
    }

    #[allow(clippy::indexing_slicing, reason = "a place is below the number of them")]
    fn generation(&self, place: usize) -> &AtomicU64 {
        &self.generations[place]
    }
}

/// What is kept of one DPU, for a snapshot.
pub(super) struct Kept<'a> {
    sealed: &'a Sealed,
    dpu: &'a DpuId,
    /// `None` where the snapshot may hold other days than those that are kept.
    generation: Option<u64>,
}

impl Kept<'_> {
    /// The latest active day at or before a day: as it is kept, or as it is read and then kept.
    pub(super) fn active(&self, until: Day, read: impl FnOnce() -> Result<Active, StoreError>) -> Result<Active, StoreError> {
        self.one(&self.sealed.days, until, read)
    }

    /// The segment of a place.
    pub(super) fn segment(&self, place: Place, read: impl FnOnce() -> Result<Slice, StoreError>) -> Result<Packed, StoreError> {
        // A copy: what the database gives holds on to a whole block.
        self.one(&self.sealed.segments, place, || read().map(|bytes| Arc::from(&*bytes)))
    }

    /// The totals before an instant that lies before the end of the sealed rows.
    pub(super) fn totals(&self, before: UnixMs, read: impl FnOnce() -> Result<Totals, StoreError>) -> Result<Totals, StoreError> {
        if self.sealed.asked_again(self.dpu, before) { self.one(&self.sealed.totals, before, read) } else { read() }
    }

    fn one<K: Eq + Hash + Copy, T: Clone, W: Weighter<(DpuId, K), (u64, T)> + Clone>(
        &self,
        cache: &Cache<(DpuId, K), (u64, T), W>,
        key: K,
        read: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(generation) = self.generation else { return read() };
        let key = (self.dpu.clone(), key);
        if let Some((_, kept)) = cache.get(&key).filter(|(of, _)| *of == generation) {
            return Ok(kept);
        }
        let found = read()?;
        cache.insert(key, (generation, found.clone()));
        Ok(found)
    }
}

/// A write that changes days.
pub(super) struct Changing<'a> {
    sealed: &'a Sealed,
    places: BTreeSet<usize>,
}

impl Changing<'_> {
    /// Those of this DPU too.
    pub(super) fn also(&mut self, dpu: &DpuId) {
        let place = self.sealed.place(dpu);
        if self.places.insert(place) {
            self.sealed.generation(place).fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        for place in &self.places {
            self.sealed.generation(*place).fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_kept_until_their_dpu_changes_and_no_more_than_have_room() {
        let (sealed, dpu) = (Sealed::new(3 << 20), "d1".parse::<DpuId>().unwrap());
        let look = |number, stored: u8| {
            let read = || Ok(Slice::from(vec![stored; 1_000]));
            sealed.kept(&dpu, sealed.note(&dpu)).segment((Day(1), number), read).unwrap()[0]
        };
        assert_eq!([look(0, 1), look(0, 2), look(1, 3), look(1, 4)], [1, 1, 3, 3]);
        sealed.changing().also(&dpu);
        assert_eq!([look(0, 5), look(0, 6), look(1, 7)], [5, 5, 7]);
        (2..10_000).for_each(|number| assert_eq!(look(number, 8), 8));
        let kept = sealed.segments.len() as u64;
        assert!((500..=(2 << 20) / 1_000).contains(&kept) && sealed.segments.weight() <= 2 << 20, "{kept}");
    }

    #[test]
    fn what_changes_meanwhile_is_neither_kept_nor_asked_for() {
        let (sealed, dpu, at) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap(), UnixMs::MIN);
        let totals = |entered| Totals { entered, exited: 0 };
        let look = |noted, stored| sealed.kept(&dpu, noted).totals(at, || Ok(totals(stored))).unwrap().entered;
        let first = sealed.note(&dpu);
        assert_eq!([look(first, 0), look(first, 1), look(first, 2)], [0, 1, 1], "kept when asked again");
        let mut changing = sealed.changing();
        changing.also(&dpu);
        changing.also(&dpu);
        let amid = sealed.note(&dpu);
        assert_eq!([look(first, 3), look(amid, 4)], [3, 4], "asked for amid a change");
        drop(changing);
        assert_eq!([look(first, 5), look(amid, 6)], [5, 6], "snapshots from before the change's end");
        let after = sealed.note(&dpu);
        assert_eq!([look(after, 7), look(after, 8)], [7, 7], "kept anew");
    }
}
