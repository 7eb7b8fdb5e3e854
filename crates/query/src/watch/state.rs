//! What is watched: which spaces, what may have changed of them, and what was told last. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::hung::HungAt;

/// All that is watched.
#[derive(Debug, Default)]
pub(super) struct State {
    spaces: BTreeMap<SpaceId, Watched>,
    /// The same spaces, by DPU.
    hung: HungAt,
    /// To be read and told.
    marked: BTreeSet<SpaceId>,
    /// When time alone changes a count.
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
    /// When the read under way, or the last one, began, and whether what it finds is told though it be the same.
    read: (Instant, bool),
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
        for space in self.hung.of(dpu) {
            marks |= self.marked.insert(space.clone());
            let Some(watched) = self.spaces.get_mut(space) else { continue };
            // It lived when it was told to be silent, whether or not it is silent now.
            watched.again |= from.is_some() || watched.told.borrow().says_silent(dpu);
            if let Some(from) = from.filter(|from| *from < past && !self.incomplete) {
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
            let now = Instant::now();
            self.spaces.insert(space.clone(), Watched { told, again: false, revised: None, read: (now, false), not_before: now });
            self.marked.insert(space.clone());
            self.hung.add(space);
        }
        Some(receivers)
    }

    /// The world it goes by, and what is watched.
    pub(super) fn known(&self) -> (Snapshot, Vec<SpaceId>) {
        (self.hung.snapshot().clone(), self.spaces.keys().cloned().collect())
    }

    /// Goes by a newer world than that of revision `was`, and by what hung there. Of its spaces counts changed from the
    /// instants `differ` says, which are of the past where they are before `past`; of those that came since, nobody looked.
    /// Not if it goes by another world than `was` by now.
    pub(super) fn learn(&mut self, was: u64, newer: HungAt, differ: &BTreeMap<SpaceId, UnixMs>, past: UnixMs) -> bool {
        if self.hung.snapshot().revision != was {
            return false;
        }
        self.hung = newer;
        for (space, watched) in &mut self.spaces {
            let looked = self.hung.spaces().contains(space);
            watched.again = true;
            if let Some(from) = if looked { differ.get(space).copied() } else { Some(UnixMs::MIN) }.filter(|from| *from < past) {
                watched.revise(from);
            }
        }
        self.spaces.keys().for_each(|space| self.hung.add(space));
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
                    // What changes from here on may be in what is read, and is told again.
                    watched.read = (instant, std::mem::take(&mut watched.again));
                    due.push(space);
                }
                Some(_) => {
                    self.marked.insert(space);
                }
            }
        }
        (Arc::clone(&self.hung.snapshot().world), due)
    }

    /// Tells a space's count, `None` where it is no longer there; time alone changes it at `turn`.
    pub(super) fn tell(&mut self, space: &SpaceId, count: Option<Count>, turn: Option<UnixMs>) {
        let Some(watched) = self.spaces.get_mut(space) else { return };
        let (revised, (began, again)) = (watched.revised.take(), watched.read);
        let gone = count.is_none();
        watched.told.send_if_modified(|told| told.take(count, began, again, revised));
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
        // All are read anew, and then told at their next turn.
        self.turns.clear();
        for space in self.spaces.keys().cloned().collect::<Vec<_>>() {
            self.stall(&space, why, not_before);
        }
    }

    fn forget(&mut self, space: &SpaceId) {
        self.spaces.remove(space);
        self.hung.remove(space);
    }

    pub(super) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}
