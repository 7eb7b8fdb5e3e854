//! The simulated campus, live: what its DPUs send, second by second.

use std::sync::Arc;

use anyhow::Result;
use fleet::{Blueprint, Campus, Faults, Fleet, Mix, Pace, People, Timing};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use wire::Report;
use wire::document::TopologyDocument;

/// The root of the simulated campus.
pub(crate) const ROOT: &str = "campus";
/// Since when its doorways and DPUs stand: 2024-01-01.
const SINCE_MS: i64 = 1_704_067_200_000;

/// What makes a campus.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many DPUs.
    pub dpus: u32,
    /// How many people each sees an hour.
    pub crossings_per_hour: u32,
    /// Whether things go wrong.
    pub faults: bool,
    /// The same seed, the same people.
    pub seed: u64,
}

/// A campus in action.
pub(crate) struct Live {
    fleet: Fleet,
    root: SpaceId,
}

impl Live {
    /// A campus that is empty at `from`.
    pub(crate) fn new(plan: Plan, from: UnixMs) -> Result<Self> {
        let root: SpaceId = ROOT.parse()?;
        let mut blueprint = Blueprint::new(root.clone(), plan.dpus, UnixMs::new(SINCE_MS)?, plan.seed);
        // A steady campus is never empty: a reset would be wrong.
        blueprint.reset = None;
        let campus = Arc::new(Campus::new(blueprint)?);
        let pace = Pace { crossings_per_hour: plan.crossings_per_hour, people: plan.dpus.saturating_mul(4), daily: false };
        let people = People::new(campus, pace, from, plan.seed);
        let faults = Faults::new(if plan.faults { Mix::BAD_DAY } else { Mix::default() }, plan.seed);
        Ok(Self { fleet: Fleet::new(people, Timing::default(), faults), root })
    }

    /// Its spaces, doorways and installations.
    pub(crate) fn topology(&self) -> TopologyDocument {
        TopologyDocument::of(&self.fleet.people().campus().document())
    }

    /// How many spaces it has.
    pub(crate) fn spaces(&self) -> usize {
        self.topology().spaces.len()
    }

    /// What its DPUs have sent since the last call.
    pub(crate) fn until(&mut self, now: UnixMs) -> Vec<Report> {
        self.fleet.until(now).map(|sent| sent.report).collect()
    }

    /// How many people are on it at [`Live::at`], by the people themselves.
    pub(crate) fn people(&self) -> u64 {
        self.fleet.people().inside(&self.root).unwrap_or(0)
    }

    /// Up to when its DPUs have been given their crossings.
    pub(crate) fn at(&self) -> UnixMs {
        self.fleet.at()
    }
}
