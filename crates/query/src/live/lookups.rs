//! Totals asked for in one call, and which of them are to be read. Pure.
//!
//! Of a DPU all are of the state of the counters held, from memory or from what is read with no newer stamp; or all come
//! from one read of the store: so they are of one moment.

use std::collections::{BTreeMap, BTreeSet};

use ::store::{Part, Stamped};
use occupancy::id::DpuId;
use occupancy::ledger::Totals;
use occupancy::time::UnixMs;

use super::held::{Found, State, View, its_day};

/// How many past instants may be asked of a DPU together with now: more belong to a history.
const BASELINES_MOST: usize = 4;
/// How many instants a count in the past asks of a DPU: where it starts, and its own.
const ENDS: usize = 2;

/// What is asked for, and what of it is there.
pub(super) struct Lookups<'a> {
    before: &'a [(DpuId, UnixMs)],
    told: Vec<Told>,
    /// The DPUs of which something is to be read.
    reading: BTreeMap<&'a DpuId, Reading>,
}

/// What is told of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Totals(Totals),
    /// A part is to be read; what is held of the rest.
    Lacks(Part, Totals),
}

/// What is read of a DPU.
struct Reading {
    /// The counters held: what is read is to be of their state.
    state: State,
    /// What is read before instants of which nothing is held.
    part: Part,
    keep: Option<Keep>,
}

/// Past totals of a DPU that will be asked for again, most likely.
struct Keep {
    /// Those that are asked for.
    asked: Vec<UnixMs>,
    /// One that is not: the start of a day.
    day: Option<UnixMs>,
    read: Vec<(UnixMs, Totals)>,
}

impl<'a> Lookups<'a> {
    /// What is held; `part` says what is needed of a DPU of which nothing that is asked for is.
    pub(super) fn new(view: &mut View, before: &'a [(DpuId, UnixMs)], part: impl Fn(&[UnixMs]) -> Part) -> Self {
        let found: Vec<Found> = before.iter().map(|(dpu, at)| view.find(dpu, *at)).collect();
        let lacking = before.iter().zip(&found).filter(|(_, found)| !matches!(found, Found::Whole(_)));
        let mut asked: BTreeMap<&DpuId, Vec<(UnixMs, Found)>> = lacking.map(|((dpu, _), _)| (dpu, Vec::new())).collect();
        for ((dpu, at), found) in before.iter().zip(&found) {
            asked.entry(dpu).and_modify(|of_it| of_it.push((*at, *found)));
        }
        let reading = asked.into_iter().map(|(dpu, of_it)| (dpu, Reading::new(view, dpu, &of_it, &part)));
        let reading: BTreeMap<&DpuId, Reading> = reading.collect();
        let told = before.iter().zip(found).map(|((dpu, _), found)| match found {
            Found::Whole(totals) => Told::Totals(totals),
            Found::BeforeItsDay(totals) => Told::Lacks(Part::WithinDay, totals),
            Found::Nothing => Told::Lacks(reading.get(dpu).map_or(Part::Whole, |reading| reading.part), Totals::default()),
        });
        Self { before, told: told.collect(), reading }
    }

    /// How many are held.
    pub(super) fn held(&self) -> usize {
        self.told.iter().filter(|told| matches!(told, Told::Totals(_))).count()
    }

    /// What is to be read, and after it what is to be kept alone.
    pub(super) fn to_read(&self) -> Vec<(DpuId, UnixMs, Part)> {
        let asked = self.lacking().map(|((dpu, at), part)| (dpu.clone(), *at, part));
        let days = self.days().map(|(dpu, day)| (dpu.clone(), day, Part::Whole));
        asked.chain(days).collect()
    }

