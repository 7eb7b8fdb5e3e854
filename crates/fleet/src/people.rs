//! People who enter, go to some place, stay, move on, and leave; each step through a doorway is a crossing.
//!
//! Where they are is known from themselves, not from the crossings: that is the truth to compare counts with.

use std::sync::Arc;

use occupancy::crossing::{Crossing, Direction, Key};
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;

use crate::campus::{Campus, Door};
use crate::hang::Hang;
use crate::pace::{Minute, Pace};
use crate::rng::Rng;

const MINUTE_MS: i64 = 60_000;

/// Somebody inside.
#[derive(Debug, Clone, Copy)]
struct Person {
    here: usize,
    /// Where to; `None` for home.
    goal: Option<usize>,
}

/// What a DPU remembers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    at: Option<UnixMs>,
    pub(crate) boot: u64,
    pub(crate) seq: u64,
}

/// The people of a campus from some instant on, when nobody is there yet. Memory grows with the people inside, not with time.
#[derive(Debug, Clone)]
pub struct People {
    campus: Arc<Campus>,
    pace: Pace,
    rng: Rng,
    from: UnixMs,
    /// When the current minute began; crossings in it, all and done; when the next one is due.
    begun: UnixMs,
    minute: Minute,
    planned: u64,
    done: u64,
    due: UnixMs,
    inside: Vec<Person>,
    seen: Vec<Seen>,
}

/// What somebody is about to do: who (`None` for a newcomer), through which doorway, to where.
type Step = (Option<usize>, usize, Option<usize>);

impl People {
    /// People who come from `from` on (or since the campus stands, if that is later).
    #[must_use]
    pub fn new(campus: Arc<Campus>, pace: Pace, from: UnixMs, seed: u64) -> Self {
        let from = from.max(campus.blueprint.since);
        let seen = vec![Seen { boot: boot(from), ..Seen::default() }; campus.dpus.len()];
        let minute = Minute { milli_crossings: 0, people: 0, open: false };
        let mut people =
            Self { campus, pace, rng: Rng::new(seed), from, begun: from, minute, planned: 0, done: 0, due: from, inside: Vec::new(), seen };
        people.begin(from);
        people
    }

