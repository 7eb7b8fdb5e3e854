//! Which of some spaces a DPU's crossings may change: those at whose boundary it ever hung.

use std::collections::{BTreeSet, HashMap};

use occupancy::id::{DpuId, SpaceId};

use crate::Snapshot;
use crate::count::ever_hung;

/// Some spaces of one world, by DPU.
#[derive(Debug, Default)]
pub(crate) struct HungAt {
    snapshot: Snapshot,
    spaces: BTreeSet<SpaceId>,
    by_dpu: HashMap<DpuId, Vec<SpaceId>>,
}

impl HungAt {
    /// These spaces in a world.
    pub(crate) fn new(snapshot: &Snapshot, spaces: &[SpaceId]) -> Self {
        let mut all = Self { snapshot: snapshot.clone(), ..Self::default() };
        spaces.iter().for_each(|space| all.add(space));
        all
    }

    /// The world.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// All spaces.
    pub(crate) fn spaces(&self) -> &BTreeSet<SpaceId> {
        &self.spaces
    }

    /// Those a DPU's crossings may change.
    pub(crate) fn of(&self, dpu: &DpuId) -> &[SpaceId] {
        self.by_dpu.get(dpu).map_or(&[], Vec::as_slice)
    }

    /// One more.
    pub(crate) fn add(&mut self, space: &SpaceId) {
        if self.spaces.insert(space.clone()) {
            for dpu in dpus(&self.snapshot, space) {
                self.by_dpu.entry(dpu).or_default().push(space.clone());
            }
        }
    }

    /// One less.
    pub(crate) fn remove(&mut self, space: &SpaceId) {
        if !self.spaces.remove(space) {
            return;
        }
        for dpu in dpus(&self.snapshot, space) {
            if let Some(spaces) = self.by_dpu.get_mut(&dpu) {
                spaces.retain(|other| other != space);
                if spaces.is_empty() {
                    self.by_dpu.remove(&dpu);
                }
            }
        }
    }
}

fn dpus(snapshot: &Snapshot, space: &SpaceId) -> BTreeSet<DpuId> {
    ever_hung(&snapshot.world, std::slice::from_ref(space)).into_iter().map(|one| one.dpu.clone()).collect()
}
