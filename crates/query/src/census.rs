//! How things stand as a whole: DPUs by state, quarantine by reason. Counted at most once every few seconds.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::id::DpuId;
use occupancy::ledger::Counters;
use occupancy::time::UnixMs;
use store::{Reason, StoreError};
use tokio::sync::Mutex;

use crate::Query;
use crate::dpus::State;

/// How long a census is good for, in ms.
const GOOD_FOR_MS: i64 = 5_000;
/// How many DPUs are counted at most.
const DPUS_MOST: usize = 200_000;
/// How many pages of quarantined rows are counted at most: 20,000 rows, or fewer where they are large.
const PAGES_MOST: usize = 20;
/// DPUs read at once.
const CHUNK: usize = 1000;

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// How many DPUs are in each state.
    pub dpus: BTreeMap<State, u64>,
    /// How many quarantined rows, not yet replayed, there are of each reason.
    pub quarantine: BTreeMap<Reason, u64>,
    /// Whether there is more than was counted: 200,000 heard DPUs and 20,000 rows, or 160 MiB of them, at most.
    pub more: bool,
}

/// The last census.
pub(crate) type Cache = Mutex<Option<(UnixMs, Census)>>;

impl Query {
    /// How things stand; up to 5 s old.
    ///
    /// # Errors
    /// The store fails.
    pub async fn census(&self) -> Result<Census, StoreError> {
        let mut cache = self.census.lock().await;
        let now = (self.clock)();
        if let Some((made, census)) = &*cache
            && (0..GOOD_FOR_MS).contains(&now.since(*made))
        {
            return Ok(census.clone());
        }
        let census = self.take_census(now).await?;
        *cache = Some((now, census.clone()));
        Ok(census)
    }

    async fn take_census(&self, now: UnixMs) -> Result<Census, StoreError> {
        let mut census = Census { dpus: State::ALL.map(|state| (state, 0)).into(), ..Census::default() };
        census.quarantine = Reason::ALL.map(|reason| (reason, 0)).into();
        self.count_dpus(now, &mut census).await?;
        let mut after = None;
        for _ in 0..PAGES_MOST {
            let page = self.quarantine_page(None, after, Self::QUARANTINE_MOST).await?;
            for row in page.items.iter().filter(|row| row.replayed_at.is_none()) {
                *census.quarantine.entry(row.reason).or_default() += 1;
            }
            after = page.next;
            if after.is_none() {
                return Ok(census);
            }
        }
        census.more = true;
        Ok(census)
    }

    /// Those heard, then those that hang somewhere and were never heard.
    async fn count_dpus(&self, now: UnixMs, census: &mut Census) -> Result<(), StoreError> {
        let world = self.topology.current().await?.world;
        let state = |id: &DpuId, counters: Option<&Counters>| {
            State::of(world.installations(id.as_str()), counters, now, self.settings.silent_after_ms)
        };
        let mut unheard: BTreeSet<&DpuId> = world.placed().collect();
        let mut after = None;
        for _ in 0..DPUS_MOST / CHUNK {
            let heard = self.store.dpus(after.as_ref(), CHUNK).await?;
            for (id, counters) in &heard {
                unheard.remove(id);
                *census.dpus.entry(state(id, Some(counters))).or_default() += 1;
            }
            let Some((last, _)) = heard.into_iter().nth(CHUNK - 1) else {
                for id in unheard {
                    *census.dpus.entry(state(id, None)).or_default() += 1;
                }
                return Ok(());
            };
            after = Some(last);
        }
        census.more = true;
        Ok(())
    }
}