    /// The crossings not yet taken with `at` up to and including this instant, in order of time. A DPU never sees two
    /// people in one ms.
    ///
    /// Paced by a clock, this is the live campus; the same crossings come whatever the steps in which they are asked for.
    pub fn until(&mut self, at: UnixMs) -> impl Iterator<Item = Crossing> + '_ {
        std::iter::from_fn(move || {
            let (dpu, key) = self.next_until(at)?;
            Some(Crossing { dpu: self.campus.dpus.get(dpu)?.clone(), key })
        })
    }

    /// How many people are in a space after the crossings taken so far; `None` where there is no such space.
    ///
    /// After exhausting [`People::until`] that is the truth at its instant.
    #[must_use]
    pub fn inside(&self, space: &SpaceId) -> Option<u64> {
        let space = *self.campus.index.get(space)?;
        let parent = |place: &usize| self.campus.places.get(*place).and_then(|place| place.parent);
        let within = |person: &&Person| std::iter::successors(Some(person.here), parent).any(|place| place == space);
        Some(self.inside.iter().filter(within).count() as u64)
    }

    /// [`People::inside`] for every space, in one go.
    #[must_use]
    pub fn census(&self) -> Vec<(SpaceId, u64)> {
        let mut counts = vec![0; self.campus.places.len()];
        let mut add = |place: usize, people: u64| {
            if let Some(count) = counts.get_mut(place) {
                *count += people;
            }
            counts.get(place).copied().unwrap_or(0)
        };
        for person in &self.inside {
            add(person.here, 1);
        }
        // Children come after their parents.
        for (at, place) in self.campus.places.iter().enumerate().rev() {
            let people = add(at, 0);
            if let Some(parent) = place.parent {
                add(parent, people);
            }
        }
        self.campus.places.iter().map(|place| place.space.id.clone()).zip(counts).collect()
    }

    /// The campus they are on.
    #[must_use]
    pub fn campus(&self) -> &Arc<Campus> {
        &self.campus
    }

    /// When they begin to come.
    pub(crate) fn from(&self) -> UnixMs {
        self.from
    }

    /// How far a DPU's numbering has come.
    pub(crate) fn seen(&self, dpu: usize) -> Seen {
        self.seen.get(dpu).copied().unwrap_or_default()
    }

    pub(crate) fn next_until(&mut self, until: UnixMs) -> Option<(usize, Key)> {
        loop {
            if self.done == self.planned {
                let next = self.begun.plus_ms(MINUTE_MS);
                if next > until || next == self.begun {
                    return None;
                }
                self.begin(next);
                continue;
            }
            let at = self.due;
            if at > until {
                return None;
            }
            self.done += 1;
            self.plan_next();
            // The chosen DPU may have seen somebody in this very ms: then somebody else moves.
            if let Some(seen) = (0..4).find_map(|_| self.step(at)) {
                return Some(seen);
            }
        }
    }

    fn begin(&mut self, at: UnixMs) {
        let (dpus, inside) = (self.campus.dpus.len() as u64, self.inside.len() as u64);
        self.begun = at;
        self.minute = self.pace.minute(self.campus.blueprint.time_zone, at, dpus, inside);
        let Minute { milli_crossings, .. } = self.minute;
        self.planned = milli_crossings / 1000 + u64::from(self.rng.below(1000) < milli_crossings % 1000);
        self.done = 0;
        self.plan_next();
    }

    /// The minute's crossings are spread over it, each somewhere in its own share.
    fn plan_next(&mut self) {
        let minute_ms = MINUTE_MS.unsigned_abs();
        let offset = (self.done * minute_ms + self.rng.below(minute_ms)) / self.planned.max(1);
        self.due = self.begun.plus_ms(offset.cast_signed());
    }

    /// Somebody goes through a doorway and is seen; `None` if nobody can at this instant.
    fn step(&mut self, at: UnixMs) -> Option<(usize, Key)> {
        let (who, door, to) = if self.somebody_comes() { self.newcomer()? } else { self.next_hop()? };
        let (hang, inward) = self.lane(door, to, at)?;
        let boot = boot(hang.from.max(self.from));
        let seen = self.seen.get_mut(hang.dpu).filter(|seen| seen.at.is_none_or(|last| last < at))?;
        let seq = if seen.boot == boot { seen.seq + 1 } else { 1 };
        *seen = Seen { at: Some(at), boot, seq };
        match (who, to) {
            (None, Some(here)) => {
                let goal = self.some_place(here);
                self.inside.push(Person { here, goal });
            }
            (Some(who), Some(to)) => self.inside.get_mut(who)?.here = to,
            (Some(who), None) => {
                self.inside.swap_remove(who);
            }
            (None, None) => {}
        }
        let direction = if hang.plus_enters == inward { Direction::Plus } else { Direction::Minus };
        Some((hang.dpu, Key { at, boot, seq, direction }))
    }

    fn somebody_comes(&mut self) -> bool {
        let inside = self.inside.len() as u64;
        let often = if inside < self.minute.people { 500 } else { 100 };
        self.minute.open && (inside == 0 || self.rng.chance(often))
    }

    fn newcomer(&mut self) -> Option<Step> {
        let door = *self.rng.pick(&self.campus.entrances)?;
        Some((None, door, Some(self.campus.doors.get(door)?.inner)))
    }

    /// Somebody's next doorway; who has arrived goes home or on to another place.
    fn next_hop(&mut self) -> Option<Step> {
        let who = self.rng.index(self.inside.len());
        let Person { here, mut goal } = *self.inside.get(who)?;
        if !self.minute.open {
            goal = None;
        } else if goal == Some(here) {
            let leaves = if self.inside.len() as u64 > self.minute.people { 750 } else { 250 };
            goal = if self.rng.chance(leaves) { None } else { self.some_place(here).filter(|place| *place != here) };
        }
        self.inside.get_mut(who)?.goal = goal;
        let door = self.campus.way(here, goal)?;
        let Door { outer, .. } = self.campus.doors.get(door)?;
        // Whoever leaves through the hub may take any way out; at closing time the main one.
        let exits = &self.campus.buildings.get(self.campus.places.get(here)?.building)?.exits;
        let door = if outer.is_none() && self.minute.open { *self.rng.pick(exits)? } else { door };
        Some((Some(who), door, self.campus.doors.get(door)?.other(Some(here))))
    }

    /// Some place in the building of `here`.
    fn some_place(&mut self, here: usize) -> Option<usize> {
        let places = &self.campus.buildings.get(self.campus.places.get(here)?.building)?.places;
        Some(places.start + self.rng.index(places.len()))
    }

    /// The DPU under which somebody goes through a doorway, and whether that is towards the inner side.
    fn lane(&mut self, door: usize, to: Option<usize>, at: UnixMs) -> Option<(Hang, bool)> {
        let door = self.campus.doors.get(door)?;
        let lane = door.lanes.start + self.rng.index(door.lanes.len());
        Some((self.campus.lanes.get(lane)?.at(at)?, to == Some(door.inner)))
    }
}

impl Campus {
    /// The next doorway from `here` towards a place of the same building, or (`None`) towards outside.
    fn way(&self, here: usize, goal: Option<usize>) -> Option<usize> {
        let mut below = goal;
        while let Some(place) = below {
            let way = self.places.get(place)?.way?;
            let above = self.doors.get(way)?.outer;
            if above == Some(here) {
                return Some(way);
            }
            below = above;
        }
        self.places.get(here)?.way
    }
}

/// A DPU counts its runs by when they began, in seconds.
fn boot(from: UnixMs) -> u64 {
    from.ms().max(0).unsigned_abs() / 1000
}
