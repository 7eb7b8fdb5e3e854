//! How many crossings a DPU numbered and we never got.

use std::collections::BTreeSet;

use occupancy::crossing::Key;
use occupancy::time::{DAY_MS, Day};

use crate::dpus::Dpu;
use crate::error::QueryError;
use crate::{Query, verify::CHUNK};

/// How many crossings are walked at most in search of missing ones.
pub const WALK_MOST: usize = 200_000;

/// How many numbers between the least and the greatest of a boot did not come; the device says it has come to `told`.
/// `None` where there are no numbers.
pub(crate) fn missing_of(seen: &BTreeSet<u64>, told: u64) -> Option<u64> {
    let (first, newest) = (seen.first()?, seen.last()?);
    Some((told.max(*newest) - first + 1).saturating_sub(seen.len() as u64))
}

impl Query {
    /// How many crossings of the DPU's current boot are missing: `max(seq) - min(seq) + 1` less those that came, where
    /// the heartbeat's `last_seq` counts as a maximum too. `None` where the DPU does not number them.
    ///
    /// The current boot is that of the last crossing or of a later heartbeat. It is walked back day by day to the first
    /// day without one of its crossings, or until [`WALK_MOST`] crossings; what is older is not looked at.
    ///
    /// # Errors
    /// The store fails.
    pub async fn missing(&self, dpu: &Dpu) -> Result<Option<u64>, QueryError> {
        let Some((counters, last)) = dpu.counters.and_then(|counters| Some((counters, counters.last?))) else { return Ok(None) };
        let heartbeat = counters.heartbeat;
        let boot = heartbeat.filter(|beat| beat.at > last.at).map_or(last.boot, |beat| beat.boot);
        let mut seen = BTreeSet::new();
        let mut walked = 0;
        let days = self.store.openings(&dpu.id).await?;
        for (day, _) in days.iter().rev().filter(|(day, _)| *day <= last.at.day()) {
            let known = seen.len();
            walked += self.walk_day(dpu, *day, boot, &mut seen).await?;
            // The day after a boot ended, or before it began.
            if seen.len() == known || walked >= WALK_MOST {
                break;
            }
        }
        Ok(missing_of(&seen, heartbeat.filter(|beat| beat.boot == boot).map_or(0, |beat| beat.last_seq)))
    }

    /// Adds the numbers of a boot's crossings on one day; returns how many crossings that day has.
    async fn walk_day(&self, dpu: &Dpu, day: Day, boot: u64, seen: &mut BTreeSet<u64>) -> Result<usize, QueryError> {
        let until = day.start().plus_ms(DAY_MS);
        let mut from = Key::first_at(day.start());
        let mut walked = 0;
        loop {
            let rows = self.store.crossings(&dpu.id, from, until, CHUNK).await?;
            seen.extend(rows.iter().filter(|row| row.key.boot == boot && row.key.seq > 0).map(|row| row.key.seq));
            walked += rows.len();
            match rows.last() {
                // The last row is read again as the first of the next chunk: a set does not mind.
                Some(last) if rows.len() == CHUNK && walked < WALK_MOST => from = last.key,
                _ => return Ok(walked),
            }
        }
    }
}
