//! Suspected flips against a naive re-computation, over generated spaces, moves, clock changes and people who come and go.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use occupancy::crossing::{Direction, Heartbeat, Key};
use occupancy::id::SpaceId;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::topology::{Document, Reset, Space};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::prop_oneof;

use crate::model::{PLACES, first_showing};
use crate::support::{doorway, id, space};

#[cfg(test)]
mod check;
#[cfg(test)]
mod naive;

pub(crate) const HOUR_MS: i64 = 3_600_000;
/// On so many days people come and go.
const DAYS: usize = 9;

/// Over which doorway a DPU hangs, and whether its +1 enters the first side.
type Over = (usize, bool);
/// From which hour on which DPU hangs where, if anywhere.
type Told = (i64, usize, Option<Over>);
/// The parents of spaces, the sides of doorways, and what hangs at first.
type Building = (Vec<usize>, Vec<(usize, usize)>, Vec<Over>);

/// Some people's way on some days: when in the day, how many, through which of the doorways they find, how long they stay.
#[derive(Debug, Clone)]
struct Trip {
    days: Vec<bool>,
    hour: i64,
    people: i64,
    way: Vec<usize>,
    hours: i64,
}

/// What happens to what hangs, and is told.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// Two DPUs change places.
    Swap(usize, usize),
    /// One is turned round.
    Turn(usize),
    /// One is taken down for so many hours.
    Down(usize, i64),
}

/// A generated case; hours count from six in the morning of the first day.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    zone: Tz,
    far_zone: Option<Tz>,
    first: UnixMs,
    /// Of each space but the first.
    parents: Vec<usize>,
    /// Two sides each: 0 is outside, 1 the first space.
    doorways: Vec<(usize, usize)>,
    /// Space, hour from which on, and at which hour of the day, if at any.
    resets: Vec<(usize, i64, Option<u32>)>,
    /// Where each DPU hangs at first.
    hung: Vec<Over>,
    moves: Vec<(i64, Move)>,
    /// DPUs that are the other way round from an hour on, untold.
    flipped: BTreeMap<usize, i64>,
    trips: Vec<Trip>,
    wrong_one_of: i64,
    /// DPUs that fell silent.
    silent: BTreeMap<usize, i64>,
    pub(crate) asked: usize,
    pub(crate) days: usize,
    /// How many groups of spaces an answer holds.
    pub(crate) limit: usize,
    now: i64,
}

/// A crossing, as its DPU saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) dpu: usize,
    pub(crate) at: UnixMs,
    pub(crate) plus: bool,
}

pub(crate) fn name(side: usize) -> String {
    if side == 0 { "outside".to_owned() } else { format!("s{side}") }
}

fn trip() -> impl Strategy<Value = Trip> {
    let days = prop_oneof![3 => Just(vec![true; DAYS]), 1 => prop::collection::vec(any::<bool>(), DAYS)];
    let way = prop::collection::vec(0..12usize, 1..5);
    (days, 0..10i64, 4..20i64, way, 1..5i64).prop_map(|(days, hour, people, way, hours)| Trip { days, hour, people, way, hours })
}

fn moves() -> impl Strategy<Value = Vec<(i64, Move)>> {
    let one = prop_oneof![
        (0..9usize, 0..9usize).prop_map(|(a, b)| Move::Swap(a, b)),
        (0..9usize).prop_map(Move::Turn),
        (0..9usize, 1..30i64).prop_map(|(dpu, hours)| Move::Down(dpu, hours)),
    ];
    prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec((0..(DAYS as i64 * 24), one), 1..4)]
}

fn topology() -> impl Strategy<Value = Building> {
    (1..5usize).prop_flat_map(|more| {
        let parents = (0..more).map(|place| 1..place + 2).collect::<Vec<_>>();
        let sides = (0..more + 2, 0..more + 1).prop_map(|(a, b)| (a, if b >= a { b + 1 } else { b }));
        // Of some doorways two lanes; the first leads out, so that somebody comes.
        let doorways = prop::collection::vec((sides, any::<bool>(), prop::option::weighted(0.2, any::<bool>())), 1..6);
        (parents, 1..more + 2, any::<bool>(), doorways).prop_map(|(parents, hall, plus, mut doorways)| {
            doorways.insert(0, ((0, hall), plus, None));
            let lanes = doorways.iter().enumerate().flat_map(|(door, (_, one, two))| [Some((door, *one)), two.map(|two| (door, two))]);
            (parents, doorways.iter().map(|(sides, ..)| *sides).collect(), lanes.clone().flatten().collect())
        })
    })
}

