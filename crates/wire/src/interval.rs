//! People counted over an interval, as crossings that are the same each time the interval is told.
//!
//! A count says how many, not when; so the crossings get instants of their own within the interval. The instants are one
//! fixed sequence for each start and length, of which a count takes the first: 6 people are the crossings of 5 and one
//! more. Hence a count that is raised later adds the difference and nothing else. One that is lowered cannot take
//! crossings back: whoever reads counts has to notice that.

use std::num::NonZeroU32;

use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::UnixMs;

use crate::Report;

/// The most people one interval may count each way, and never more than it has ms.
pub const MAX_INTERVAL_CROSSINGS: u32 = 100_000;

/// How many went each way in `[start, start + length_ms)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// When it began.
    pub start: UnixMs,
    /// How long it was, in ms.
    pub length_ms: NonZeroU32,
    /// Crossings of direction +1, at most [`Interval::most`].
    pub entered: u32,
    /// Crossings of direction -1, at most [`Interval::most`].
    pub exited: u32,
}

impl Interval {
    /// The most people an interval of this length may count each way: crossings of one direction never share an instant.
    #[must_use]
    pub fn most(length_ms: NonZeroU32) -> u32 {
        length_ms.get().min(MAX_INTERVAL_CROSSINGS)
    }

    /// The first instant after it.
    #[must_use]
    pub fn end(&self) -> UnixMs {
        self.start.plus_ms(self.length_ms.get().into())
    }

    /// Its crossings in the order of ledgers.
    #[must_use]
    pub fn crossings(&self) -> Vec<Key> {
        let of = |count, direction| spread(self.start, self.length_ms, count).map(move |at| Key { at, boot: 0, seq: 0, direction });
        let mut keys: Vec<Key> = of(self.entered, Direction::Plus).chain(of(self.exited, Direction::Minus)).collect();
        keys.sort_unstable();
        keys
    }

    /// That the DPU was alive to its end.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat { at: self.end().plus_ms(-1), boot: 0, last_seq: 0 }
    }

    /// What a DPU that counted it would have reported.
    #[must_use]
    pub fn report(&self, dpu: DpuId) -> Report {
        let crossings = self.crossings().into_iter().map(Ok).collect();
        Report { dpu, crossings, heartbeat: Some(self.heartbeat()), accept_clock: false }
    }
}

/// The first `count` instants of an interval's sequence, up to one a ms, each its own: the van der Corput sequence, which
/// halves the gaps again and again, so that any count is spread about evenly.
fn spread(start: UnixMs, length_ms: NonZeroU32, count: u32) -> impl Iterator<Item = UnixMs> {
    let length = u64::from(length_ms.get());
    let size = length.next_power_of_two();
    let reversed = move |i: u64| i.reverse_bits().checked_shr(64 - size.trailing_zeros()).unwrap_or(0);
    // From the middle, as the first of all.
    let offsets = (0..size).map(move |i| reversed(i) ^ (size / 2)).filter(move |offset| *offset < length);
    offsets.take(usize::try_from(count).unwrap_or(usize::MAX)).map(move |offset| start.plus_ms(offset.cast_signed()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn offsets(length_ms: u32, count: u32) -> Vec<i64> {
        let start = UnixMs::CLOCK_SET;
        spread(start, NonZeroU32::new(length_ms).unwrap(), count).map(|at| at.since(start)).collect()
    }

    proptest! {
        #[test]
        fn crossings_are_spread_within_their_interval_each_at_its_own_instant(length in 1..=10_000_000_u32, share in any::<u32>()) {
            let count = share % (length.min(MAX_INTERVAL_CROSSINGS) + 1) / (1 + share % 7);
            let at = offsets(length, count);
            let inside: BTreeSet<i64> = at.iter().copied().filter(|at| (0..length.into()).contains(at)).collect();
            prop_assert_eq!(inside.len(), count as usize);
            prop_assert_eq!(at.len(), count as usize);
            let early = at.iter().filter(|at| **at < i64::from(length / 2)).count() as i64;
            prop_assert!((2 * early - at.len() as i64).abs() <= 2 + i64::from(length.ilog2()), "{early} of {count} in the first half");
        }

        #[test]
        fn a_count_that_grows_keeps_the_crossings_it_had(length in 1..=100_000_u32, counts in [any::<u32>(), any::<u32>()]) {
            let of = |count: u32| {
                let length_ms = NonZeroU32::new(length).unwrap();
                let count = count % (length + 1);
                let interval = Interval { start: UnixMs::CLOCK_SET, length_ms, entered: count, exited: count / 2 };
                interval.crossings().into_iter().collect::<BTreeSet<_>>()
            };
            let (few, many) = (counts[0].min(counts[1]) % (length + 1), counts[0].max(counts[1]) % (length + 1));
            let (few, many) = (few.min(many), few.max(many));
            prop_assert!(of(few).is_subset(&of(many)));
            prop_assert_eq!(of(many).len() as u32, many + many / 2);
        }
    }

    #[test]
    fn the_sequence_is_what_it_was_when_crossings_were_first_stored() {
        assert_eq!(offsets(60_000, 6), [32_768, 0, 49_152, 16_384, 40_960, 8_192]);
        assert_eq!(offsets(5, 5), [4, 0, 2, 1, 3]);
        assert_eq!(offsets(1, 1), [0]);
        assert_eq!(offsets(u32::MAX, 2), [1 << 31, 0]);
    }
}
