//! What was read of records, days and segments, kept in memory while they stay as they are.
//!
//! # Guarantees
//!
//! What is kept is what the reader's own snapshot holds. Each DPU has a generation of its days and one of its record. Each
//! moves to the next odd number before a write changes what it stands for, and to the next even one after that; one write
//! changes them at a time. Whoever reads notes the generation *before* the snapshot is taken. Is it even, and still the
//! same later, then no change began or ended in between: the snapshot holds the state of this very generation, and so does
//! everything kept under it, whether it was put there before or after. A generation that was left does not come back, so
//! what was kept under it is never asked for again.
//!
//! Steps of segments are added to a kept day by whoever reads them from such a snapshot, so they are of its generation too.
//! Making them takes longer than one look into a segment: once there is little room left, they are made of a segment that
//! is asked for again.
//!
//! Some DPUs share generations: a change of one costs the others a read.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::Slice;
use occupancy::id::DpuId;
use occupancy::ledger::Totals;
use occupancy::time::{Day, UnixMs};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::kept_day::{KeptDay, KeptSegment};
use crate::steps::Steps;
use crate::{StoreError, segment};

/// How many generations there are.
const GENERATIONS: usize = 4096;
/// What a kept value takes besides what it points at, about, in bytes.
const EACH_BYTES: usize = 128;

/// A day with an opening.
pub(super) type ActiveDay = (Day, Arc<KeptDay>);
/// The latest of these at or before some day, if there is one.
pub(super) type Active = Option<ActiveDay>;

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

/// What was kept of a day when it was looked for ahead.
#[derive(Clone, Default)]
pub(super) struct Ahead(Option<One>);

impl Ahead {
    fn day(&self) -> Option<&KeptDay> {
        self.0.as_ref()?.active.as_ref().map(|(_, day)| &**day)
    }
}

/// Of a DPU.
#[derive(Default)]
struct Generations {
    days: AtomicU64,
    record: AtomicU64,
}

/// What is kept.
pub(super) struct Sealed {
    generations: Box<[Generations]>,
    hasher: RandomState,
    days: Cache<(DpuId, Day), One, Weigh>,
    /// What days may take until little room is left, in bytes.
    roomy_bytes: u64,
    records: Cache<DpuId, (u64, Option<Slice>), Weigh>,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<(DpuId, Day), One> for Weigh {
    fn weight(&self, _: &(DpuId, Day), one: &One) -> u64 {
        one.bytes
    }
}

impl Weighter<DpuId, (u64, Option<Slice>)> for Weigh {
    fn weight(&self, _: &DpuId, (_, record): &(u64, Option<Slice>)) -> u64 {
        (EACH_BYTES + record.as_ref().map_or(0, |bytes| bytes.len())) as u64
    }
}

/// The generations of a DPU's days and record as they were noted before a snapshot was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted {
    place: usize,
    days: u64,
    record: u64,
}

impl Sealed {
    /// Keeps about so many bytes: nearly all are for days and their segments.
    pub(super) fn new(bytes: u64) -> Self {
        let (records_bytes, days_bytes) = (bytes / 16, bytes / 16 * 15);
        let number = |bytes: u64, each: usize| usize::try_from(bytes).unwrap_or(usize::MAX) / each;
        Self {
            generations: (0..GENERATIONS).map(|_| Generations::default()).collect(),
            hasher: RandomState::new(),
            days: Cache::with_weighter(number(days_bytes, 8 * EACH_BYTES), days_bytes, Weigh),
            // Each of its parts is full by itself, but for the last day that did not fit.
            roomy_bytes: days_bytes / 8 * 7,
            records: Cache::with_weighter(number(records_bytes, 2 * EACH_BYTES), records_bytes, Weigh),
        }
    }

    /// The DPU's generations, to be noted before a snapshot is taken.
    pub(super) fn note(&self, dpu: &DpuId) -> Noted {
        self.note_place(self.place(dpu))
    }

    fn note_place(&self, place: usize) -> Noted {
        let Generations { days, record } = self.generations(place);
        Noted { place, days: days.load(Ordering::SeqCst), record: record.load(Ordering::SeqCst) }
    }

