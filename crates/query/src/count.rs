//! How many people are in a space at an instant: a few lookups, the same for yesterday and for ten years ago.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use occupancy::count::{Count, Found, Plan, Term};
use occupancy::id::{DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::ledger::{Counters, Totals};
use occupancy::time::UnixMs;
use occupancy::world::World;

use crate::Query;
use crate::error::QueryError;

/// How many spaces can be asked for at once.
pub const SPACES_MOST: usize = 1000;

impl Query {
    /// The count of a space at an instant, or now.
    ///
    /// # Errors
    /// As [`Query::counts`].
    pub async fn count(&self, space: &SpaceId, at: Option<UnixMs>) -> Result<Count, QueryError> {
        let one = self.counts(std::slice::from_ref(space), at).await?.pop();
        one.ok_or_else(|| QueryError::UnknownSpace(space.to_string()))
    }

    /// The counts of several spaces at one instant, in the order asked.
    ///
    /// No instant means now: the server's clock or the newest crossing of the spaces' DPUs, whichever is later; a
    /// crossing later than could be asked for does not set the time.
    ///
    /// # Errors
    /// A space is unknown, the instant too far ahead of the clock, the list empty or too long, or the store fails.
    pub async fn counts(&self, spaces: &[SpaceId], at: Option<UnixMs>) -> Result<Vec<Count>, QueryError> {
        if spaces.is_empty() || spaces.len() > SPACES_MOST {
            return Err(QueryError::Spaces { asked: spaces.len(), most: SPACES_MOST });
        }
        let world = self.world_of(spaces, at).await?;
        Ok(self.read(&world, spaces, at).await?.counts(self.settings.silent_after_ms))
    }

    /// A recent world, in which all these spaces are; the instant is not too far ahead.
    pub(crate) async fn world_of(&self, spaces: &[SpaceId], at: Option<UnixMs>) -> Result<Arc<World>, QueryError> {
        let latest = (self.clock)().plus_ms(self.settings.max_clock_ahead_ms);
        if let Some(at) = at.filter(|at| *at > latest) {
            return Err(QueryError::Ahead { at, latest });
        }
        let unknown = |world: &World| spaces.iter().find(|space| world.space(space.as_str()).is_none());
        let recent = self.topology.recent().await?.world;
        if unknown(&recent).is_none() {
            return Ok(recent);
        }
        // Somebody may have made it a moment ago, through another process.
        let current = self.topology.current().await?.world;
        match unknown(&current) {
            Some(space) => Err(QueryError::UnknownSpace(space.to_string())),
            None => Ok(current),
        }
    }

    /// What the counts of spaces need; of one that is not there, nothing.
    pub(crate) async fn read(&self, world: &World, spaces: &[SpaceId], at: Option<UnixMs>) -> Result<Read, QueryError> {
        let now = (self.clock)();
        let latest = now.plus_ms(self.settings.max_clock_ahead_ms);
        let hung = hung(world, spaces);
        let counters = self.counters_of(hung.iter().map(|one| &one.dpu)).await?;
        let newest = hung
            .iter()
            .filter_map(|one| counters.get(&one.dpu)?.last.map(|key| key.at).filter(|at| one.covers(*at) && *at <= latest))
            .max();
        let at = at.unwrap_or_else(|| newest.map_or(now, |newest| newest.max(now)));
        let plans: Vec<Plan> = spaces.iter().filter_map(|space| world.plan(space.as_str(), at)).collect();
        let totals = self.look_up(&plans).await?;
        Ok(Read { plans, counters, totals })
    }

    /// The realtime rows of those DPUs that have one.
    async fn counters_of<'a>(&self, dpus: impl Iterator<Item = &'a DpuId>) -> Result<BTreeMap<DpuId, Counters>, QueryError> {
        let dpus: Vec<DpuId> = dpus.collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let found = self.store.counters(&dpus).await?;
        Ok(dpus.into_iter().zip(found).filter_map(|(dpu, counters)| Some((dpu, counters?))).collect())
    }

    /// The totals all plans need, each read once, all as of one moment.
    async fn look_up(&self, plans: &[Plan]) -> Result<BTreeMap<(DpuId, UnixMs), Totals>, QueryError> {
        // Nothing comes before the beginning of time: those totals are zero.
        let wanted = plans.iter().flat_map(Plan::lookups).filter(|(_, at)| *at > UnixMs::MIN);
        let wanted: Vec<(DpuId, UnixMs)> = wanted.collect::<BTreeSet<_>>().into_iter().map(|(dpu, at)| (dpu.clone(), at)).collect();
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = self.store.totals(&wanted).await?;
        Ok(wanted.into_iter().zip(found).collect())
    }
}

/// Plans, and what the store holds for their terms.
pub(crate) struct Read {
    pub(crate) plans: Vec<Plan>,
    pub(crate) counters: BTreeMap<DpuId, Counters>,
    totals: BTreeMap<(DpuId, UnixMs), Totals>,
}

impl Read {
    pub(crate) fn found(&self, term: &Term) -> Found {
        let before = |at: UnixMs| self.totals.get(&(term.dpu.clone(), at)).copied().unwrap_or_default();
        let heard = self.counters.get(&term.dpu).and_then(|counters| counters.heard);
        Found { lo: before(term.lo), hi: before(term.hi), heard }
    }

    pub(crate) fn counts(&self, silent_after_ms: i64) -> Vec<Count> {
        self.plans.iter().map(|plan| plan.answer(|term| self.found(term), silent_after_ms)).collect()
    }
}

/// Everything that ever hung over the spaces' boundaries.
fn hung<'a>(world: &'a World, spaces: &[SpaceId]) -> BTreeSet<&'a Installation> {
    let doorways = spaces.iter().flat_map(|space| world.boundary(space.as_str()));
    doorways.flat_map(|(doorway, _)| world.over(doorway.as_str())).collect()
}
