//! How totals step up within a segment: its instants and directions alone, in less room than the segment takes, and found
//! without a walk through it. It is kept in memory and never stored.
//!
//! The instants, as ms since the first, stand as Elias and Fano wrote such numbers. The low bits of each are written as
//! they are. The high ones say in which bucket it falls: in a row of bits each bucket is a 1 for every instant in it, then
//! a 0. So the instants before another are those of the buckets before its own, found by counting zeros, and those of its
//! own bucket with lower low bits. Buckets are about as many as instants: that takes two to three bits an instant.

use occupancy::crossing::Direction;
use occupancy::ledger::Totals;
use occupancy::time::UnixMs;

use crate::StoreError;
use crate::codec::corrupt;
use crate::segment::Glance;

/// The first instant, the totals after its crossing, and the [`Shape`] in one word each; then a bit for each crossing that
/// is a +1, but for the first one; the buckets; the low bits. One piece, so that a look-up touches few places in memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Steps(Box<[u64]>);

/// How many crossings there are, how many words their buckets take, and how many low bits each instant has.
struct Shape {
    rows: usize,
    bucket_words: usize,
    low_bits: u32,
}

impl Steps {
    /// Those of a stored segment.
    pub(crate) fn of(segment: &[u8]) -> Result<Self, StoreError> {
        let mut glance = Glance::at(segment)?;
        let (start_ms, first) = (glance.at_ms, glance.first);
        let (mut since_ms, mut plus) = (Vec::new(), Vec::new());
        while let Some(direction) = glance.step()? {
            if since_ms.len().is_multiple_of(64) {
                plus.push(0);
            }
            if direction == Direction::Plus && !since_ms.is_empty() {
                set(&mut plus, since_ms.len());
            }
            since_ms.push(glance.at_ms.abs_diff(start_ms));
        }
        let (rows, last_ms) = (since_ms.len(), since_ms.last().copied().unwrap_or_default());
        let low_bits = last_ms.checked_div(rows as u64).and_then(u64::checked_ilog2).unwrap_or(0);
        // A bit for each instant and each bucket: at most three times as many as instants.
        let bucket_bits = rows + (last_ms >> low_bits) as usize + 1;
        let mut buckets = vec![0; bucket_bits.div_ceil(64)];
        let mut low = vec![0; (rows * low_bits as usize).div_ceil(64) + 1];
        for (row, since_ms) in since_ms.into_iter().enumerate() {
            set(&mut buckets, row + (since_ms >> low_bits) as usize);
            put(&mut low, row * low_bits as usize, since_ms & mask(low_bits));
        }
        let shape = Shape { rows, bucket_words: buckets.len(), low_bits };
        let head = [start_ms.cast_unsigned(), first.entered, first.exited, shape.word()];
        Ok(Self([&head[..], &plus, &buckets, &low].concat().into()))
    }

    /// The totals after the last crossing before an instant, if there is one.
    pub(crate) fn before(&self, before: UnixMs) -> Result<Option<Totals>, StoreError> {
        let [start_ms, entered, exited, shape, bits @ ..] = &*self.0 else { return Ok(None) };
        let shape = Shape::of(*shape);
        let start_ms = start_ms.cast_signed();
        if before.ms() <= start_ms {
            return Ok(None);
        }
        let (plus, bits) = bits.split_at_checked(shape.rows.div_ceil(64)).unwrap_or_default();
        let rows = shape.rows_before(bits, before.ms().abs_diff(start_ms));
        let Some(after_first) = rows.checked_sub(1) else { return Ok(None) };
        let entered_after = ones(plus, rows);
        let sum = |first: &u64, more: usize| first.checked_add(more as u64).ok_or_else(|| corrupt("totals have more than 64 bits"));
        Ok(Some(Totals { entered: sum(entered, entered_after)?, exited: sum(exited, after_first - entered_after)? }))
    }

    /// Reads a little of each part: where these lie far off in memory, what comes after need not wait for them.
    pub(crate) fn touch(&self) -> u64 {
        // Memory comes in lines of eight words.
        self.0.iter().step_by(8).fold(0, |sum, word| sum ^ word)
    }

    /// What they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl Shape {
    fn of(word: u64) -> Self {
        Self { rows: (word >> 32) as usize, bucket_words: (word >> 8) as usize & 0xff_ffff, low_bits: word as u32 & 0xff }
    }

    fn word(&self) -> u64 {
        (self.rows as u64) << 32 | (self.bucket_words as u64) << 8 | u64::from(self.low_bits)
    }

