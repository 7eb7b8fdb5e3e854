//! The naive re-computation: each crossing of each day of each space counted anew, for every flip that is tried.

use std::collections::{BTreeMap, BTreeSet};

use occupancy::flip::{CROSSINGS_LEAST, GAIN_LEAST, LOSS_LEAST, SPEAKS_FROM};
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use query::{Numbers, Unjudged};

use super::{HOUR_MS, Scene};

/// DPUs that are taken to hang the other way round than they are said to.
pub(crate) type Flips = BTreeSet<usize>;

/// A whole day of the rest of a space.
pub(crate) struct Day {
    pub(crate) space: usize,
    /// 0 is the last.
    pub(crate) ago: usize,
    pub(crate) from: UnixMs,
    pub(crate) to: UnixMs,
    pub(crate) begins_empty: bool,
    /// Who hung around it, and hangs there still.
    pub(crate) present: BTreeSet<usize>,
    /// Crossings: when, which DPU if it hangs there still, how many more that makes.
    steps: Vec<(UnixMs, Option<usize>, i64)>,
}

impl Day {
    /// How many more there are than as it began, and how many crossed, at each full hour and at its end.
    fn hours(&self, flips: &Flips) -> Vec<(i64, u64)> {
        let full = (1..).map(|hour| self.from.plus_ms(hour * HOUR_MS)).take_while(|at| *at < self.to);
        let until = |at: UnixMs| {
            let before = self.steps.iter().filter(|(when, ..)| *when < at);
            before.fold((0, 0), |(more, crossed), (_, dpu, sign)| {
                (if dpu.is_some_and(|dpu| flips.contains(&dpu)) { more - sign } else { more + sign }, crossed + 1)
            })
        };
        full.chain([self.to]).map(until).collect()
    }

    pub(crate) fn numbers(&self, flips: &Flips) -> Numbers {
        let hours = self.hours(flips);
        Numbers { net: hours[hours.len() - 1].0, lowest: hours.iter().map(|(more, _)| *more).min().unwrap().min(0) }
    }

    /// `ln(1 + surprise)`: the net, and the lowest from either end, each against the errors to expect.
    fn misfit(&self, flips: &Flips) -> f64 {
        let hours = self.hours(flips);
        let (net, all) = hours[hours.len() - 1];
        let surprise = |people: i64, crossings: u64| (people * people) as f64 / (1.0 + crossings as f64 / 20.0);
        let most = |surprises: Vec<f64>| if self.begins_empty { surprises.into_iter().fold(0.0, f64::max) } else { 0.0 };
        let since = most(hours.iter().map(|(more, crossed)| surprise((*more).min(0), *crossed)).collect());
        let until = most(hours.iter().map(|(more, crossed)| surprise((more - net).min(0), all - crossed)).collect());
        (1.0 + surprise(net, all) + since + until).ln()
    }
}

/// What is looked at.
pub(crate) struct Naive {
    pub(crate) days: Vec<Day>,
    /// What hangs over a doorway of the spaces looked at, by DPU.
    pub(crate) present: BTreeMap<usize, Installation>,
}

fn number(one: &Installation) -> usize {
    one.dpu.as_str().parse().unwrap()
}

impl Naive {
    pub(crate) fn new(scene: &Scene) -> Self {
        let (seen, installations, now) = (scene.seen(), scene.installations(), scene.now());
        let mut spaces: Vec<usize> = scene.spaces().filter(|space| scene.lineage(*space).contains(&scene.asked)).collect();
        spaces.sort_unstable();
        let leads_to = |one: &Installation, space: usize| scene.sides(one).0 == space || scene.sides(one).1 == space;
        let present = installations.iter().filter(|one| one.covers(now) && spaces.iter().any(|space| leads_to(one, *space)));
        let present: BTreeMap<usize, Installation> = present.map(|one| (number(one), one.clone())).collect();
        let mut days = Vec::new();
        for space in spaces.into_iter().filter(|space| scene.doorways.iter().any(|(a, b)| a == space || b == space)) {
            let around: Vec<&Installation> = installations.iter().filter(|one| leads_to(one, space)).collect();
            let (edges, begins_empty) = edges(scene, space);
            for (ago, edges) in edges.windows(2).take(scene.days).enumerate() {
                let (from, to) = (edges[1], edges[0]);
                if !is_whole(scene, space, &around, from, to) {
                    continue;
                }
                let part: Vec<&Installation> = around.iter().filter(|one| one.from < to && one.end() > from).copied().collect();
                let stays = |one: &Installation| present.get(&number(one)) == Some(one);
                let steps = seen.iter().filter(|one| (from..to).contains(&one.at)).filter_map(|one| {
                    let over = part.iter().find(|over| number(over) == one.dpu && over.covers(one.at))?;
                    let inward = (over.enters.to_string() == super::name(space)) == one.plus;
                    Some((one.at, stays(over).then_some(one.dpu), if inward { 1 } else { -1 }))
                });
                let steps = steps.collect();
                let present = part.iter().filter(|one| stays(one)).map(|one| number(one)).collect();
                days.push(Day { space, ago, from, to, begins_empty, present, steps });
            }
        }
        days.sort_by_key(|day| (day.space, day.from));
        Self { days, present }
    }

