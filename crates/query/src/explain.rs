//! How a count comes about: from the baseline to the raw count, doorway by doorway.

use std::collections::BTreeMap;

use occupancy::conservation::Remainder;
use occupancy::count::{Count, Part, Plan, Term};
use occupancy::id::{DoorwayId, DpuId, SpaceId};
use occupancy::time::UnixMs;
use occupancy::topology::{Doorway, Side};
use occupancy::world::{Made, World};

use crate::Query;
use crate::count::{Read, SPACES_MOST};
use crate::dpus::Dpu;
use crate::error::QueryError;
use crate::missing::WALK_MOST;

/// A count and its parts: `baseline.count`, and what each installation adds, make `raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The count.
    pub count: Count,
    /// The correction it starts from, if it starts from one.
    pub correction: Option<Made>,
    /// The doorways into and out of the space, by id; inner ones cancel.
    pub doorways: Vec<DoorwayPart>,
    /// What the counts of its children leave for the rest of it; `None` where it has none, or more than [`CHILDREN_MOST`].
    pub remainder: Option<Remainder>,
}

/// The children a space may have for what they leave to be told.
pub const CHILDREN_MOST: usize = SPACES_MOST;

/// What is left for the rest of a space that a DPU's doorway leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residual {
    /// The space.
    pub space: SpaceId,
    /// At which instant.
    pub at: UnixMs,
    /// What is left; `None` where [`Explained::remainder`] is.
    pub remainder: Option<Remainder>,
}

/// A doorway's part in a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorwayPart {
    /// The doorway.
    pub doorway: Doorway,
    /// Its side within the space.
    pub inside: Side,
    /// What hung over it since the baseline.
    pub installations: Vec<InstallationPart>,
    /// When nothing did: `[from, to)`, in order of time.
    pub uncovered: Vec<(UnixMs, UnixMs)>,
}

/// An installation's part in a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationPart {
    /// The sensor.
    pub dpu: DpuId,
    /// Whether its +1 means a person enters the space.
    pub plus_enters: bool,
    /// From when on it counted, included: its start or the baseline.
    pub from: UnixMs,
    /// Up to when, excluded: its end, or a ms after the instant asked for.
    pub to: UnixMs,
    /// What it adds.
    pub part: Part,
    /// How many crossings are missing of each boot between the first and the last it numbered in this time, its latest
    /// heartbeat included; empty where it numbers none, `None` where [`WALK_MOST`] crossings were looked at already.
    pub missing: Option<BTreeMap<u64, u64>>,
}

impl Query {
    /// How the count of a space at an instant, or now, comes about; the numbers are those of [`Query::count`].
    ///
    /// # Errors
    /// The space is unknown, the instant too far ahead of the clock, or the store fails.
    pub async fn explain(&self, space: &SpaceId, at: Option<UnixMs>) -> Result<Explained, QueryError> {
        let world = self.world_of(std::slice::from_ref(space), at).await?;
        let (read, count, remainder) = self.read_whole(&world, space, at).await?;
        let Some(plan) = read.plans.first() else { return Err(QueryError::UnknownSpace(space.to_string())) };
        let mut installations = self.installation_parts(plan, &read).await?;
        let of = |(doorway, inside): (&DoorwayId, &Side)| {
            Some(DoorwayPart {
                doorway: world.doorway(doorway.as_str())?.clone(),
                inside: inside.clone(),
                installations: installations.remove(doorway).unwrap_or_default(),
                uncovered: plan.uncovered.get(doorway).cloned().unwrap_or_default(),
            })
        };
        let doorways = world.boundary(space.as_str()).filter_map(of).collect();
        let correction = world.baseline_correction(space.as_str(), plan.at).cloned();
        Ok(Explained { count, correction, doorways, remainder })
    }

    /// What is left for the rest of the spaces on both sides of the doorway that a DPU hangs over, as it is explained of now.
    ///
    /// # Errors
    /// The store fails.
    pub async fn residuals(&self, dpu: &Dpu) -> Result<Vec<Residual>, QueryError> {
        let world = self.topology.current().await?.world;
        let doorway = dpu.hangs.as_ref().and_then(|doorway| world.doorway(doorway.as_str()));
        let mut told = Vec::new();
        for space in doorway.iter().flat_map(|doorway| &doorway.between).filter_map(Side::space) {
            let (_, count, remainder) = self.read_whole(&world, space, None).await?;
            told.push(Residual { space: space.clone(), at: count.at, remainder });
        }
        Ok(told)
    }

    /// A space's count, and what those of its children leave, from one reading.
    async fn read_whole(&self, world: &World, space: &SpaceId, at: Option<UnixMs>) -> Result<(Read, Count, Option<Remainder>), QueryError> {
        let with_children = (1..=CHILDREN_MOST).contains(&world.children(space.as_str()).take(CHILDREN_MOST + 1).count());
        let plans = |space: &SpaceId, at: UnixMs| {
            if with_children { world.remainder_plans(space.as_str(), at) } else { world.plan(space.as_str(), at).into_iter().collect() }
        };
        let read = self.read_plans(world, std::slice::from_ref(space), at, plans).await?;
        let counts = read.counts(self.settings.silent_after_ms);
        let remainder = Remainder::of(&counts, world.doors(space.as_str()).next().is_some());
        let count = counts.into_iter().next().ok_or_else(|| QueryError::UnknownSpace(space.to_string()))?;
        Ok((read, count, remainder))
    }

    async fn installation_parts(&self, plan: &Plan, read: &Read) -> Result<BTreeMap<DoorwayId, Vec<InstallationPart>>, QueryError> {
        let mut parts: BTreeMap<DoorwayId, Vec<InstallationPart>> = BTreeMap::new();
        let mut to_walk = WALK_MOST as u64;
        for term in &plan.terms {
            let part = term.part(&read.found(term), plan.at, self.settings.silent_after_ms);
            let crossings = part.entered.unsigned_abs() + part.exited.unsigned_abs();
            let missing = match to_walk.checked_sub(crossings) {
                None => None,
                Some(left) => {
                    to_walk = left;
                    Some(self.missing_of(term, read).await?)
                }
            };
            let Term { dpu, plus_enters, lo, hi, .. } = term;
            let installation = InstallationPart { dpu: dpu.clone(), plus_enters: *plus_enters, from: *lo, to: *hi, part, missing };
            parts.entry(term.doorway.clone()).or_default().push(installation);
        }
        Ok(parts)
    }

    async fn missing_of(&self, term: &Term, read: &Read) -> Result<BTreeMap<u64, u64>, QueryError> {
        let heartbeat = read.counters.get(&term.dpu).and_then(|counters| counters.heartbeat);
        // A later one tells of crossings that count elsewhere, or later.
        let heartbeat = heartbeat.filter(|beat| (term.lo..term.hi).contains(&beat.at));
        self.missing_in(&term.dpu, term.lo, term.hi, heartbeat).await
    }
}
