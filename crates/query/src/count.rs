//! How many people are in a space at an instant: a few lookups, the same for yesterday and for ten years ago.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use occupancy::count::{Count, Found, Plan, Term};
use occupancy::id::{DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::ledger::{Counters, Totals};
use occupancy::time::UnixMs;
use occupancy::world::World;

use crate::error::QueryError;
use crate::{Query, Snapshot};

/// How many spaces can be asked for at once.
pub const SPACES_MOST: usize = 1000;

impl Query {
    /// The count of a space at an instant, or now.
    ///
    /// # Errors
    /// As [`Query::counts`].
    pub async fn count(&self, space: &SpaceId, at: Option<UnixMs>) -> Result<Count, QueryError> {
        if at.is_none() {
            return self.count_now(space).await;
        }
        // Boxed, so that a count that is kept, which needs none of it, stays small.
        let one = Box::pin(self.counts(std::slice::from_ref(space), at)).await?.pop();
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
        check_number(spaces, SPACES_MOST)?;
        let world = self.world_of(spaces, at).await?;
        Ok(self.read(&world, spaces, at).await?.counts(self.settings.silent_after_ms))
    }

    /// A recent world, in which all these spaces are; the instant is not too far ahead.
    pub(crate) async fn world_of(&self, spaces: &[SpaceId], at: Option<UnixMs>) -> Result<Arc<World>, QueryError> {
        let latest = (self.clock)().plus_ms(self.settings.max_clock_ahead_ms);
        if let Some(at) = at.filter(|at| *at > latest) {
            return Err(QueryError::Ahead { at, latest });
        }
        Ok(self.snapshot_of(spaces).await?.world)
    }

    /// A recent world, in which all these spaces are, and its revision.
    pub(crate) async fn snapshot_of(&self, spaces: &[SpaceId]) -> Result<Snapshot, QueryError> {
        let recent = self.topology.recent().await?;
        if check_known(&recent.world, spaces).is_ok() {
            return Ok(recent);
        }
        // Somebody may have made a space a moment ago, through another process.
        let current = self.topology.current().await?;
        check_known(&current.world, spaces)?;
        Ok(current)
    }

    /// What the counts of spaces need; of one that is not there, nothing.
    pub(crate) async fn read(&self, world: &World, spaces: &[SpaceId], at: Option<UnixMs>) -> Result<Read, QueryError> {
        self.read_plans(world, spaces, at, |space, at| world.plan(space.as_str(), at).into_iter().collect()).await
    }

    /// What plans for each space, made for one instant, need.
    pub(crate) async fn read_plans(
        &self,
        world: &World,
        spaces: &[SpaceId],
        at: Option<UnixMs>,
        plan: impl Fn(&SpaceId, UnixMs) -> Vec<Plan> + Send,
    ) -> Result<Read, QueryError> {
        let now = (self.clock)();
        let latest = now.plus_ms(self.settings.max_clock_ahead_ms);
        let hung = ever_hung(world, spaces);
        let plans = |at| spaces.iter().flat_map(|space| plan(space, at)).collect::<Vec<Plan>>();
        if let Some(at) = at {
            let plans = plans(at);
            let (counters, totals) = self.summaries(hung.iter().map(|one| &one.dpu), &plans).await?;
            return Ok(Read { now, plans, counters, totals });
        }
        let counters = self.counters_of(hung.iter().map(|one| &one.dpu).collect()).await?;
        let newest = hung
            .iter()
            .filter_map(|one| counters.get(&one.dpu)?.last.map(|key| key.at).filter(|at| one.covers(*at) && *at <= latest))
            .max();
        let at = newest.map_or(now, |newest| newest.max(now));
        let plans = plans(at);
        let totals = self.look_up(plans.iter().flat_map(Plan::lookups).collect()).await?;
        Ok(Read { now, plans, counters, totals })
    }

    /// The realtime rows of DPUs, and what plans need, where their instant is known beforehand.
    async fn summaries<'a>(
        &self,
        dpus: impl Iterator<Item = &'a DpuId>,
        plans: &'a [Plan],
    ) -> Result<(BTreeMap<DpuId, Counters>, Known), QueryError> {
        let wanted: BTreeSet<_> = plans.iter().flat_map(Plan::lookups).collect();
        let mut by_dpu: BTreeMap<&DpuId, Vec<UnixMs>> = dpus.map(|dpu| (dpu, Vec::new())).collect();
        if from_the_beginning(&wanted) {
            return Ok((self.counters_of(by_dpu.into_keys().collect()).await?, self.look_up(wanted).await?));
        }
        for (dpu, at) in wanted {
            by_dpu.entry(dpu).or_default().push(at);
        }
        let wanted: Vec<_> = by_dpu.into_iter().map(|(dpu, instants)| (dpu.clone(), instants)).collect();
        let (mut counters, mut known) = (BTreeMap::new(), Known::default());
        let found = self.store.summaries(&wanted).await?;
        for ((dpu, instants), summary) in wanted.into_iter().zip(found) {
            known.0.extend(instants.into_iter().map(|at| (dpu.clone(), at)).zip(summary.totals));
            counters.extend(summary.counters.map(|one| (dpu, one)));
        }
        Ok((counters, known))
    }

    /// The realtime rows of those DPUs that have one.
    pub(crate) async fn counters_of(&self, dpus: BTreeSet<&DpuId>) -> Result<BTreeMap<DpuId, Counters>, QueryError> {
        let dpus: Vec<DpuId> = dpus.into_iter().cloned().collect();
        let found = self.store.counters(&dpus).await?;
        Ok(dpus.into_iter().zip(found).filter_map(|(dpu, counters)| Some((dpu, counters?))).collect())
    }

    /// Totals before instants, all as of one moment, for what lies between those of one DPU.
    pub(crate) async fn look_up(&self, wanted: BTreeSet<(&DpuId, UnixMs)>) -> Result<Known, QueryError> {
        let from_the_beginning = from_the_beginning(&wanted);
        let wanted = wanted.into_iter().filter(|(_, at)| *at > UnixMs::MIN);
        let wanted: Vec<(DpuId, UnixMs)> = wanted.map(|(dpu, at)| (dpu.clone(), at)).collect();
        let found = match from_the_beginning {
            _ if wanted.is_empty() => Vec::new(),
            true => self.store.totals(&wanted).await?,
            false => self.store.relative_totals(&wanted).await?,
        };
        Ok(Known(wanted.into_iter().zip(found).collect()))
    }
}

