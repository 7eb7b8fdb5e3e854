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
    /// To be read and told, and when at the earliest; not yet those that are being read.
    marked: Marked,
    /// When time alone changes a count.
    turns: BTreeSet<(UnixMs, SpaceId)>,
    incomplete: bool,
    closed: bool,
}

type Marked = BTreeSet<(Instant, SpaceId)>;

/// A space that is watched.
#[derive(Debug)]
struct Watched {
    told: watch::Sender<Told>,
    /// Whether it may have changed since the last read of it began.
    marked: bool,
    /// Whether it is being read, or will be at its turn.
    under_way: bool,
    /// Whether what was told last may come out otherwise at its instant, even if it does not now.
    again: bool,
    /// From when on its past has changed since that was told.
    revised: Option<UnixMs>,
    /// When the read under way, or the last one, began, and whether what it finds is told though it be the same.
    read: (Instant, bool),
    not_before: Instant,
}

impl Watched {
    fn new(told: watch::Sender<Told>) -> Self {
        let now = Instant::now();
        Self { told, marked: false, under_way: false, again: false, revised: None, read: (now, false), not_before: now }
    }

    /// Marks it. Whether it was neither marked nor under way.
    fn mark(&mut self, space: &SpaceId, marked: &mut Marked) -> bool {
        let news = !std::mem::replace(&mut self.marked, true) && !self.under_way;
        news && marked.insert((self.not_before, space.clone()))
    }

    /// It was read, and may be again at an instant.
    fn end(&mut self, space: &SpaceId, marked: &mut Marked, not_before: Instant) {
        (self.under_way, self.not_before) = (false, not_before);
        if self.marked {
            marked.insert((not_before, space.clone()));
        }
    }

    fn revise(&mut self, from: UnixMs) {
        self.revised = Some(self.revised.map_or(from, |revised| revised.min(from)));
    }
}

impl State {
    /// A DPU's ledger changed from an instant on, which is of the past where it is before `past`. Whether that marks a space.
    pub(super) fn touch(&mut self, dpu: &DpuId, from: Option<UnixMs>, past: UnixMs) -> bool {
        let mut marks = false;
        for space in self.hung.of(dpu) {
            let Some(watched) = self.spaces.get_mut(space) else { continue };
            marks |= watched.mark(space, &mut self.marked);
            // It lived when it was told to be silent, whether or not it is silent now.
            watched.again |= from.is_some() || watched.told.borrow().says_silent(dpu);
            if let Some(from) = from.filter(|from| *from < past && !self.incomplete) {
                watched.revise(from);
            }
        }
        marks
    }

    pub(super) fn mark_all(&mut self) {
        for (space, watched) in &mut self.spaces {
            watched.mark(space, &mut self.marked);
        }
    }

    pub(super) fn set_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Whether it was incomplete: then anything may have changed.
    pub(super) fn set_complete(&mut self) -> bool {
        let was = std::mem::replace(&mut self.incomplete, false);
        if was {
            for watched in self.spaces.values_mut() {
                watched.again = true;
                watched.revise(UnixMs::MIN);
            }
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
            let mut watched = Watched::new(told);
            watched.mark(space, &mut self.marked);
            self.spaces.insert(space.clone(), watched);
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
        let marked = self.marked.first().map(|(not_before, _)| *not_before);
        let turn = self.turns.first().map(|(at, _)| {
            let ms = u64::try_from(at.since(now)).unwrap_or(0);
            Instant::now() + Duration::from_millis(ms)
        });
        marked.into_iter().chain(turn).min()
    }

    /// What is to be read now, each until that is told or fails.
    pub(super) fn take_due(&mut self, now: UnixMs) -> Vec<SpaceId> {
        while let Some((_, space)) = self.turns.first().filter(|(at, _)| *at <= now).cloned() {
            self.turns.pop_first();
            if let Some(watched) = self.spaces.get_mut(&space) {
                watched.mark(&space, &mut self.marked);
            }
        }
        let mut due = Vec::new();
        let instant = Instant::now();
        while let Some((_, space)) = self.marked.first().filter(|(not_before, _)| *not_before <= instant).cloned() {
            self.marked.pop_first();
            match self.spaces.get_mut(&space) {
                Some(watched) if watched.told.is_closed() => self.forget(&space),
                Some(watched) => {
                    watched.under_way = true;
                    due.push(space);
                }
                None => {}
            }
        }
        due
    }

    /// The read of a space begins: in which world.
    pub(super) fn begin(&mut self, space: &SpaceId) -> Arc<World> {
        if let Some(watched) = self.spaces.get_mut(space) {
            watched.marked = false;
            // What changes from here on may be in what is read, and is told again.
            watched.read = (Instant::now(), std::mem::take(&mut watched.again));
        }
        Arc::clone(&self.hung.snapshot().world)
    }

    /// Tells the count of a space that was read, `None` where it is no longer there; time alone changes it at `turn`.
    pub(super) fn tell(&mut self, space: &SpaceId, count: Option<Count>, turn: Option<UnixMs>) {
        let Some(watched) = self.spaces.get_mut(space) else { return };
        let (revised, (began, again)) = (watched.revised.take(), watched.read);
        let gone = count.is_none();
        watched.told.send_modify(|told| told.take(count, began, again, revised));
        if gone {
            return self.forget(space);
        }
        watched.end(space, &mut self.marked, Instant::now() + TELL_EVERY);
        self.turns.extend(turn.map(|at| (at, space.clone())));
    }

    /// A space could not be read, and is tried again at an instant.
    pub(super) fn stall(&mut self, space: &SpaceId, why: &str, not_before: Instant) {
        if let Some(watched) = self.spaces.get_mut(space) {
            watched.told.send_if_modified(|told| told.stall(why));
            // What this read was to tell again, the next one tells.
            watched.again |= watched.read.1;
            watched.marked = true;
            watched.end(space, &mut self.marked, not_before);
        }
    }

    /// None can be read, and all are tried again at an instant.
    pub(super) fn stall_all(&mut self, why: &str, not_before: Instant) {
        // All are read anew, and then told at their next turn.
        self.turns.clear();
        self.marked.clear();
        for (space, watched) in &mut self.spaces {
            watched.told.send_if_modified(|told| told.stall(why));
            (watched.marked, watched.not_before) = (false, not_before);
            watched.mark(space, &mut self.marked);
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