    fn gain(&self, flips: &Flips, tried: &[usize]) -> f64 {
        let with: Flips = flips ^ &tried.iter().copied().collect();
        self.days.iter().map(|day| day.misfit(flips) - day.misfit(&with)).sum()
    }

    /// The days it takes part in.
    pub(crate) fn days_of(&self, dpu: usize) -> impl Iterator<Item = &Day> {
        self.days.iter().filter(move |day| day.present.contains(&dpu))
    }

    /// Its crossings, those seen from both sides once: where the days of both are not the same, of each day those of the busier side.
    pub(crate) fn crossings(&self, dpu: usize) -> u64 {
        let mut days: BTreeMap<usize, u64> = BTreeMap::new();
        for day in self.days_of(dpu) {
            let crossings = day.steps.iter().filter(|(_, who, _)| *who == Some(dpu)).count() as u64;
            days.entry(day.ago).and_modify(|most| *most = crossings.max(*most)).or_insert(crossings);
        }
        days.values().sum()
    }

    fn is_ever_empty(&self, dpu: usize) -> bool {
        self.days_of(dpu).any(|day| day.begins_empty)
    }

    /// Those beside it over its doorway, itself included, if any are beside it.
    fn together(&self) -> BTreeSet<Vec<usize>> {
        let over =
            |one: &Installation| self.present.iter().filter(|(_, other)| other.doorway == one.doorway).map(|(dpu, _)| *dpu).collect();
        self.present.values().map(over).filter(|dpus: &Vec<usize>| dpus.len() > 1).collect()
    }

    /// Which are suspected; `None` where two tries gain the same, so that either may come first.
    pub(crate) fn suspects(&self) -> Option<Flips> {
        let tells = |dpu: &usize| self.is_ever_empty(*dpu) && self.crossings(*dpu) >= CROSSINGS_LEAST;
        let tries = self.present.keys().map(|dpu| vec![*dpu]).chain(self.together());
        let mut tries: Vec<Vec<usize>> = tries.filter(|dpus| dpus.iter().all(tells)).collect();
        let mut flips = Flips::new();
        loop {
            let mut gains: Vec<(f64, &Vec<usize>)> = tries.iter().map(|dpus| (self.gain(&flips, dpus), dpus)).collect();
            gains.sort_by(|a, b| b.0.total_cmp(&a.0));
            let Some((gain, best)) = gains.first().map(|(gain, best)| (*gain, (*best).clone())).filter(|(gain, _)| *gain >= GAIN_LEAST)
            else {
                break;
            };
            if gains.get(1).is_some_and(|(next, _)| gain - next < 1e-9) {
                return None;
            }
            flips.extend(&best);
            tries.retain(|dpus| dpus.iter().all(|dpu| !best.contains(dpu)));
        }
        while let Some(weak) = flips.iter().copied().find(|dpu| !self.speaks(&flips, *dpu)) {
            flips.remove(&weak);
        }
        Some(flips)
    }

    /// As it is said to hang, and the other way round, the others as in `flips`.
    pub(crate) fn both(flips: &Flips, dpu: usize) -> [Flips; 2] {
        [flips - &[dpu].into(), flips | &[dpu].into()]
    }

    pub(crate) fn misfits(&self, flips: &Flips, dpu: usize) -> [f64; 2] {
        Self::both(flips, dpu).map(|flips| self.days_of(dpu).map(|day| day.misfit(&flips)).sum())
    }

