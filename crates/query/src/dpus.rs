//! How the DPUs are: where they hang, when they were last heard, whether one has gone silent.

use std::collections::BTreeMap;

use occupancy::id::{DoorwayId, DpuId};
use occupancy::installation::Installation;
use occupancy::ledger::Counters;
use occupancy::time::UnixMs;
use occupancy::world::World;

use crate::error::QueryError;
use crate::{Page, Query, check_limit};

/// How a DPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It hangs somewhere, sends heartbeats, and was heard within the silence limit.
    Healthy,
    /// It hangs somewhere and was last heard longer ago than the silence limit, or never.
    Silent,
    /// Its silence says nothing: it has never sent a heartbeat, or was taken down.
    Unmonitored,
    /// It has never hung anywhere: its crossings count nowhere yet.
    Unplaced,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Silent, Self::Unmonitored, Self::Unplaced];

    /// The state of a DPU that hung at `installations`, at `now`.
    #[must_use]
    pub fn of(installations: &[Installation], counters: Option<&Counters>, now: UnixMs, silent_after_ms: i64) -> Self {
        if installations.is_empty() {
            return Self::Unplaced;
        }
        if !installations.iter().any(|one| one.covers(now)) {
            return Self::Unmonitored;
        }
        match counters.and_then(|counters| Some((counters.heartbeat, counters.heard?))) {
            None => Self::Silent,
            Some((None, _)) => Self::Unmonitored,
            Some((Some(_), heard)) if now.since(heard) > silent_after_ms => Self::Silent,
            Some(_) => Self::Healthy,
        }
    }

    /// The state's name, on the wire and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Silent => "silent",
            Self::Unmonitored => "unmonitored",
            Self::Unplaced => "unplaced",
        }
    }
}

/// A DPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dpu {
    /// Its id.
    pub id: DpuId,
    /// How it is.
    pub state: State,
    /// Its realtime row; `None` where it was never heard.
    pub counters: Option<Counters>,
    /// The doorway it hangs over now.
    pub hangs: Option<DoorwayId>,
    /// Where it hung, in order of time.
    pub installations: Vec<Installation>,
}

impl Query {
    /// The most DPUs a page holds.
    pub const DPUS_MOST: usize = 1000;
    /// How many DPUs a page looks at in search of unplaced ones; it ends there, with a `next`.
    const SCAN_MOST: usize = 50_000;

    /// The DPUs after `after`, by id: all, or those that (`placed`) ever or never hung somewhere.
    ///
    /// A page may end before `limit`; only one without a `next` is the last.
    ///
    /// # Errors
    /// The limit is out of bounds, or the store fails.
    pub async fn dpus(&self, placed: Option<bool>, after: Option<&DpuId>, limit: usize) -> Result<Page<Dpu, DpuId>, QueryError> {
        let limit = check_limit(limit, Self::DPUS_MOST)?;
        let world = self.topology.current().await?.world;
        // One more than wanted tells whether there is a next page.
        let hung = || world.placed().skip_while(|id| after.is_some_and(|after| *id <= after)).take(limit + 1).cloned();
        let (mut found, mut next) = (BTreeMap::new(), None);
        match placed {
            Some(true) => {
                let ids: Vec<DpuId> = hung().collect();
                let counters = self.store.counters(&ids).await?;
                found.extend(ids.into_iter().zip(counters));
            }
            Some(false) => (found, next) = self.unplaced(&world, after, limit + 1).await?,
            None => {
                found.extend(hung().map(|id| (id, None)));
                let heard = self.store.dpus(after, limit + 1).await?;
                found.extend(heard.into_iter().map(|(id, counters)| (id, Some(counters))));
            }
        }
        let more = found.len() > limit;
        let now = (self.clock)();
        let items: Vec<Dpu> = found.into_iter().take(limit).map(|(id, counters)| self.dpu_of(&world, id, counters, now)).collect();
        if more {
            next = items.last().map(|dpu| dpu.id.clone());
        }
        Ok(Page { items, next })
    }

    /// DPUs that were heard and never hung, at most `limit`, and how far the search came if not to the end.
    async fn unplaced(
        &self,
        world: &World,
        after: Option<&DpuId>,
        limit: usize,
    ) -> Result<(BTreeMap<DpuId, Option<Counters>>, Option<DpuId>), QueryError> {
        let mut found = BTreeMap::new();
        let mut after = after.cloned();
        for _ in 0..Self::SCAN_MOST / Self::DPUS_MOST {
            let heard = self.store.dpus(after.as_ref(), Self::DPUS_MOST).await?;
            let Some((last, _)) = heard.last() else { return Ok((found, None)) };
            let (last, full) = (last.clone(), heard.len() == Self::DPUS_MOST);
            found.extend(heard.into_iter().filter(|(id, _)| world.installations(id.as_str()).is_empty()).map(|(id, row)| (id, Some(row))));
            if found.len() >= limit || !full {
                return Ok((found, None));
            }
            after = Some(last);
        }
        Ok((found, after))
    }

    /// One DPU.
    ///
    /// # Errors
    /// It has neither been heard nor hung anywhere, or the store fails.
    pub async fn dpu(&self, id: &DpuId) -> Result<Dpu, QueryError> {
        let world = self.topology.current().await?.world;
        let counters = self.store.counters(std::slice::from_ref(id)).await?.pop().flatten();
        let dpu = self.dpu_of(&world, id.clone(), counters, (self.clock)());
        if dpu.counters.is_none() && dpu.installations.is_empty() {
            return Err(QueryError::UnknownDpu(id.to_string()));
        }
        Ok(dpu)
    }

    fn dpu_of(&self, world: &World, id: DpuId, counters: Option<Counters>, now: UnixMs) -> Dpu {
        let installations = world.installations(id.as_str()).to_vec();
        let state = State::of(&installations, counters.as_ref(), now, self.settings.silent_after_ms);
        let hangs = installations.iter().find(|one| one.covers(now)).map(|one| one.doorway.clone());
        Dpu { id, state, counters, hangs, installations }
    }
}