pub(crate) fn scene() -> impl Strategy<Value = Scene> {
    let reset = (0..6usize, -48..100i64, prop::option::weighted(0.8, 2..6u32));
    let resets = (prop::option::weighted(0.9, 2..5u32), prop::collection::vec(reset, 0..2));
    let places = (0..PLACES.len(), prop::bool::weighted(0.2));
    let hours = 0..DAYS as i64 * 24;
    let flipped = prop::collection::btree_map(0..9usize, prop_oneof![3 => Just(-1000i64), 2 => 24..150i64], 1..5);
    let silent = prop_oneof![4 => Just(BTreeMap::new()), 1 => prop::collection::btree_map(0..9usize, hours, 1..2)];
    let people = (prop::collection::vec(trip(), 3..8), prop::sample::select(vec![40i64, 200, 1_000_000]));
    let asked = (prop_oneof![3 => Just(1usize), 1 => 1..6usize], 4..9usize, 1..4usize, 5 * 24..DAYS as i64 * 24 + 30);
    (places, topology(), resets, moves(), (flipped, silent), people, asked).prop_map(
        |(
            place,
            (parents, doorways, hung),
            (daily, mut resets),
            moves,
            (flipped, silent),
            (trips, wrong_one_of),
            (asked, days, limit, now),
        )| {
            let (zone, first) = PLACES[place.0];
            resets.retain(|(space, ..)| *space > 1 && *space <= parents.len() + 1);
            resets.extend(daily.map(|hour| (1, -1000, Some(hour))));
            let asked = asked.min(parents.len() + 1);
            let (zone, far_zone, first) = (id(zone), place.1.then(|| id("Asia/Kolkata")), id(first));
            Scene {
                zone,
                far_zone,
                first,
                parents,
                doorways,
                resets,
                hung,
                moves,
                flipped,
                trips,
                wrong_one_of,
                silent,
                asked,
                days,
                limit,
                now,
            }
        },
    )
}

impl Scene {
    /// When clocks of a zone show an hour, so many days after the first.
    pub(crate) fn clock(&self, zone: Tz, day: i64, hour: u32) -> UnixMs {
        let date = self.first.utc().date_naive() + TimeDelta::days(day);
        first_showing(zone, date.and_time(NaiveTime::from_hms_opt(hour, 0, 0).unwrap()))
    }

    fn hour(&self, hour: i64) -> UnixMs {
        self.clock(self.zone, 0, 6).plus_ms(hour * HOUR_MS)
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.hour(self.now)
    }

    pub(crate) fn spaces(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.parents.len() + 1
    }

    /// A space and those above it.
    pub(crate) fn lineage(&self, space: usize) -> Vec<usize> {
        std::iter::successors(Some(space), |space| self.parents.get(space.checked_sub(2)?).copied()).collect()
    }

    /// The second space may have a zone of its own.
    pub(crate) fn zone_of(&self, space: usize) -> Tz {
        self.far_zone.filter(|_| self.lineage(space).contains(&2)).unwrap_or(self.zone)
    }

    /// From when on, and at which hour.
    pub(crate) fn resets_of(&self, space: usize) -> Vec<(UnixMs, Option<u32>)> {
        let own = |space: usize| {
            let own = self.resets.iter().filter(move |(of, ..)| *of == space);
            own.map(|(_, from, hour)| (self.hour(*from), *hour)).collect::<Vec<_>>()
        };
        let mut found = self.lineage(space).into_iter().map(own).find(|own| !own.is_empty()).unwrap_or_default();
        found.sort_unstable();
        found
    }

    pub(crate) fn dpus(&self) -> std::ops::Range<usize> {
        0..self.hung.len()
    }

    /// A doorway's sides.
    pub(crate) fn sides(&self, one: &Installation) -> (usize, usize) {
        self.doorways[one.doorway.as_str()[1..].parse::<usize>().unwrap()]
    }

    pub(crate) fn installations(&self) -> Vec<Installation> {
        let mut told: Vec<Told> = self.dpus().map(|dpu| (-1000, dpu, Some(self.hung[dpu]))).collect();
        let mut now = self.hung.clone();
        let mut moves = self.moves.clone();
        moves.sort_by_key(|(hour, _)| *hour);
        let (mut busy, mut before) = (BTreeMap::new(), -1000);
        for (hour, one) in moves {
            let dpus = match one {
                Move::Swap(a, b) => vec![a, b],
                Move::Turn(a) | Move::Down(a, _) => vec![a],
            };
            if hour == before || dpus.iter().any(|dpu| *dpu >= now.len() || busy.get(dpu).is_some_and(|until| hour <= *until)) {
                continue;
            }
            before = hour;
            match one {
                Move::Swap(a, b) => (now[a].0, now[b].0) = (now[b].0, now[a].0),
                Move::Turn(a) => now[a].1 = !now[a].1,
                Move::Down(a, hours) => {
                    told.push((hour, a, None));
                    told.push((hour + hours, a, Some(now[a])));
                    busy.insert(a, hour + hours);
                    continue;
                }
            }
            told.extend(dpus.into_iter().collect::<BTreeSet<_>>().into_iter().map(|dpu| (hour, dpu, Some(now[dpu]))));
        }
        told.sort_by_key(|(hour, dpu, _)| (*dpu, *hour));
        let next = |place: usize, dpu: usize| told.get(place + 1).filter(|(_, next, _)| *next == dpu).map(|(hour, ..)| self.hour(*hour));
        let hung = |(place, (hour, dpu, over)): (usize, &Told)| {
            let (door, first_side) = (*over)?;
            let (a, b) = self.doorways[door];
            let (enters, doorway) = (id(&name(if first_side { a } else { b })), id(&format!("d{door}")));
            Some(Installation { dpu: id(&dpu.to_string()), doorway, enters, from: self.hour(*hour), to: next(place, *dpu) })
        };
        told.iter().enumerate().filter_map(hung).collect()
    }

