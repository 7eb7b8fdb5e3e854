//! Which spaces are judged together when DPUs are suspected: those that share one in question.
//!
//! # Guarantees
//!
//! - Each space and each installation in question is in one group, where it may be judged at all.
//! - A flip changes the days of the spaces on both sides of a doorway and of no others, and what is tried together hangs over one
//!   doorway: so one group after the other finds what all at once would. A space of which no day can be known joins nothing together.

use std::collections::BTreeSet;

use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::{Doorway, Side};
use occupancy::world::World;

/// Spaces that are judged together.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// Which; none of which no day can be known, unless it is alone.
    pub(crate) spaces: BTreeSet<&'a SpaceId>,
    /// What hangs over their doorways, by DPU: it hangs in one place at a time.
    pub(crate) present: Vec<&'a Installation>,
}

impl<'a> Group<'a> {
    /// Where it stands among others.
    pub(crate) fn first(&self) -> Option<&'a SpaceId> {
        self.spaces.first().copied()
    }
}

/// The groups of a space and all below it, by their first space; those with nothing in question are left out. No day begins
/// before `since`.
pub(crate) fn groups<'a>(world: &'a World, space: &str, since: UnixMs, now: UnixMs) -> Vec<Group<'a>> {
    let mut open = world.subtree(space);
    let hangs = |doorway: &Doorway| world.over(doorway.id.as_str()).any(|one| one.covers(now));
    let hung = |doorway: &Doorway| world.over(doorway.id.as_str()).any(|one| one.from < now && one.end() > since);
    // Where over a doorway nothing hung, no day is whole.
    let known: BTreeSet<&SpaceId> = open.iter().copied().filter(|space| world.doors(space.as_str()).all(hung)).collect();
    let all = open.clone();
    // A doorway is looked at where it tells something, and once.
    let home = |doorway: &'a Doorway| {
        let sides = || doorway.between.iter().filter_map(Side::space);
        sides().filter(|side| known.contains(side)).min().or_else(|| sides().filter(|side| all.contains(side)).min())
    };
    let mut groups = Vec::new();
    while let Some(first) = open.pop_first() {
        let (mut spaces, mut next) = (BTreeSet::from([first]), vec![first]);
        while let Some(here) = next.pop().filter(|here| known.contains(here)) {
            let doors = world.doors(here.as_str()).filter(|doorway| hangs(doorway));
            for beside in doors.flat_map(|doorway| &doorway.between).filter_map(Side::space) {
                if known.contains(beside) && open.remove(beside) {
                    spaces.insert(beside);
                    next.push(beside);
                }
            }
        }
        let doors = spaces.iter().flat_map(|space| world.doors(space.as_str()));
        let own = doors.filter(|doorway| home(doorway).is_some_and(|home| spaces.contains(home)));
        let present: BTreeSet<&Installation> =
            own.flat_map(|doorway| world.over(doorway.id.as_str())).filter(|one| one.covers(now)).collect();
        if !present.is_empty() {
            groups.push(Group { spaces, present: present.into_iter().collect() });
        }
    }
    groups
}
