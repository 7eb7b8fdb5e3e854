//! What is remembered of what was read: what intervals said, and which items were rejected. Pure, and bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use occupancy::id::DpuId;
use occupancy::time::UnixMs;
use wire::Interval;

use crate::limits::Limits;

/// What is remembered of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) length_ms: u32,
    /// The most it ever said.
    pub(crate) entered: u32,
    pub(crate) exited: u32,
}

/// What an interval that was lowered or overlaps another is told as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Conflict {
    /// It said more before.
    #[error(
        "the interval says {entered} entered, {exited} exited, and has said up to {most_entered}, {most_exited}: crossings are not \
         taken back, so the greatest numbers count; correct the counts by hand"
    )]
    Lowered {
        /// The most it ever said.
        most_entered: u32,
        most_exited: u32,
        /// What it says now.
        entered: u32,
        exited: u32,
    },
    /// Another interval of the DPU holds part of its time.
    #[error("it overlaps the DPU's interval from {start} to {end}, read before: it is left out")]
    Overlap { start: UnixMs, end: UnixMs },
}

/// What is remembered; see [`Limits`] for how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) intervals: BTreeMap<DpuId, BTreeMap<UnixMs, Known>>,
    /// Intervals that began before this may have been forgotten.
    pub(crate) forgotten_to: Option<UnixMs>,
    /// The names of items that were rejected, those of the page read last at the end.
    pub(crate) rejected: VecDeque<u64>,
}

impl Memory {
    /// Notes an interval before it is published. Whether to publish it, and whether something is wrong.
    pub(crate) fn note(&mut self, dpu: &DpuId, interval: &Interval) -> (bool, Option<Conflict>) {
        let of_dpu = self.intervals.entry(dpu.clone()).or_default();
        let (start, length_ms) = (interval.start, interval.length_ms.get());
        let end = |start: UnixMs, known: &Known| start.plus_ms(known.length_ms.into());
        let same = of_dpu.get(&start).is_some_and(|known| known.length_ms == length_ms);
        let last = of_dpu.range(..interval.end()).next_back().map(|(other, known)| (*other, end(*other, known)));
        if let Some((other, other_end)) = last.filter(|(other, other_end)| *other_end > start && !(same && *other == start)) {
            return (false, Some(Conflict::Overlap { start: other, end: other_end }));
        }
        let Interval { entered, exited, .. } = *interval;
        let known = of_dpu.entry(start).or_insert(Known { length_ms, entered, exited });
        (known.entered, known.exited) = (known.entered.max(entered), known.exited.max(exited));
        let (most_entered, most_exited) = (known.entered, known.exited);
        let lowered = entered < most_entered || exited < most_exited;
        (true, lowered.then_some(Conflict::Lowered { most_entered, most_exited, entered, exited }))
    }

    /// Whether an interval is so old that what it said before may be forgotten.
    pub(crate) fn may_have_forgotten(&self, dpu: &DpuId, start: UnixMs) -> bool {
        let known = self.intervals.get(dpu).is_some_and(|of_dpu| of_dpu.contains_key(&start));
        !known && self.forgotten_to.is_some_and(|forgotten_to| start < forgotten_to)
    }

    /// Notes the rejections of a page once they are published; of others it forgets the first if there are too many. As long
    /// as the cursor stays, the page is read again at each poll; how many it can have is bounded by its size.
    pub(crate) fn note_rejected(&mut self, on_page: &BTreeSet<u64>, limits: &Limits) {
        self.rejected.retain(|name| !on_page.contains(name));
        let excess = self.rejected.len().saturating_sub(limits.remember_rejected);
        self.rejected.drain(..excess);
        self.rejected.extend(on_page);
    }

