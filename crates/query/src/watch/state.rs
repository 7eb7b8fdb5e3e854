//! What is watched: which spaces, what may have changed of them, and what was told last. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use occupancy::count::Count;
use occupancy::id::{DpuId, SpaceId};
use occupancy::time::UnixMs;
use occupancy::world::World;
use tokio::sync::watch;
use tokio::time::Instant;

use super::TELL_EVERY;
use super::told::Told;
use crate::Snapshot;
use crate::count::ever_hung;

/// All that is watched.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The world that `by_dpu` is made of.
    world: Snapshot,
    spaces: BTreeMap<SpaceId, Watched>,
    /// Which of the spaces a DPU ever hung at.
    by_dpu: HashMap<DpuId, Vec<SpaceId>>,
    /// To be read and told.
    marked: BTreeSet<SpaceId>,
    /// When a baseline begins.
    turns: BTreeSet<(UnixMs, SpaceId)>,
    incomplete: bool,
    closed: bool,
}

/// A space that is watched.
#[derive(Debug)]
struct Watched {
    told: watch::Sender<Told>,
    /// Whether what was told last may come out otherwise at its instant, even if it does not now.
    again: bool,
    /// From when on its past has changed since that was told.
    revised: Option<UnixMs>,
    not_before: Instant,
}

impl Watched {
    fn revise(&mut self, from: UnixMs) {
        self.revised = Some(self.revised.map_or(from, |revised| revised.min(from)));
    }
}

impl State {
    /// A DPU's ledger changed from an instant on, which is of the past where it is before `past`. Whether that marks a space.
    pub(super) fn touch(&mut self, dpu: &DpuId, from: Option<UnixMs>, past: UnixMs) -> bool {
        let mut marks = false;
        for space in self.by_dpu.get(dpu).into_iter().flatten() {
            marks |= self.marked.insert(space.clone());
            let (Some(from), Some(watched)) = (from, self.spaces.get_mut(space)) else { continue };
            watched.again = true;
            if from < past && !self.incomplete {
                watched.revise(from);
            }
        }
        marks
    }

    pub(super) fn mark_all(&mut self) {
        self.marked.extend(self.spaces.keys().cloned());
    }

    pub(super) fn set_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Whether it was incomplete: then anything may have changed.
    pub(super) fn set_complete(&mut self) -> bool {
        let was = std::mem::replace(&mut self.incomplete, false);
        if was {
            self.spaces.values_mut().for_each(|watched| watched.revise(UnixMs::MIN));
            self.mark_all();
        }
        was
    }

    /// Watches spaces that there are; `None` once it is closed.
    pub(super) fn watch(&mut self, spaces: &[SpaceId]) -> Option<Vec<watch::Receiver<Told>>> {
        if self.closed {
            return None;
        }
        let mut receivers = Vec::with_capacity(spaces.len());
        for space in spaces {
            if let Some(watched) = self.spaces.get(space) {
                receivers.push(watched.told.subscribe());
                continue;
            }
            let (told, receiver) = watch::channel(Told::default());
            receivers.push(receiver);
            self.spaces.insert(space.clone(), Watched { told, again: false, revised: None, not_before: Instant::now() });
            self.marked.insert(space.clone());
            self.index(space);
        }
        Some(receivers)
    }

    fn index(&mut self, space: &SpaceId) {
        let dpus: BTreeSet<&DpuId> = ever_hung(&self.world.world, std::slice::from_ref(space)).into_iter().map(|one| &one.dpu).collect();
        for dpu in dpus {
            self.by_dpu.entry(dpu.clone()).or_default().push(space.clone());
        }
    }

    /// The world it goes by, and what is watched.
    pub(super) fn known(&self) -> (Snapshot, Vec<SpaceId>) {
        (self.world.clone(), self.spaces.keys().cloned().collect())
    }

