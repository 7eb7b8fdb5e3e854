//! Nobody appears in a space or vanishes from it: what the raw counts of a space and of its children leave for its rest.
//!
//! The *rest* of a space is those parts of it that are in none of its children. Whoever goes from one side of a doorway
//! to the other changes the raw count of a space by what it changes those of its children, plus one where they come to the
//! rest and less one where they leave it. So from the instant `since` on at which the last of all these counts started,
//!
//! ```text
//! remainder = raw(S) - sum of raw(children) = start + entered - exited
//! ```
//!
//! with `start` the remainder at that instant, and `entered` and `exited` those of the rest: an identity, whatever the
//! DPUs saw. What it proves is in the signs, see [`Remainder::contradicts`].

use std::collections::BTreeSet;

use crate::baseline::Baseline;
use crate::count::{Count, Plan};
use crate::id::{DoorwayId, SpaceId};
use crate::time::UnixMs;
use crate::world::World;

/// What is left for the rest of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// The children by id, each with its raw count and where that starts.
    pub children: Vec<(SpaceId, i64, Baseline)>,
    /// The latest of the instants at which the counts start; `None` where all start at the beginning.
    pub since: Option<UnixMs>,
    /// Seen to come to the rest since then.
    pub entered: i64,
    /// Seen to leave it since then.
    pub exited: i64,
    /// Whether any doorway leads to the rest: otherwise nobody can be there.
    pub has_doors: bool,
    /// Doorways at which people passed unseen who would change the remainder.
    pub uncovered: BTreeSet<DoorwayId>,
    /// The raw count of the space less those of its children.
    difference: i64,
}

impl World {
    /// The plans for what is left for the rest of a space at `at`: that of the space, of its children by id, of the rest.
    #[must_use]
    pub fn remainder_plans(&self, space: &str, at: UnixMs) -> Vec<Plan> {
        let all = [space].into_iter().chain(self.children(space).map(SpaceId::as_str));
        let mut plans: Vec<Plan> = all.filter_map(|one| self.plan(one, at)).collect();
        let since = plans.iter().filter_map(|plan| plan.baseline.at).max();
        plans.extend(self.rest_plan(space, since, at));
        plans
    }
}

impl Remainder {
    /// What is left, given the counts that [`World::remainder_plans`] came to; `None` of less than three.
    #[must_use]
    pub fn of(counts: &[Count], has_doors: bool) -> Option<Self> {
        let ([whole, children @ ..], rest) = counts.split_last().map(|(rest, others)| (others, rest))? else { return None };
        if children.is_empty() {
            return None;
        }
        let all = || [whole].into_iter().chain(children);
        let together = children.iter().all(|child| child.baseline.at == whole.baseline.at);
        // Where all start together, what passes a doorway that does not lead to the rest changes both sides alike.
        let uncovered = if together { &rest.uncovered } else { &all().chain([rest]).flat_map(|one| one.uncovered.clone()).collect() };
        Some(Self {
            children: children.iter().map(|child| (child.space.clone(), child.raw, child.baseline)).collect(),
            since: all().filter_map(|one| one.baseline.at).max(),
            entered: rest.entered,
            exited: rest.exited,
            has_doors,
            uncovered: uncovered.iter().cloned().collect(),
            difference: whole.raw - children.iter().map(|child| child.raw).sum::<i64>(),
        })
    }

    /// How many people are in the rest, as the raw counts have it; `None` where some came or left unseen.
    #[must_use]
    pub fn people(&self) -> Option<i64> {
        self.uncovered.is_empty().then_some(self.difference)
    }

    /// How many were there when the last of the counts started: what the baselines make it; `None` as for [`Self::people`].
    #[must_use]
    pub fn start(&self) -> Option<i64> {
        self.people().map(|people| people - self.entered + self.exited)
    }

    /// Whether that cannot be: less than nobody is there, or somebody where no doorway leads.
    ///
    /// Without a doorway it never changes, so it contradicts the baselines and says nothing of any DPU. With doorways, what `start`
    /// leaves to explain is the doing of the DPUs over these doorways, and of no others.
    #[must_use]
    pub fn contradicts(&self) -> bool {
        self.people().is_some_and(|people| people < 0 || (people > 0 && !self.has_doors))
    }
}