    /// By how much each day speaks for its flip, the last first.
    fn by_day(&self, flips: &Flips, dpu: usize) -> BTreeMap<usize, f64> {
        let [said, other] = Self::both(flips, dpu);
        let mut gains = BTreeMap::new();
        self.days_of(dpu).for_each(|day| *gains.entry(day.ago).or_insert(0.0) += day.misfit(&said) - day.misfit(&other));
        gains
    }

    /// The days from the first on from which on none speaks against its flip, and how many of them speak for it.
    pub(crate) fn since(&self, flips: &Flips, dpu: usize) -> (Option<usize>, usize) {
        let gains = self.by_day(flips, dpu);
        let against = gains.iter().find(|(_, gain)| **gain <= -SPEAKS_FROM).map(|(ago, _)| *ago);
        let later = || gains.iter().filter(move |(ago, _)| against.is_none_or(|against| **ago < against));
        let first = against.and_then(|_| later().map(|(ago, _)| *ago).max());
        (first, later().filter(|(_, gain)| **gain >= SPEAKS_FROM).count())
    }

    fn speaks(&self, flips: &Flips, dpu: usize) -> bool {
        let [said, other] = self.misfits(flips, dpu);
        said - other >= GAIN_LEAST && self.since(flips, dpu).1 >= 3
    }

    /// Why it cannot be said which way round it hangs; `None` where it hangs as it is said to beyond doubt.
    pub(crate) fn why_not(&self, flips: &Flips, dpu: usize) -> Option<Unjudged> {
        let fits = |dpus: &[usize]| self.gain(flips, dpus) > -LOSS_LEAST;
        if self.days_of(dpu).next().is_none() {
            Some(Unjudged::NoWholeDay)
        } else if !self.is_ever_empty(dpu) {
            Some(Unjudged::NeverEmpty)
        } else if self.crossings(dpu) < CROSSINGS_LEAST {
            Some(Unjudged::FewCrossings)
        } else {
            let beside = self.together().into_iter().find(|dpus| dpus.contains(&dpu));
            (fits(&[dpu]) || beside.is_some_and(|dpus| fits(&dpus))).then_some(Unjudged::FitsBoth)
        }
    }
}

/// Where the days of a space end and begin, the last first: at its daily resets, else at midnight.
fn edges(scene: &Scene, space: usize) -> (Vec<UnixMs>, bool) {
    let (zone, now) = (scene.zone_of(space), scene.now());
    let daily = |hour: u32| (-8..16).map(move |day| scene.clock(zone, day, hour));
    let entries = scene.resets_of(space);
    let mut resets = BTreeSet::new();
    for (place, (from, hour)) in entries.iter().enumerate() {
        let until = entries.get(place + 1).map_or(UnixMs::MAX, |(next, _)| *next);
        resets.extend(hour.iter().flat_map(|hour| daily(*hour)).filter(|at| (*from..until).contains(at)));
    }
    let before = |instants: BTreeSet<UnixMs>| instants.into_iter().rev().filter(|at| *at <= now).collect::<Vec<_>>();
    let resets = before(resets);
    if resets.first().is_none_or(|last| now.since(*last) > 26 * HOUR_MS) {
        return (before(daily(0).collect()), false);
    }
    let gap = resets.windows(2).position(|pair| pair[0].since(pair[1]) > 26 * HOUR_MS);
    (resets[..gap.map_or(resets.len(), |place| place + 1)].to_vec(), true)
}

/// Whether over every doorway something hung all day, and all that hung was heard to its end.
fn is_whole(scene: &Scene, space: usize, around: &[&Installation], from: UnixMs, to: UnixMs) -> bool {
    let mut doors = (0..scene.doorways.len()).filter(|door| scene.doorways[*door].0 == space || scene.doorways[*door].1 == space);
    let turns = || around.iter().filter_map(|one| one.to).chain([from]).filter(|at| (from..to).contains(at));
    let covered = |door: usize| turns().all(|at| around.iter().any(|one| one.doorway.as_str() == format!("d{door}") && one.covers(at)));
    let mut part = around.iter().filter(|one| one.from < to && one.end() > from);
    doors.all(covered) && part.all(|one| scene.heard(number(one)) >= one.end().min(to))
}