    /// How many instants are less than so long after the first.
    fn rows_before(&self, bits: &[u64], since_ms: u64) -> usize {
        let (buckets, low) = bits.split_at_checked(self.bucket_words).unwrap_or_default();
        let bucket = (since_ms >> self.low_bits) as usize;
        let Some(mut place) = after_zeros(buckets, bucket) else { return self.rows };
        let (width, low_ms) = (self.low_bits as usize, since_ms & mask(self.low_bits));
        while is_set(buckets, place) && get(low, (place - bucket) * width, self.low_bits) < low_ms {
            place += 1;
        }
        place - bucket
    }
}

/// The place after so many zeros.
fn after_zeros(words: &[u64], mut zeros: usize) -> Option<usize> {
    if zeros == 0 {
        return Some(0);
    }
    for (n, word) in words.iter().enumerate() {
        let there = word.count_zeros() as usize;
        if zeros <= there {
            let last = (1..zeros).fold(!word, |left, _| left & (left - 1));
            return Some(n * 64 + last.trailing_zeros() as usize + 1);
        }
        zeros -= there;
    }
    None
}

/// How many of the first so many bits are 1.
fn ones(words: &[u64], bits: usize) -> usize {
    let within = |n: usize| mask(u32::try_from(bits.saturating_sub(n * 64)).unwrap_or(u32::MAX));
    words.iter().enumerate().map(|(n, word)| (word & within(n)).count_ones() as usize).sum()
}

/// So many bits, the lowest.
fn mask(bits: u32) -> u64 {
    1_u64.checked_shl(bits).map_or(u64::MAX, |one| one - 1)
}

fn is_set(words: &[u64], place: usize) -> bool {
    words.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}

fn set(words: &mut [u64], place: usize) {
    put(words, place, 1);
}

fn put(words: &mut [u64], place: usize, value: u64) {
    let (n, shift) = (place / 64, place % 64);
    for (word, part) in words.iter_mut().skip(n).zip([value << shift, value.checked_shr(64 - shift as u32).unwrap_or(0)]) {
        *word |= part;
    }
}

fn get(words: &[u64], place: usize, bits: u32) -> u64 {
    let (n, shift) = (place / 64, place % 64);
    let [low, high] = [n, n + 1].map(|n| words.get(n).copied().unwrap_or_default());
    (low >> shift | high.checked_shl(64 - shift as u32).unwrap_or(0)) & mask(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::tests::rows;
    use crate::segment::{encode, split, totals_before};
    use occupancy::crossing::Key;
    use occupancy::ledger::Row;
    use proptest::prelude::{any, proptest};

    /// So many rows, each so long after the one before.
    fn every(gap_ms: i64, count: i64) -> Vec<u8> {
        let row = |n: i64| {
            let key = Key { at: UnixMs::new(7 + n * gap_ms).unwrap(), boot: 0, seq: 0, direction: Direction::Plus };
            Row { key, totals: Totals { entered: 1 + n.unsigned_abs(), exited: 3 }, appended_at: UnixMs::new(0).unwrap() }
        };
        encode(&(0..count).map(row).collect::<Vec<_>>())
    }

    fn same(segment: &[u8], at: UnixMs) {
        let steps = Steps::of(segment).unwrap();
        for before in [-1, 0, 1].map(|ms| at.plus_ms(ms)) {
            assert_eq!(steps.before(before), totals_before(segment, before), "{before}");
        }
    }

    proptest! {
        #[test]
        fn they_tell_what_the_segment_does(rows in rows(), at in 0_usize..600, any_ms in any::<i32>()) {
            for one in split(&rows) {
                let segment = encode(one);
                for at in [one[at % one.len()].key.at, one[0].key.at, one[one.len() - 1].key.at, UnixMs::new(any_ms.into()).unwrap()] {
                    same(&segment, at);
                }
            }
        }

        #[test]
        fn rows_at_any_distance_are_told_apart(gap_ms in 0_i64..700_000, count in 1_i64..=128, n in 0_i64..128) {
            same(&every(gap_ms, count), UnixMs::new(7 + n * gap_ms).unwrap());
        }

        #[test]
        fn any_bytes_are_steps_or_refused(bytes in any::<Vec<u8>>(), before in any::<i32>()) {
            let before = UnixMs::new(before.into()).unwrap();
            // No panic; the sums of totals that have no room are refused where they are told.
            if let (Ok(steps), Ok(totals)) = (Steps::of(&bytes), totals_before(&bytes, before)) {
                assert!(steps.bytes() <= 64 + 16 * bytes.len());
                assert_eq!(steps.before(before), Ok(totals));
            }
        }
    }

    #[test]
    fn a_crossing_every_half_minute_takes_less_than_three_bytes() {
        let segment = every(30_001, 128);
        let bytes = Steps::of(&segment).unwrap().bytes();
        assert!(bytes < segment.len() && bytes < 3 * 128, "{bytes} of {}", segment.len());
    }
}
