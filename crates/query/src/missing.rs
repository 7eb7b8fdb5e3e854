//! How many crossings a DPU numbered and we never got.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::crossing::{Heartbeat, Key};
use occupancy::id::DpuId;
use occupancy::time::{DAY_MS, UnixMs};

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
    /// The current boot is that of the last crossing or of a later heartbeat. It is walked back day by day, those without
    /// any crossing left out, to the first without one of its crossings, or until [`WALK_MOST`]; what is older is not looked at.
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
            let mut runs = false;
            let (start, end) = (day.start(), day.start().plus_ms(DAY_MS));
            let number = |key: &Key| {
                runs |= key.boot == boot;
                seen.extend(Some(key.seq).filter(|seq| key.boot == boot && *seq > 0));
            };
            walked += self.show(&dpu.id, start, end, number).await?;
            // The day after a boot ended, or before it began.
            if !runs || walked >= WALK_MOST {
                break;
            }
        }
        Ok(unseen(boot, &seen, heartbeat))
    }

    /// How many crossings of each boot are missing between the first and the last numbered one in `[from, until)`; where
    /// `heartbeat` is of that boot, up to its `last_seq`. Boots without numbers are left out.
    pub(crate) async fn missing_in(
        &self,
        dpu: &DpuId,
        from: UnixMs,
        until: UnixMs,
        heartbeat: Option<Heartbeat>,
    ) -> Result<BTreeMap<u64, u64>, QueryError> {
        let mut boots: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let number = |key: &Key| {
            if key.seq > 0 {
                boots.entry(key.boot).or_default().insert(key.seq);
            }
        };
        self.show(dpu, from, until, number).await?;
        Ok(boots.iter().filter_map(|(boot, seen)| Some((*boot, unseen(*boot, seen, heartbeat)?))).collect())
    }

    /// Shows every crossing in `[from, until)`, at most about [`WALK_MOST`]; returns how many there were.
    async fn show(&self, dpu: &DpuId, from: UnixMs, until: UnixMs, mut to: impl FnMut(&Key)) -> Result<usize, QueryError> {
        let mut from = Key::first_at(from);
        let mut walked = 0;
        loop {
            let rows = self.store.crossings(dpu, from, until, CHUNK).await?;
            rows.iter().for_each(|row| to(&row.key));
            walked += rows.len();
            match rows.last() {
                // The last row is read again as the first of the next chunk: a set does not mind.
                Some(last) if rows.len() == CHUNK && walked < WALK_MOST => from = last.key,
                _ => return Ok(walked),
            }
        }
    }
}

/// How many numbers of a boot are missing among those seen; `None` where there are none.
fn unseen(boot: u64, seen: &BTreeSet<u64>, heartbeat: Option<Heartbeat>) -> Option<u64> {
    missing_of(seen, heartbeat.filter(|beat| beat.boot == boot).map_or(0, |beat| beat.last_seq))
}