    pub(crate) fn document(&self) -> Document {
        let spaces = self.spaces().map(|one| {
            let parent = self.lineage(one).get(1).map(|parent| name(*parent));
            let time_zone = if one == 1 { Some(self.zone) } else { self.far_zone.filter(|_| one == 2) };
            Space { time_zone, ..space(&name(one), parent.as_deref()) }
        });
        let reset = |(space, from, hour): &(usize, i64, Option<u32>)| {
            let at = hour.and_then(|hour| NaiveTime::from_hms_opt(hour, 0, 0));
            Reset { space: id::<SpaceId>(&name(*space)), from: self.hour(*from), at }
        };
        let doorways = self.doorways.iter().enumerate().map(|(door, (a, b))| doorway(&format!("d{door}"), &name(*a), &name(*b)));
        let resets = self.resets.iter().map(reset).collect();
        Document { spaces: spaces.collect(), resets, doorways: doorways.collect(), installations: self.installations() }
    }

    /// Until when a DPU is heard.
    pub(crate) fn heard(&self, dpu: usize) -> UnixMs {
        self.silent.get(&dpu).map_or(self.now(), |hour| self.hour(*hour).min(self.now()))
    }

    /// All crossings that were seen.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let installations = self.installations();
        let flipped: BTreeMap<usize, UnixMs> = self.flipped.iter().map(|(dpu, hour)| (*dpu, self.hour(*hour))).collect();
        let heard: Vec<UnixMs> = self.dpus().map(|dpu| self.heard(dpu)).collect();
        let (mut seen, mut passed) = (BTreeSet::new(), 0);
        for (day, trip) in (0..DAYS).flat_map(|day| self.trips.iter().filter(move |trip| trip.days[day]).map(move |trip| (day, trip))) {
            let start = self.clock(self.zone, day as i64, 6).plus_ms(trip.hour * HOUR_MS);
            for (person, (minute, door, forward)) in
                (0..trip.people).flat_map(|person| self.way(trip).into_iter().map(move |step| (person, step)))
            {
                passed += 1;
                let at = start.plus_ms(minute * 60_000 + person * 7_000 + passed % 1000);
                let over = format!("d{door}");
                let lanes: Vec<&Installation> = installations.iter().filter(|one| one.doorway.as_str() == over && one.covers(at)).collect();
                let Some(one) = lanes.get(person as usize % lanes.len().max(1)) else { continue };
                let (dpu, into) = (one.dpu.as_str().parse().unwrap(), if forward { self.doorways[door].1 } else { self.doorways[door].0 });
                let flipped = flipped.get(&dpu).is_some_and(|since| at >= *since);
                let plus = (one.enters.to_string() == name(into)) != flipped;
                if at < heard[dpu] {
                    seen.insert(Seen { dpu, at, plus: plus != (passed % self.wrong_one_of == 0) });
                }
            }
        }
        seen.into_iter().collect()
    }

    /// The doorways of a trip: minute, which, and whether from the first side to the second. People go back as they came.
    fn way(&self, trip: &Trip) -> Vec<(i64, usize, bool)> {
        let (mut here, mut way) = (0, Vec::new());
        for choice in &trip.way {
            let doors: Vec<usize> =
                (0..self.doorways.len()).filter(|door| self.doorways[*door].0 == here || self.doorways[*door].1 == here).collect();
            let Some(door) = doors.get(choice % doors.len().max(1)) else { break };
            let forward = self.doorways[*door].0 == here;
            here = if forward { self.doorways[*door].1 } else { self.doorways[*door].0 };
            way.push((way.len() as i64 * 11, *door, forward));
        }
        let back =
            way.iter().rev().enumerate().map(|(step, (_, door, forward))| (trip.hours * 60 + 60 + step as i64 * 11, *door, !forward));
        if here == 0 { way } else { way.iter().copied().chain(back).collect() }
    }

    /// What each DPU reports.
    pub(crate) fn reports(&self) -> Vec<(usize, Vec<Key>, Heartbeat)> {
        let seen = self.seen();
        let direction = |plus: bool| if plus { Direction::Plus } else { Direction::Minus };
        let keys = |dpu: usize| {
            let of = seen.iter().filter(move |one| one.dpu == dpu);
            of.map(|one| Key { at: one.at, boot: 0, seq: 0, direction: direction(one.plus) }).collect()
        };
        self.dpus().map(|dpu| (dpu, keys(dpu), Heartbeat { at: self.heard(dpu), boot: 0, last_seq: 0 })).collect()
    }
}
