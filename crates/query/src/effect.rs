//! What an edit changes, and which spaces' past it changes.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::edit::{Change, Correction, Edit};
use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Doorway, Reset, Side, Space};
use occupancy::world::World;

/// What came, what changed (as it is now), what went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta<T> {
    /// Was not there before.
    pub added: Vec<T>,
    /// Was there, otherwise.
    pub changed: Vec<T>,
    /// Is no longer there.
    pub removed: Vec<T>,
}

impl<T> Default for Delta<T> {
    fn default() -> Self {
        Self { added: Vec::new(), changed: Vec::new(), removed: Vec::new() }
    }
}

impl<T: Clone + PartialEq> Delta<T> {
    /// Compares two lists by a key.
    fn of<'a, K: Ord>(before: &'a [T], after: &'a [T], key: impl Fn(&'a T) -> K) -> Self {
        let mut gone: BTreeMap<K, &T> = before.iter().map(|one| (key(one), one)).collect();
        let mut delta = Self::default();
        for one in after {
            match gone.remove(&key(one)) {
                None => delta.added.push(one.clone()),
                Some(was) if was != one => delta.changed.push(one.clone()),
                Some(_) => {}
            }
        }
        delta.removed = gone.into_values().cloned().collect();
        delta
    }
}

/// What an edit changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Spaces.
    pub spaces: Delta<Space>,
    /// Entries of daily resets; one is the same while its space and start are.
    pub resets: Delta<Reset>,
    /// Doorways.
    pub doorways: Delta<Doorway>,
    /// Installations; one is the same while its DPU, doorway and start are.
    pub installations: Delta<Installation>,
    /// Spaces there were before and are now, whose counts before the edit may come out otherwise, and from when on.
    pub past: BTreeMap<SpaceId, UnixMs>,
}

impl Effect {
    /// What `edit` changed between two worlds.
    pub(crate) fn of(before: &World, after: &World, edit: &Edit) -> Self {
        let (was, is, spaces) = match &edit.change {
            Change::Topology { root, .. } => {
                let was = before.document(root.as_str()).unwrap_or_default();
                let spaces: BTreeSet<SpaceId> = was.spaces.iter().map(|space| space.id.clone()).collect();
                (was, after.document(root.as_str()).unwrap_or_default(), spaces)
            }
            Change::Installations { dpu, .. } => {
                let [was, is] = [before, after].map(|world| world.installations(dpu.as_str()).to_vec());
                let spaces = was.iter().chain(&is).flat_map(|one| around(after, one)).collect();
                (Document { installations: was, ..Document::default() }, Document { installations: is, ..Document::default() }, spaces)
            }
            Change::Corrections { corrections, .. } => return Self::corrected(before, after, corrections),
            Change::Retraction { id, .. } => {
                return Self::corrected(before, after, after.correction(id.as_str()).map(|made| &made.correction));
            }
        };
        let kept = spaces.into_iter().filter(|space| before.space(space.as_str()).is_some() && after.space(space.as_str()).is_some());
        let mut past = Past { before, after, now: edit.made_at, resets: BTreeMap::new() };
        Self {
            spaces: Delta::of(&was.spaces, &is.spaces, |one| &one.id),
            resets: Delta::of(&was.resets, &is.resets, |one| (&one.space, one.from)),
            doorways: Delta::of(&was.doorways, &is.doorways, |one| &one.id),
            installations: Delta::of(&was.installations, &is.installations, |one| (&one.dpu, &one.doorway, one.from)),
            past: kept.filter_map(|space| Some((past.differs_from(space.as_str())?, space))).map(|(from, space)| (space, from)).collect(),
        }
    }

    /// A count changes from a correction on, unless one made later stands at the same instant.
    fn corrected<'a>(before: &World, after: &World, corrections: impl IntoIterator<Item = &'a Correction>) -> Self {
        let mut past = BTreeMap::new();
        for Correction { space, at, .. } in corrections {
            let [was, is] = [before, after].map(|world| world.baseline(space.as_str(), *at));
            if was != is && after.space(space.as_str()).is_some() {
                past.entry(space.clone()).and_modify(|from: &mut UnixMs| *from = *at.min(from)).or_insert(*at);
            }
        }
        Self { past, ..Self::default() }
    }
}

