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
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fjall::Slice;
use occupancy::id::DpuId;
use occupancy::ledger::Totals;
use occupancy::time::{Day, UnixMs};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::day::DayEntry;
use crate::steps::Steps;
use crate::{StoreError, segment};

/// How many generations there are.
const GENERATIONS: usize = 4096;
/// What a kept value takes besides what it points at, about, in bytes.
const EACH_BYTES: usize = 128;

/// The latest day with an opening at or before some day, if there is one.
pub(super) type Active = Option<(Day, Arc<KeptDay>)>;

/// A day, and how totals step up in those of its segments that were asked for.
pub(super) struct KeptDay {
    pub(super) entry: DayEntry,
    steps: Box<[OnceLock<Steps>]>,
}

impl KeptDay {
    pub(super) fn new(entry: DayEntry) -> Self {
        let steps = entry.starts.iter().map(|_| OnceLock::new()).collect();
        Self { entry, steps }
    }

    /// What it takes, in bytes.
    fn bytes(&self) -> usize {
        let of_segments: usize = self.steps.iter().filter_map(OnceLock::get).map(Steps::bytes).sum();
        size_of::<Self>() + size_of_val(&*self.entry.starts) + size_of_val(&*self.steps) + of_segments
    }
}

/// What is kept of a day.
#[derive(Clone)]
struct One {
    generation: u64,
    active: Active,
    /// What it took when it was last put in.
    bytes: u64,
}

impl One {
    fn new(generation: u64, active: Active) -> Self {
        let bytes = active.as_ref().map_or(0, |(_, day)| day.bytes());
        Self { generation, active, bytes: (EACH_BYTES + bytes) as u64 }
    }
}

/// What is kept.
pub(super) struct Sealed {
    generations: Box<[AtomicU64]>,
    hasher: RandomState,
    days: Cache<(DpuId, Day), One, Weigh>,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<(DpuId, Day), One> for Weigh {
    fn weight(&self, _: &(DpuId, Day), one: &One) -> u64 {
        one.bytes
    }
}

/// A generation as it was noted before a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted(u64);

impl Sealed {
    /// Keeps about so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            days: Cache::with_weighter(usize::try_from(bytes).unwrap_or(usize::MAX) / (8 * EACH_BYTES), bytes, Weigh),
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
        let Some(generation) = self.generation else { return read() };
        let key = (self.dpu.clone(), until);
        if let Some(one) = self.sealed.days.get(&key).filter(|one| one.generation == generation) {
            return Ok(one.active);
        }
        let active = read()?;
        self.sealed.days.insert(key, One::new(generation, active.clone()));
        Ok(active)
    }

    /// The totals that a segment of the active day tells before an instant: as its steps are kept, or as it is read.
    pub(super) fn totals_before(
        &self,
        before: UnixMs,
        (until, active): (Day, &(Day, Arc<KeptDay>)),
        number: usize,
        read: impl FnOnce() -> Result<Slice, StoreError>,
    ) -> Result<Option<Totals>, StoreError> {
        let place = active.1.steps.get(number);
        if let Some(steps) = place.and_then(OnceLock::get) {
            return steps.before(before);
        }
        let segment = read()?;
        if let Some((generation, place)) = self.generation.zip(place) {
            // Put in anew, the day is weighed anew.
            if place.set(Steps::of(&segment)?).is_ok() {
                self.sealed.days.insert((self.dpu.clone(), until), One::new(generation, Some(active.clone())));
            }
        }
        segment::totals_before(&segment, before)
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
    use occupancy::crossing::{Direction, Key};
    use occupancy::ledger::Row;

    use super::*;

    const SEGMENTS: u64 = 8;

    fn kept_day() -> Active {
        let starts = (0..SEGMENTS).map(|n| Day(1).start().plus_ms(n.cast_signed())).collect();
        Some((Day(1), Arc::new(KeptDay::new(DayEntry { opening: Some(Totals::default()), starts }))))
    }

    /// A segment with the totals of so many.
    fn segment(entered: u64) -> Slice {
        let at = Day(1).start();
        let key = Key { at, boot: 0, seq: 0, direction: Direction::Plus };
        let row = |_| Row { key, totals: Totals { entered, exited: 0 }, appended_at: at };
        Slice::from(segment::encode(&[0].map(row)))
    }

    fn look(sealed: &Sealed, noted: Noted, dpu: &DpuId, number: usize, stored: u64) -> u64 {
        let kept = sealed.kept(dpu, noted);
        let active = kept.active(Day(1), || Ok(kept_day())).unwrap().unwrap();
        let totals = kept.totals_before(UnixMs::MAX, (Day(1), &active), number, || Ok(segment(stored)));
        totals.unwrap().unwrap().entered
    }

    #[test]
    fn segments_are_kept_until_their_dpu_changes_and_no_more_than_have_room() {
        let (sealed, dpu) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap());
        let look = |dpu: &DpuId, number, stored| look(&sealed, sealed.note(dpu), dpu, number, stored);
        assert_eq!([look(&dpu, 0, 1), look(&dpu, 0, 2), look(&dpu, 1, 3), look(&dpu, 1, 4)], [1, 1, 3, 3]);
        sealed.changing().also(&dpu);
        assert_eq!([look(&dpu, 0, 5), look(&dpu, 0, 6), look(&dpu, 1, 7)], [5, 5, 7]);
        let grown = sealed.days.weight();
        assert!((2..SEGMENTS).all(|number| look(&dpu, number as usize, 8) == 8) && sealed.days.weight() > grown);
        for n in 0..10_000 {
            let dpu = format!("e{n}").parse().unwrap();
            assert_eq!([look(&dpu, 0, 1), look(&dpu, 1, 2)], [1, 2]);
        }
        assert!((1 << 19..=1 << 20).contains(&sealed.days.weight()), "{}", sealed.days.weight());
    }

    #[test]
    fn what_changes_meanwhile_is_neither_kept_nor_asked_for() {
        let (sealed, dpu) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap());
        let look = |noted, stored| look(&sealed, noted, &dpu, 0, stored);
        let first = sealed.note(&dpu);
        assert_eq!([look(first, 1), look(first, 2)], [1, 1]);
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
