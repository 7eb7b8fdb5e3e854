//! The world: every space, doorway, installation and correction, as the edits so far leave them.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use crate::edit::{Change, Correction, Edit, EditError, Note};
use crate::id::{CorrectionId, DoorwayId, DpuId, SpaceId};
use crate::installation::{Installation, in_order};
use crate::time::UnixMs;
use crate::topology::{Document, Doorway, Reset, Side, Space, TopologyError, by_dpu, check_side};

/// A correction and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What was counted.
    pub correction: Correction,
    /// Its place among all corrections: of two at the same instant the later-made wins.
    pub order: u64,
    /// When it was made.
    pub made_at: UnixMs,
    /// Why, and who says so.
    pub note: Note,
    /// When it was retracted, why, and who says so.
    pub retracted: Option<(UnixMs, Note)>,
}

/// All spaces, doorways, installations and corrections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    spaces: BTreeMap<SpaceId, Space>,
    children: BTreeMap<SpaceId, BTreeSet<SpaceId>>,
    resets: BTreeMap<SpaceId, Vec<Reset>>,
    doorways: BTreeMap<DoorwayId, Doorway>,
    doors_of: BTreeMap<SpaceId, BTreeSet<DoorwayId>>,
    /// Of each space, the doorways with exactly one side in its subtree, and that side.
    boundaries: BTreeMap<SpaceId, BTreeMap<DoorwayId, Side>>,
    /// The sides of every doorway there ever was: ids are never reused for something else.
    sides_ever: BTreeMap<DoorwayId, [Side; 2]>,
    installations: BTreeMap<DpuId, Vec<Installation>>,
    over: BTreeMap<DoorwayId, BTreeSet<Installation>>,
    /// In the order they were made.
    corrections: Vec<Made>,
    /// The place of each among them.
    correction_places: BTreeMap<CorrectionId, usize>,
    in_force: BTreeMap<SpaceId, BTreeMap<(UnixMs, u64), u32>>,
}