    /// What is kept of the day of the last of the instants about to be looked up of each DPU. Where totals stand there is
    /// touched for all of them at once, so that what lies far off in memory comes together and not one after the other.
    pub(super) fn ahead<'a>(&self, wanted: impl Iterator<Item = (&'a DpuId, &'a [UnixMs])>) -> Vec<Ahead> {
        let day = |(dpu, instants): (&DpuId, &[UnixMs])| self.days.get(&(dpu.clone(), instants.last()?.plus_ms(-1).day()));
        let (days, instants): (Vec<_>, Vec<_>) = wanted.map(|one| (Ahead(day(one)), one.1)).unzip();
        let known = days.iter().zip(instants).filter_map(|(day, instants)| Some((day.day()?, instants)));
        let segments: Vec<_> = known.flat_map(|(day, instants)| instants.iter().filter_map(|before| day.segment_of(*before))).collect();
        black_box(segments.into_iter().filter_map(|segment| segment.steps.get()).fold(0, |sum, steps| sum ^ steps.touch()));
        days
    }

    /// What is kept of a DPU, for a snapshot that was taken after its generation was noted.
    pub(super) fn kept<'a>(&'a self, dpu: &'a DpuId, noted: Noted, Ahead(day): Ahead) -> Kept<'a> {
        let now = self.note_place(noted.place);
        let same = |noted: u64, now: u64| Some(noted).filter(|noted| noted.is_multiple_of(2) && *noted == now);
        let (generation, record_generation) = (same(noted.days, now.days), same(noted.record, now.record));
        let latest = day.filter(|one| Some(one.generation) == generation).and_then(|one| one.active);
        Kept { sealed: self, dpu, generation, record_generation, latest }
    }

    /// Records are about to change, and days. To be held until they did, or it was given up; one at a time.
    pub(super) fn changing(&self) -> Changing<'_> {
        Changing { sealed: self, places: Vec::new() }
    }

    /// Whether steps of a segment that was read are worth making: where little room is left, they are the next time.
    fn worth_steps(&self, segment: &KeptSegment) -> bool {
        self.days.weight() <= self.roomy_bytes || segment.asked_again()
    }

    fn place(&self, dpu: &DpuId) -> usize {
        self.hasher.hash_one(dpu) as usize % GENERATIONS
    }

    #[allow(clippy::indexing_slicing, reason = "a place is below the number of them")]
    fn generations(&self, place: usize) -> &Generations {
        &self.generations[place]
    }
}

/// What is kept of one DPU, for a snapshot.
pub(super) struct Kept<'a> {
    sealed: &'a Sealed,
    pub(super) dpu: &'a DpuId,
    /// `None` where the snapshot may hold other days than those that are kept.
    generation: Option<u64>,
    /// `None` where it may hold another record.
    record_generation: Option<u64>,
    /// A day that was looked for ahead, where it is one of the snapshot.
    pub(super) latest: Active,
}

impl Kept<'_> {
    /// The DPU's record: as it is kept, or as it is read and then kept.
    pub(super) fn record(&self, read: impl FnOnce() -> Result<Option<Slice>, StoreError>) -> Result<Option<Slice>, StoreError> {
        let Some(generation) = self.record_generation else { return read() };
        let records = &self.sealed.records;
        if let Some((_, record)) = records.get(self.dpu).filter(|(of, _)| *of == generation) {
            return Ok(record);
        }
        // A copy: what the database gives may hold on to a whole block.
        let record = read()?.map(|bytes| Slice::new(&bytes));
        records.insert(self.dpu.clone(), (generation, record.clone()));
        Ok(record)
    }

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
        (until, active): (Day, &ActiveDay),
        number: usize,
        read: impl FnOnce() -> Result<Slice, StoreError>,
    ) -> Result<Option<Totals>, StoreError> {
        let kept = active.1.segments.get(number);
        if let Some(steps) = kept.and_then(|segment| segment.steps.get()) {
            return steps.before(before);
        }
        let segment = read()?;
        let keeps = self.generation.zip(kept).filter(|(_, kept)| self.sealed.worth_steps(kept));
        let Some((generation, kept)) = keeps else { return segment::totals_before(&segment, before) };
        let steps = Steps::of(&segment)?;
        let totals = steps.before(before);
        // Put in anew, the day is weighed anew.
        if kept.steps.set(steps).is_ok() {
            self.sealed.days.insert((self.dpu.clone(), until), One::new(generation, Some(active.clone())));
        }
        totals
    }
}

/// A write, the only one: what is odd was begun by it.
pub(super) struct Changing<'a> {
    sealed: &'a Sealed,
    /// The places of the DPUs that change.
    places: Vec<usize>,
}

impl Changing<'_> {
    /// This DPU's record changes, and maybe its days.
    pub(super) fn also(&mut self, dpu: &DpuId, days: bool) {
        let place = self.sealed.place(dpu);
        let generations = self.sealed.generations(place);
        if move_on(&generations.record, true) {
            self.places.push(place);
        }
        if days {
            move_on(&generations.days, true);
        }
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        for place in &self.places {
            let Generations { days, record } = self.sealed.generations(*place);
            for generation in [days, record] {
                move_on(generation, false);
            }
        }
    }
}

