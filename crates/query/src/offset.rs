//! How far a DPU's clock and the log's are apart, as far as its crossings tell.

use occupancy::crossing::Key;
use occupancy::time::DAY_MS;

use crate::dpus::Dpu;
use crate::error::QueryError;
use crate::{Query, verify::CHUNK};

/// How many of the last crossings are looked at.
pub const OFFSETS_MOST: usize = 100;
/// How far back from the last crossing they are searched for, in ms.
pub const OFFSETS_BACK_MS: i64 = 7 * DAY_MS;
/// The first search goes this far back, each next one that many times as far.
const FIRST_MS: i64 = 60_000;
const FACTOR: i64 = 8;

/// When crossings came less when they happened by the DPU's clock: `appended_at - at`, in ms.
///
/// That is how far the DPU's clock is behind, plus how long the crossing was on its way. So less than 0 proves a clock that
/// is ahead by at least as much, while more than 0 may be a clock behind or an upload that was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// How many crossings it is told from, the last ones.
    pub crossings: usize,
    /// The least: the clock is behind by no more, were it only one of them that came at once.
    pub least_ms: i64,
    /// The one in the middle, of an even number the greater.
    pub median_ms: i64,
    /// The one farthest from 0, of two the one above.
    pub worst_ms: i64,
}

impl ClockOffset {
    /// What offsets tell; `None` of none.
    fn of(mut offsets_ms: Vec<i64>) -> Option<Self> {
        offsets_ms.sort_unstable();
        Some(Self {
            crossings: offsets_ms.len(),
            least_ms: *offsets_ms.first()?,
            median_ms: *offsets_ms.get(offsets_ms.len() / 2)?,
            worst_ms: *offsets_ms.iter().max_by_key(|offset| offset.abs())?,
        })
    }
}

impl Query {
    /// The clock offset of the last [`OFFSETS_MOST`] crossings, the last one and those up to [`OFFSETS_BACK_MS`] before it; `None`
    /// without crossings.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clock_offset(&self, dpu: &Dpu) -> Result<Option<ClockOffset>, QueryError> {
        let Some(last) = dpu.counters.and_then(|counters| counters.last) else { return Ok(None) };
        let earliest = last.at.plus_ms(-OFFSETS_BACK_MS);
        let (mut found, mut until) = (Vec::new(), last.at.plus_ms(1));
        let mut back_ms = FIRST_MS;
        while found.len() < OFFSETS_MOST && until > earliest {
            let from = until.plus_ms(-back_ms).max(earliest);
            let mut rows = self.store.crossings(&dpu.id, Key::first_at(from), until, CHUNK).await?;
            let span_ms = until.since(from);
            if rows.len() == CHUNK && span_ms > 1 {
                // The last ones may not be among them: a busy time comes before a quiet one.
                back_ms = span_ms / FACTOR.min(span_ms);
                continue;
            }
            rows.reverse();
            found.extend(rows.iter().map(|row| row.appended_at.since(row.key.at)));
            (until, back_ms) = (from, back_ms.saturating_mul(FACTOR));
        }
        found.truncate(OFFSETS_MOST);
        Ok(ClockOffset::of(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_the_farthest_from_none() {
        let told = ClockOffset::of(vec![40, -90, 20, 30]).unwrap();
        assert_eq!(told, ClockOffset { crossings: 4, least_ms: -90, median_ms: 30, worst_ms: -90 });
        assert_eq!(ClockOffset::of(Vec::new()), None);
    }
}