impl World {
    /// Makes one edit, whole or not at all.
    ///
    /// # Errors
    /// The first rule the edit breaks; the world is unchanged then.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), EditError> {
        match &edit.change {
            Change::Topology { root, document, allow_removal } => self.put_topology(root, document, *allow_removal),
            Change::Installations { dpu, list } => self.put_installations(dpu, list),
            Change::Corrections { corrections, note } => self.correct(edit.made_at, corrections, note),
            Change::Retraction { id, note } => self.retract(edit.made_at, id, note),
        }
    }

    /// Every space, by id.
    pub fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.spaces.values()
    }

    /// A space.
    #[must_use]
    pub fn space(&self, id: &str) -> Option<&Space> {
        self.spaces.get(id)
    }

    /// The spaces directly below.
    pub fn children(&self, id: &str) -> impl Iterator<Item = &SpaceId> {
        self.children.get(id).into_iter().flatten()
    }

    /// A doorway.
    #[must_use]
    pub fn doorway(&self, id: &str) -> Option<&Doorway> {
        self.doorways.get(id)
    }

    /// Where a DPU hung, in order of time.
    #[must_use]
    pub fn installations(&self, dpu: &str) -> &[Installation] {
        self.installations.get(dpu).map_or(&[], Vec::as_slice)
    }

    /// Every DPU that ever hung somewhere.
    pub fn placed(&self) -> impl Iterator<Item = &DpuId> {
        self.installations.keys()
    }

    /// What hung over a doorway, by DPU.
    pub fn over(&self, doorway: &str) -> impl Iterator<Item = &Installation> {
        self.over.get(doorway).into_iter().flatten()
    }

    /// Every correction ever made, retracted ones included, in the order they were made.
    #[must_use]
    pub fn corrections(&self) -> &[Made] {
        &self.corrections
    }

    /// A correction, in force or retracted.
    #[must_use]
    pub fn correction(&self, id: &str) -> Option<&Made> {
        self.corrections.get(*self.correction_places.get(id)?)
    }

    /// The corrections in force of a space: instant and order made, and the count.
    #[must_use]
    pub fn corrections_of(&self, space: &str) -> Option<&BTreeMap<(UnixMs, u64), u32>> {
        self.in_force.get(space)
    }

    /// A space and its ancestors, from the space up to its root.
    pub fn lineage<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Space> {
        std::iter::successors(self.space(id), |space| space.parent.as_ref().and_then(|parent| self.spaces.get(parent)))
    }

    /// The root a space stands under.
    #[must_use]
    pub fn root_of(&self, id: &str) -> Option<&SpaceId> {
        self.lineage(id).last().map(|space| &space.id)
    }

    /// A space's zone: its own, else its nearest ancestor's, else UTC.
    #[must_use]
    pub fn zone(&self, id: &str) -> Tz {
        self.lineage(id).find_map(|space| space.time_zone).unwrap_or(Tz::UTC)
    }

    /// The resets in force for a space, in order of time: its own, else its nearest ancestor's.
    #[must_use]
    pub fn resets(&self, id: &str) -> &[Reset] {
        self.lineage(id).find_map(|space| self.resets.get(&space.id)).map_or(&[], Vec::as_slice)
    }

    /// A space and everything below it.
    #[must_use]
    pub fn subtree(&self, id: &str) -> BTreeSet<&SpaceId> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&SpaceId> = self.space(id).map(|space| &space.id).into_iter().collect();
        while let Some(here) = open.pop() {
            found.insert(here);
            open.extend(self.children(here.as_str()));
        }
        found
    }

    /// The doorways with exactly one side in a space's subtree, each with that side: inner doorways cancel.
    pub fn boundary(&self, id: &str) -> impl Iterator<Item = (&DoorwayId, &Side)> {
        self.boundaries.get(id).into_iter().flatten()
    }

    /// The doorways with a space itself, and not one below it, as a side.
    pub fn doors(&self, id: &str) -> impl Iterator<Item = &Doorway> {
        self.doors_of.get(id).into_iter().flatten().filter_map(|doorway| self.doorways.get(doorway))
    }

    /// Everything under a root, in the form it is edited in; `None` where there is no such root.
    #[must_use]
    pub fn document(&self, root: &str) -> Option<Document> {
        self.space(root).filter(|space| space.parent.is_none())?;
        let spaces = self.subtree(root);
        let doorways: BTreeSet<&DoorwayId> = spaces.iter().filter_map(|space| self.doors_of.get(*space)).flatten().collect();
        Some(Document {
            spaces: spaces.iter().filter_map(|id| self.spaces.get(*id)).cloned().collect(),
            resets: spaces.iter().filter_map(|id| self.resets.get(*id)).flatten().cloned().collect(),
            installations: doorways.iter().filter_map(|id| self.over.get(*id)).flatten().cloned().collect(),
            doorways: doorways.iter().filter_map(|id| self.doorways.get(*id)).cloned().collect(),
        })
    }

    fn put_topology(&mut self, root: &SpaceId, document: &Document, allow_removal: bool) -> Result<(), EditError> {
        let old = self.document(root.as_str());
        // An empty document takes a root away.
        if old.is_none() || *document != Document::default() {
            document.check(root)?;
        }
        let old = old.unwrap_or_default();
        self.check_ids(root, &old, document)?;
        if !allow_removal {
            let gone = removed(&old, document);
            if !gone.is_empty() {
                return Err(TopologyError::Removal(gone).into());
            }
        }
        // What a DPU's list will be: what it has under other roots, and what the document says.
        let mut lists: BTreeMap<DpuId, Vec<Installation>> = by_dpu(&document.installations);
        let here: BTreeSet<&DoorwayId> = old.doorways.iter().map(|doorway| &doorway.id).collect();
        for dpu in old.installations.iter().map(|one| &one.dpu) {
            lists.entry(dpu.clone()).or_default();
        }
        for (dpu, list) in &mut lists {
            list.extend(self.installations(dpu.as_str()).iter().filter(|one| !here.contains(&one.doorway)).cloned());
            *list = in_order(std::mem::take(list)).map_err(TopologyError::from)?;
        }
        self.remove_document(&old);
        self.insert_document(document);
        for (dpu, list) in lists {
            self.set_installations(dpu, list);
        }
        Ok(())
    }

    /// Checks a document's ids against those of other roots and of the past.
    fn check_ids(&self, root: &SpaceId, old: &Document, document: &Document) -> Result<(), TopologyError> {
        let here: BTreeSet<&SpaceId> = old.spaces.iter().map(|space| &space.id).collect();
        let taken = |kind, id: &dyn ToString, space: &SpaceId| {
            let other = if here.contains(space) { None } else { self.root_of(space.as_str()) };
            other.map_or(Ok(()), |other| Err(TopologyError::Taken { kind, id: id.to_string(), root: other.clone(), wanted: root.clone() }))
        };
        for space in &document.spaces {
            taken("space", &space.id, &space.id)?;
        }
        for doorway in &document.doorways {
            if let Some(space) = self.doorways.get(&doorway.id).and_then(|old| old.between.iter().find_map(Side::space)) {
                taken("doorway", &doorway.id, space)?;
            }
            if let Some(was) = self.sides_ever.get(&doorway.id).filter(|was| !Doorway::same_sides(was, &doorway.between)) {
                return Err(TopologyError::SidesChanged { doorway: doorway.id.clone(), was: was.clone() });
            }
        }
        Ok(())
    }

    fn remove_document(&mut self, old: &Document) {
        for space in &old.spaces {
            self.spaces.remove(&space.id);
            self.children.remove(&space.id);
            self.resets.remove(&space.id);
            self.doors_of.remove(&space.id);
            self.boundaries.remove(&space.id);
        }
        for doorway in &old.doorways {
            self.doorways.remove(&doorway.id);
        }
    }

    fn insert_document(&mut self, document: &Document) {
        for space in &document.spaces {
            if let Some(parent) = &space.parent {
                self.children.entry(parent.clone()).or_default().insert(space.id.clone());
            }
            self.spaces.insert(space.id.clone(), space.clone());
        }
        let mut resets = document.resets.clone();
        resets.sort();
        for reset in resets {
            self.resets.entry(reset.space.clone()).or_default().push(reset);
        }
        for doorway in &document.doorways {
            for space in doorway.between.iter().filter_map(Side::space) {
                self.doors_of.entry(space.clone()).or_default().insert(doorway.id.clone());
            }
            self.index_boundaries(doorway);
            self.sides_ever.entry(doorway.id.clone()).or_insert_with(|| doorway.between.clone());
            self.doorways.insert(doorway.id.clone(), doorway.clone());
        }
    }

    /// Notes the spaces a doorway leads into or out of: those above exactly one of its sides.
    fn index_boundaries(&mut self, doorway: &Doorway) {
        let above = doorway.between.each_ref().map(|side| {
            let spaces = side.space().into_iter().flat_map(|space| self.lineage(space.as_str()));
            spaces.map(|space| space.id.clone()).collect::<Vec<_>>()
        });
        let [a, b] = &above;
        for (side, own, other) in [(&doorway.between[0], a, b), (&doorway.between[1], b, a)] {
            for space in own.iter().filter(|space| !other.contains(space)) {
                self.boundaries.entry(space.clone()).or_default().insert(doorway.id.clone(), side.clone());
            }
        }
    }

    fn put_installations(&mut self, dpu: &DpuId, list: &[Installation]) -> Result<(), EditError> {
        for one in list {
            if one.dpu != *dpu {
                return Err(EditError::OtherDpu { dpu: dpu.clone(), other: one.dpu.clone() });
            }
            check_side(one, self.doorways.get(&one.doorway))?;
        }
        let list = in_order(list.to_vec()).map_err(TopologyError::from)?;
        self.set_installations(dpu.clone(), list);
        Ok(())
    }

    fn set_installations(&mut self, dpu: DpuId, list: Vec<Installation>) {
        for one in self.installations.remove(&dpu).unwrap_or_default() {
            if let Some(over) = self.over.get_mut(&one.doorway) {
                over.remove(&one);
                if over.is_empty() {
                    self.over.remove(&one.doorway);
                }
            }
        }
        for one in &list {
            self.over.entry(one.doorway.clone()).or_default().insert(one.clone());
        }
        if !list.is_empty() {
            self.installations.insert(dpu, list);
        }
    }

    fn correct(&mut self, made_at: UnixMs, corrections: &[Correction], note: &Note) -> Result<(), EditError> {
        let mut ids = BTreeSet::new();
        for one in corrections {
            if !self.spaces.contains_key(&one.space) {
                return Err(EditError::UnknownSpace(one.space.clone()));
            }
            if self.correction_places.contains_key(&one.id) || !ids.insert(&one.id) {
                return Err(EditError::CorrectionExists(one.id.clone()));
            }
        }
        for one in corrections {
            let order = self.corrections.len() as u64;
            self.in_force.entry(one.space.clone()).or_default().insert((one.at, order), one.count);
            self.correction_places.insert(one.id.clone(), self.corrections.len());
            self.corrections.push(Made { correction: one.clone(), order, made_at, note: note.clone(), retracted: None });
        }
        Ok(())
    }

    fn retract(&mut self, at: UnixMs, id: &CorrectionId, note: &Note) -> Result<(), EditError> {
        let made = self.correction_places.get(id).and_then(|place| self.corrections.get_mut(*place));
        let made = made.ok_or_else(|| EditError::UnknownCorrection(id.clone()))?;
        if made.retracted.is_some() {
            return Err(EditError::AlreadyRetracted(id.clone()));
        }
        made.retracted = Some((at, note.clone()));
        if let Some(list) = self.in_force.get_mut(&made.correction.space) {
            list.remove(&(made.correction.at, made.order));
        }
        Ok(())
    }
}

/// What stands in `old` and no longer in `new`, in words.
fn removed(old: &Document, new: &Document) -> Vec<String> {
    let spaces: BTreeSet<&SpaceId> = new.spaces.iter().map(|space| &space.id).collect();
    let doorways: BTreeSet<&DoorwayId> = new.doorways.iter().map(|doorway| &doorway.id).collect();
    let hung: BTreeSet<_> = new.installations.iter().map(|one| (&one.dpu, &one.doorway, one.from)).collect();
    let gone_spaces = old.spaces.iter().filter(|space| !spaces.contains(&space.id)).map(|space| format!("space {}", space.id));
    let gone_doorways =
        old.doorways.iter().filter(|doorway| !doorways.contains(&doorway.id)).map(|doorway| format!("doorway {}", doorway.id));
    let gone_dpus = old
        .installations
        .iter()
        .filter(|one| !hung.contains(&(&one.dpu, &one.doorway, one.from)))
        .map(|one| format!("installation of DPU {} over {} from {}", one.dpu, one.doorway, one.from));
    gone_spaces.chain(gone_doorways).chain(gone_dpus).collect()
}