/// Moves a generation to the next number if it is even, or if it is odd; whether it did.
fn move_on(generation: &AtomicU64, if_even: bool) -> bool {
    let moves = generation.load(Ordering::SeqCst).is_multiple_of(2) == if_even;
    if moves {
        generation.fetch_add(1, Ordering::SeqCst);
    }
    moves
}

#[cfg(test)]
mod tests {
    use occupancy::crossing::{Direction, Key};
    use occupancy::ledger::Row;

    use super::*;
    use crate::day::DayEntry;

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
        let kept = sealed.kept(dpu, noted, Ahead::default());
        let active = kept.active(Day(1), || Ok(kept_day())).unwrap().unwrap();
        let totals = kept.totals_before(UnixMs::MAX, (Day(1), &active), number, || Ok(segment(stored)));
        totals.unwrap().unwrap().entered
    }

    #[test]
    fn segments_are_kept_until_their_dpu_changes_and_no_more_than_have_room() {
        let (sealed, dpu) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap());
        let look = |dpu: &DpuId, number, stored| look(&sealed, sealed.note(dpu), dpu, number, stored);
        assert_eq!([look(&dpu, 0, 1), look(&dpu, 0, 2), look(&dpu, 1, 3), look(&dpu, 1, 4)], [1, 1, 3, 3]);
        sealed.changing().also(&dpu, true);
        assert_eq!([look(&dpu, 0, 5), look(&dpu, 0, 6), look(&dpu, 1, 7)], [5, 5, 7]);
        let grown = sealed.days.weight();
        assert!((2..SEGMENTS).all(|number| look(&dpu, number as usize, 8) == 8) && sealed.days.weight() > grown);
        for n in 0..10_000 {
            let dpu = format!("e{n}").parse().unwrap();
            assert_eq!([look(&dpu, 0, 1), look(&dpu, 1, 2)], [1, 2]);
        }
        assert!((1 << 19..=1 << 20).contains(&sealed.days.weight()), "{}", sealed.days.weight());
        let dpu = "f1".parse().unwrap();
        assert_eq!([1, 2, 3].map(|stored| look(&dpu, 0, stored)), [1, 2, 2], "there is little room: kept when asked again");
    }

    #[test]
    fn what_changes_meanwhile_is_neither_kept_nor_asked_for() {
        let (sealed, dpu) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap());
        let look = |noted, stored| look(&sealed, noted, &dpu, 0, stored);
        let first = sealed.note(&dpu);
        assert_eq!([look(first, 1), look(first, 2)], [1, 1]);
        let mut changing = sealed.changing();
        changing.also(&dpu, true);
        changing.also(&dpu, true);
        let amid = sealed.note(&dpu);
        assert_eq!([look(first, 3), look(amid, 4)], [3, 4], "asked for amid a change");
        drop(changing);
        assert_eq!([look(first, 5), look(amid, 6)], [5, 6], "snapshots from before the change's end");
        let after = sealed.note(&dpu);
        assert_eq!([look(after, 7), look(after, 8)], [7, 7], "kept anew");
    }

    #[test]
    fn a_record_is_kept_until_its_dpu_is_written_and_days_until_they_change() {
        let (sealed, dpu) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap());
        let record = |stored: u8| {
            let kept = sealed.kept(&dpu, sealed.note(&dpu), Ahead::default());
            kept.record(|| Ok(Some(Slice::from([stored; 30])))).unwrap().unwrap()[0]
        };
        let day = |stored| look(&sealed, sealed.note(&dpu), &dpu, 0, stored);
        assert_eq!([record(1), record(2)], [1, 1]);
        assert_eq!([day(3), day(4)], [3, 3]);
        let mut changing = sealed.changing();
        changing.also(&dpu, false);
        assert_eq!([record(5), record(6)], [5, 6], "amid a write");
        changing.also(&dpu, false);
        drop(changing);
        assert_eq!(([record(7), record(8)], day(9)), ([7, 7], 3));
        sealed.changing().also(&dpu, true);
        assert_eq!((record(10), day(11)), (10, 11));
    }

    #[test]
    fn what_is_found_ahead_is_of_the_generation_that_was_noted() {
        let (sealed, dpu) = (Sealed::new(1 << 20), "d1".parse::<DpuId>().unwrap());
        let ahead = || sealed.ahead([(&dpu, &[Day(1).start().plus_ms(1)][..])].into_iter()).remove(0);
        let found = |noted, ahead| sealed.kept(&dpu, noted, ahead).latest.is_some();
        let first = sealed.note(&dpu);
        assert!(!found(first, ahead()), "nothing is kept");
        look(&sealed, first, &dpu, 0, 1);
        let old = ahead();
        assert!(found(first, old.clone()));
        sealed.changing().also(&dpu, true);
        assert!(!found(first, old.clone()) && !found(sealed.note(&dpu), old), "it has changed since");
    }
}