    /// Forgets the intervals that began first if there are too many.
    pub(crate) fn bound(&mut self, limits: &Limits) {
        let mut starts: Vec<UnixMs> = self.intervals.values().flat_map(BTreeMap::keys).copied().collect();
        let excess = starts.len().saturating_sub(limits.remember_intervals);
        if excess == 0 {
            return;
        }
        starts.sort_unstable();
        if let Some(cut) = starts.get(excess).copied() {
            self.intervals.values_mut().for_each(|of_dpu| *of_dpu = of_dpu.split_off(&cut));
            self.intervals.retain(|_, of_dpu| !of_dpu.is_empty());
            self.forgotten_to = self.forgotten_to.max(Some(cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn interval(start_s: i64, length_s: u32, entered: u32, exited: u32) -> Interval {
        let start = UnixMs::CLOCK_SET.plus_ms(start_s * 1_000);
        Interval { start, length_ms: NonZeroU32::new(length_s * 1_000).unwrap(), entered, exited }
    }

    #[test]
    fn what_is_lowered_is_noticed_however_often_and_what_is_raised_is_not() {
        let (mut memory, dpu): (_, DpuId) = (Memory::default(), "d".parse().unwrap());
        let mut note = |entered, exited| memory.note(&dpu, &interval(0, 60, entered, exited));
        assert_eq!(note(5, 5), (true, None));
        assert_eq!(note(6, 5), (true, None));
        let lowered = |entered, exited| Some(Conflict::Lowered { most_entered: 6, most_exited: 7, entered, exited });
        assert_eq!(note(5, 7), (true, lowered(5, 7)));
        assert_eq!(note(6, 6), (true, lowered(6, 6)));
        assert_eq!(note(6, 7), (true, None));
    }

    #[test]
    fn intervals_of_one_dpu_do_not_overlap() {
        let (mut memory, dpu): (_, DpuId) = (Memory::default(), "d".parse().unwrap());
        assert_eq!(memory.note(&dpu, &interval(60, 60, 1, 1)), (true, None));
        for (start_s, length_s) in [(60, 30), (60, 90), (30, 31), (119, 1), (0, 600), (90, 10)] {
            let (publish, conflict) = memory.note(&dpu, &interval(start_s, length_s, 1, 1));
            assert!(!publish && matches!(conflict, Some(Conflict::Overlap { .. })), "{start_s} {length_s}");
        }
        for (start_s, length_s) in [(0, 60), (120, 60)] {
            assert_eq!(memory.note(&dpu, &interval(start_s, length_s, 1, 1)), (true, None));
        }
        assert_eq!(memory.note(&"e".parse().unwrap(), &interval(90, 60, 1, 1)), (true, None));
    }

    #[test]
    fn what_is_forgotten_is_the_oldest_and_known_to_be() {
        let (mut memory, dpu): (_, DpuId) = (Memory::default(), "d".parse().unwrap());
        for i in [3, 1, 4, 0, 2] {
            memory.note(&dpu, &interval(i * 60, 60, 1, 1));
        }
        let limits = Limits { remember_intervals: 2, remember_rejected: 2, ..Limits::default() };
        memory.bound(&limits);
        let start = |i: i64| UnixMs::CLOCK_SET.plus_ms(i * 60_000);
        assert_eq!(memory.intervals[&dpu].keys().copied().collect::<Vec<_>>(), [start(3), start(4)]);
        assert!(memory.may_have_forgotten(&dpu, start(2)) && !memory.may_have_forgotten(&dpu, start(3)));
    }

    #[test]
    fn what_was_rejected_on_the_page_read_last_is_known_and_some_from_before() {
        let (mut memory, limits) = (Memory::default(), Limits { remember_rejected: 3, ..Limits::default() });
        for (on_page, known) in [
            (&[4, 5][..], &[4, 5][..]),
            (&[1, 2, 3, 4, 6], &[5, 1, 2, 3, 4, 6]),
            (&[1, 2, 3, 4, 6], &[5, 1, 2, 3, 4, 6]),
            (&[1, 4], &[2, 3, 6, 1, 4]),
            (&[], &[6, 1, 4]),
            (&[7], &[6, 1, 4, 7]),
        ] {
            memory.note_rejected(&on_page.iter().copied().collect(), &limits);
            assert_eq!(memory.rejected, known);
        }
    }
}