/// From when on the counts of spaces before `now` may come out otherwise in two worlds, by any edits between them.
pub(crate) fn differ_from(before: &World, after: &World, spaces: &[SpaceId], now: UnixMs) -> BTreeMap<SpaceId, UnixMs> {
    let mut past = Past { before, after, now, resets: BTreeMap::new() };
    let corrected = |space: &str| {
        let [was, is] = [before, after].map(|world| world.corrections_of(space).into_iter().flatten().collect::<BTreeSet<_>>());
        was.symmetric_difference(&is).map(|((at, _), _)| *at).min()
    };
    let from = |space: &SpaceId| past.differs_from(space.as_str()).into_iter().chain(corrected(space.as_str())).min();
    spaces.iter().map(from).zip(spaces).filter_map(|(from, space)| Some((space.clone(), from?))).collect()
}

/// The spaces an installation can count towards: those around its doorway.
fn around(world: &World, one: &Installation) -> BTreeSet<SpaceId> {
    let sides = world.doorway(one.doorway.as_str()).into_iter().flat_map(|doorway| doorway.between.iter().filter_map(Side::space));
    sides.flat_map(|side| world.lineage(side.as_str()).map(|space| space.id.clone())).collect()
}

/// From when on spaces' counts before `now` are made of other installations or resets in two worlds.
struct Past<'a> {
    before: &'a World,
    after: &'a World,
    now: UnixMs,
    /// By whose resets apply before and after, as thousands of spaces may share them: from when on they differ, and the
    /// first of all.
    resets: BTreeMap<[Option<&'a SpaceId>; 2], [Option<UnixMs>; 2]>,
}

impl<'a> Past<'a> {
    fn differs_from(&mut self, space: &str) -> Option<UnixMs> {
        let (before, after, now) = (self.before, self.after, self.now);
        let owners = [before, after].map(|world| world.resets(space).first().map(|reset| &reset.space));
        let compare = || {
            // Entries of "none" before the first reset do nothing.
            let [was, is] = [before, after].map(|world| {
                let resets = world.resets(space).iter().filter(|reset| reset.from <= now).skip_while(|reset| reset.at.is_none());
                resets.map(|reset| (reset.from, reset.at)).collect::<BTreeSet<_>>()
            });
            let first = |(from, _): &(UnixMs, _)| *from;
            [was.symmetric_difference(&is).map(first).min(), was.union(&is).map(first).min()]
        };
        let [differ, first] = *self.resets.entry(owners).or_insert_with(compare);
        let resets = if before.zone(space) == after.zone(space) { differ } else { first };
        let [was, is] = [before, after].map(|world| parts(world, space, now));
        resets.into_iter().chain(parts_differ_from(&was, &is)).min()
    }
}

/// What counts towards a space before `now`: DPU, from, whether +1 enters, and to.
type Part<'a> = (&'a str, UnixMs, bool, UnixMs);

fn parts<'a>(world: &'a World, space: &str, now: UnixMs) -> BTreeSet<Part<'a>> {
    let hung =
        world.boundary(space).flat_map(|(doorway, inside)| world.over(doorway.as_str()).map(move |one| (one, one.enters == *inside)));
    hung.filter(|(one, _)| one.from < now).map(|(one, enters)| (one.dpu.as_str(), one.from, enters, one.end().min(now))).collect()
}

fn parts_differ_from(was: &BTreeSet<Part<'_>>, is: &BTreeSet<Part<'_>>) -> Option<UnixMs> {
    // A part that only ends otherwise differs from the earlier end on.
    let from = |&(dpu, from, enters, to): &Part<'_>, others: &BTreeSet<Part<'_>>| {
        let other =
            others.range((dpu, from, enters, UnixMs::MIN)..).next().filter(|other| (other.0, other.1, other.2) == (dpu, from, enters));
        other.map_or(from, |(.., end)| to.min(*end))
    };
    let gone = was.difference(is).map(|one| from(one, is));
    gone.chain(is.difference(was).map(|one| from(one, was))).min()
}