/// Plans, and what the store holds for their terms.
pub(crate) struct Read {
    /// What the clock said.
    pub(crate) now: UnixMs,
    pub(crate) plans: Vec<Plan>,
    pub(crate) counters: BTreeMap<DpuId, Counters>,
    totals: Known,
}

impl Read {
    pub(crate) fn found(&self, term: &Term) -> Found {
        let heard = self.counters.get(&term.dpu).and_then(|counters| counters.heard);
        Found { lo: self.totals.before(&term.dpu, term.lo), hi: self.totals.before(&term.dpu, term.hi), heard }
    }

    pub(crate) fn counts(&self, silent_after_ms: i64) -> Vec<Count> {
        self.plans.iter().map(|plan| plan.answer(|term| self.found(term), silent_after_ms)).collect()
    }
}

/// Totals that were looked up: what lies between two of one DPU is right, each alone need not be.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<(DpuId, UnixMs), Totals>);

impl Known {
    /// A DPU's totals before an instant.
    pub(crate) fn before(&self, dpu: &DpuId, at: UnixMs) -> Totals {
        self.0.get(&(dpu.clone(), at)).copied().unwrap_or_default()
    }
}

/// Whether some totals are asked for before the beginning of time: these are zero, so the others must be whole.
fn from_the_beginning(wanted: &BTreeSet<(&DpuId, UnixMs)>) -> bool {
    wanted.iter().any(|(_, at)| *at == UnixMs::MIN)
}

/// Whether so many spaces can be asked for at once.
pub(crate) fn check_number(spaces: &[SpaceId], most: usize) -> Result<(), QueryError> {
    let asked = spaces.len();
    if (1..=most).contains(&asked) { Ok(()) } else { Err(QueryError::Spaces { asked, most }) }
}

/// Whether there are such spaces.
pub(crate) fn check_known(world: &World, spaces: &[SpaceId]) -> Result<(), QueryError> {
    let unknown = spaces.iter().find(|space| world.space(space.as_str()).is_none());
    unknown.map_or(Ok(()), |unknown| Err(QueryError::UnknownSpace(unknown.to_string())))
}

/// Everything that ever hung over the spaces' boundaries.
pub(crate) fn ever_hung<'a>(world: &'a World, spaces: &[SpaceId]) -> BTreeSet<&'a Installation> {
    let doorways = spaces.iter().flat_map(|space| world.boundary(space.as_str()));
    doorways.flat_map(|(doorway, _)| world.over(doorway.as_str())).collect()
}