    /// Goes by a newer world than that of revision `was`. Of `spaces` counts changed from the instants `differ` says, which
    /// are of the past where they are before `past`; of those that came since, nobody looked. Not if it goes by another
    /// world than `was` by now.
    pub(super) fn learn(
        &mut self,
        was: u64,
        newer: &Snapshot,
        spaces: &[SpaceId],
        differ: &BTreeMap<SpaceId, UnixMs>,
        past: UnixMs,
    ) -> bool {
        if self.world.revision != was {
            return false;
        }
        self.world = newer.clone();
        for (space, watched) in &mut self.spaces {
            let looked = spaces.binary_search(space).is_ok();
            watched.again = true;
            if let Some(from) = if looked { differ.get(space).copied() } else { Some(UnixMs::MIN) }.filter(|from| *from < past) {
                watched.revise(from);
            }
        }
        self.by_dpu.clear();
        for space in self.spaces.keys().cloned().collect::<Vec<_>>() {
            self.index(&space);
        }
        self.mark_all();
        true
    }

    /// When something is to be read next.
    pub(super) fn due(&self, now: UnixMs) -> Option<Instant> {
        let marked = self.marked.iter().filter_map(|space| Some(self.spaces.get(space)?.not_before));
        let turn = self.turns.first().map(|(at, _)| {
            let ms = u64::try_from(at.since(now)).unwrap_or(0);
            Instant::now() + Duration::from_millis(ms)
        });
        marked.chain(turn).min()
    }

    /// What is to be read now, and in which world.
    pub(super) fn take_due(&mut self, now: UnixMs) -> (Arc<World>, Vec<SpaceId>) {
        while let Some((_, space)) = self.turns.first().filter(|(at, _)| *at <= now).cloned() {
            self.turns.pop_first();
            self.marked.insert(space);
        }
        let mut due = Vec::new();
        let instant = Instant::now();
        for space in std::mem::take(&mut self.marked) {
            match self.spaces.get_mut(&space) {
                None => {}
                Some(watched) if watched.told.is_closed() => self.forget(&space),
                Some(watched) if watched.not_before <= instant => {
                    watched.not_before = instant + TELL_EVERY;
                    due.push(space);
                }
                Some(_) => {
                    self.marked.insert(space);
                }
            }
        }
        (Arc::clone(&self.world.world), due)
    }

    /// Tells a space's count, `None` where it is no longer there; a baseline begins at `turn`.
    pub(super) fn tell(&mut self, space: &SpaceId, count: Option<Count>, turn: Option<UnixMs>) {
        let Some(watched) = self.spaces.get_mut(space) else { return };
        let (revised, again) = (watched.revised.take(), std::mem::take(&mut watched.again));
        let gone = count.is_none();
        watched.told.send_if_modified(|told| told.take(count, again, revised));
        self.turns.extend(turn.map(|at| (at, space.clone())));
        if gone {
            self.forget(space);
        }
    }

    /// A space cannot be read, and is tried again at an instant.
    pub(super) fn stall(&mut self, space: &SpaceId, why: &str, not_before: Instant) {
        if let Some(watched) = self.spaces.get_mut(space) {
            watched.not_before = not_before;
            watched.told.send_if_modified(|told| told.stall(why));
            self.marked.insert(space.clone());
        }
    }

    pub(super) fn stall_all(&mut self, why: &str, not_before: Instant) {
        for space in self.spaces.keys().cloned().collect::<Vec<_>>() {
            self.stall(&space, why, not_before);
        }
    }

    fn forget(&mut self, space: &SpaceId) {
        self.spaces.remove(space);
        for one in ever_hung(&self.world.world, std::slice::from_ref(space)) {
            if let Some(spaces) = self.by_dpu.get_mut(&one.dpu) {
                spaces.retain(|other| other != space);
                if spaces.is_empty() {
                    self.by_dpu.remove(&one.dpu);
                }
            }
        }
    }

    pub(super) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}