    /// Takes that. Of a DPU of which something is newer than the counters held, all is to be read anew.
    pub(super) fn put(&mut self, read: Vec<Stamped>) {
        let mut read = read.into_iter();
        let mut newer = BTreeSet::new();
        for ((dpu, at), told) in self.before.iter().zip(&mut self.told) {
            let (Told::Lacks(_, rest), Some(reading)) = (*told, self.reading.get_mut(dpu)) else { continue };
            let Some(one) = read.next().filter(|one| one.stamp_us <= reading.state.stamp_us) else {
                newer.insert(dpu);
                continue;
            };
            let totals = if one.part == Part::Whole { one.totals } else { rest.plus(one.totals) };
            *told = Told::Totals(totals);
            if let Some(keep) = reading.keep.as_mut().filter(|keep| keep.asked.contains(at)) {
                keep.read.push((*at, totals));
            }
        }
        for reading in self.reading.values_mut() {
            let Some((keep, day)) = reading.keep.as_mut().and_then(|keep| keep.day.map(|day| (keep, day))) else { continue };
            keep.read.extend(read.next().filter(|one| one.stamp_us <= reading.state.stamp_us).map(|one| (day, one.totals)));
        }
        for ((dpu, _), told) in self.before.iter().zip(&mut self.told).filter(|((dpu, _), _)| newer.contains(dpu)) {
            *told = Told::Lacks(Part::Whole, Totals::default());
            self.reading.remove(dpu);
        }
    }

    /// What is to be read anew, as of one moment.
    pub(super) fn to_read_anew(&self) -> Vec<(DpuId, UnixMs)> {
        self.lacking().map(|(lookup, _)| lookup.clone()).collect()
    }

    /// All of them, with what was read anew; keeps what is worth it.
    pub(super) fn complete(self, anew: Vec<Totals>, view: &mut View) -> Vec<Totals> {
        for (dpu, Reading { state, part: _, keep }) in self.reading {
            view.keep(dpu, state, &keep.map_or(Vec::new(), |keep| keep.read));
        }
        let mut anew = anew.into_iter();
        let mut totals = |told| if let Told::Totals(totals) = told { totals } else { anew.next().unwrap_or_default() };
        self.told.into_iter().map(&mut totals).collect()
    }

    /// What lacks something, and what.
    fn lacking(&self) -> impl Iterator<Item = (&(DpuId, UnixMs), Part)> {
        let part = |told: &Told| if let Told::Lacks(part, _) = told { Some(*part) } else { None };
        self.before.iter().zip(&self.told).filter_map(move |(lookup, told)| Some((lookup, part(told)?)))
    }

    /// What is to be kept alone.
    fn days(&self) -> impl Iterator<Item = (&DpuId, UnixMs)> {
        self.reading.iter().filter_map(|(dpu, reading)| Some((*dpu, reading.keep.as_ref()?.day?)))
    }
}

impl Reading {
    fn new(view: &mut View, dpu: &DpuId, asked: &[(UnixMs, Found)], part: impl Fn(&[UnixMs]) -> Part) -> Self {
        let instants: Vec<UnixMs> = asked.iter().map(|(at, _)| *at).collect();
        let unknown = asked.iter().filter(|(_, found)| *found == Found::Nothing).count();
        let keep = if unknown > 0 { Keep::new(view, dpu, &instants) } else { None };
        // What is kept is whole, and so is what goes with what is held.
        let part = if keep.is_none() && unknown == asked.len() { part(&instants) } else { Part::Whole };
        Self { state: view.state(dpu), part, keep }
    }
}

impl Keep {
    /// Those beside now are most likely at a baseline. Of a count in the past it is where it starts and its day, the second
    /// time that day is asked for; its own instant is any.
    fn new(view: &mut View, dpu: &DpuId, instants: &[UnixMs]) -> Option<Self> {
        let past: Vec<UnixMs> = instants.iter().copied().filter(|at| view.is_past(dpu, *at)).collect();
        if past.len() < instants.len() {
            return (past.len() <= BASELINES_MOST).then(|| Self { asked: past, day: None, read: Vec::new() });
        }
        let (first, last) = past.iter().min().copied().zip(past.iter().max().copied())?;
        let day = its_day(last);
        if past.len() > ENDS || !view.missed_again(dpu, day) {
            return None;
        }
        let asked = past.iter().copied().filter(|at| *at == day || (*at == first && first < last)).collect();
        Some(Self { asked, day: (!past.contains(&day)).then_some(day), read: Vec::new() })
    }
}
