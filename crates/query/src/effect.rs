//! What an edit changes, and which spaces' past it changes.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::edit::{Change, Edit};
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

/// What an edit of topology or installations changes.
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
    /// Spaces there were before and are now, whose counts before the edit may come out otherwise.
    pub past: BTreeSet<SpaceId>,
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
            Change::Corrections { .. } | Change::Retraction { .. } => return Self::default(),
        };
        let kept = spaces.into_iter().filter(|space| before.space(space.as_str()).is_some() && after.space(space.as_str()).is_some());
        let mut past = Past { before, after, now: edit.made_at, resets: BTreeMap::new() };
        Self {
            spaces: Delta::of(&was.spaces, &is.spaces, |one| &one.id),
            resets: Delta::of(&was.resets, &is.resets, |one| (&one.space, one.from)),
            doorways: Delta::of(&was.doorways, &is.doorways, |one| &one.id),
            installations: Delta::of(&was.installations, &is.installations, |one| (&one.dpu, &one.doorway, one.from)),
            past: kept.filter(|space| !past.same(space.as_str())).collect(),
        }
    }
}

/// The spaces an installation can count towards: those around its doorway.
fn around(world: &World, one: &Installation) -> BTreeSet<SpaceId> {
    let sides = world.doorway(one.doorway.as_str()).into_iter().flat_map(|doorway| doorway.between.iter().filter_map(Side::space));
    sides.flat_map(|side| world.lineage(side.as_str()).map(|space| space.id.clone())).collect()
}

/// Whether spaces' counts before `now` are made of the same installations and resets in two worlds.
struct Past<'a> {
    before: &'a World,
    after: &'a World,
    now: UnixMs,
    /// By whose resets apply before and after, as thousands of spaces may share them: whether they are the same, or none.
    resets: BTreeMap<[Option<&'a SpaceId>; 2], (bool, bool)>,
}

impl<'a> Past<'a> {
    fn same(&mut self, space: &str) -> bool {
        let (before, after, now) = (self.before, self.after, self.now);
        let owners = [before, after].map(|world| world.resets(space).first().map(|reset| &reset.space));
        let compare = || {
            // Entries of "none" before the first reset do nothing.
            let [was, is] = [before, after].map(|world| {
                let resets = world.resets(space).iter().filter(|reset| reset.from <= now).skip_while(|reset| reset.at.is_none());
                resets.map(|reset| (reset.from, reset.at)).collect::<Vec<_>>()
            });
            (was == is, was.is_empty())
        };
        let (same, none) = *self.resets.entry(owners).or_insert_with(compare);
        same && (none || before.zone(space) == after.zone(space)) && parts(before, space, now) == parts(after, space, now)
    }
}

/// What counts towards a space before `now`: DPU, from, to, and whether +1 enters.
fn parts<'a>(world: &'a World, space: &str, now: UnixMs) -> BTreeSet<(&'a str, UnixMs, UnixMs, bool)> {
    let hung =
        world.boundary(space).flat_map(|(doorway, inside)| world.over(doorway.as_str()).map(move |one| (one, one.enters == *inside)));
    hung.filter(|(one, _)| one.from < now).map(|(one, enters)| (one.dpu.as_str(), one.from, one.end().min(now), enters)).collect()
}
