//! Totals asked for in one call, and which of them are to be read. Pure.
//!
//! Of a DPU all come from what is held, with rows that go with it, or all from one read: so they are of one moment.

use std::collections::{BTreeMap, BTreeSet};

use ::store::Stamped;
use occupancy::id::DpuId;
use occupancy::ledger::Totals;
use occupancy::time::UnixMs;

use super::held::{Found, View, its_day};

/// How many past instants may be asked of a DPU together with now: more belong to a history.
const BASELINES_MOST: usize = 4;
/// How many instants a count in the past asks of a DPU: where it starts, and its own.
const ENDS: usize = 2;

/// What is asked for, and what of it is there.
pub(super) struct Lookups<'a> {
    before: &'a [(DpuId, UnixMs)],
    found: Vec<Found>,
    /// What is worth keeping of the DPUs to read.
    keep: BTreeMap<&'a DpuId, Keep>,
}

/// Past totals of a DPU that will be asked for again, most likely.
struct Keep {
    /// Its last change.
    changed: u64,
    /// Those that are asked for.
    asked: Vec<UnixMs>,
    /// One that is not: the start of a day.
    day: Option<UnixMs>,
    read: Vec<(UnixMs, Totals)>,
}

impl<'a> Lookups<'a> {
    pub(super) fn new(view: &mut View, before: &'a [(DpuId, UnixMs)]) -> Self {
        let mut found: Vec<Found> = before.iter().map(|(dpu, at)| view.find(dpu, *at)).collect();
        let lacking = before.iter().zip(&found).filter(|(_, found)| **found == Found::Nothing);
        let mut unknown: BTreeMap<&DpuId, Vec<UnixMs>> = lacking.map(|((dpu, _), _)| (dpu, Vec::new())).collect();
        for ((dpu, at), found) in before.iter().zip(&mut found) {
            if let Some(instants) = unknown.get_mut(dpu) {
                *found = Found::Nothing;
                instants.push(*at);
            }
        }
        let keep = unknown.into_iter().filter_map(|(dpu, instants)| Some((dpu, Keep::new(view, dpu, &instants)?)));
        Self { before, found, keep: keep.collect() }
    }

    /// How many are held.
    pub(super) fn held(&self) -> usize {
        self.found.iter().filter(|found| matches!(found, Found::Whole(_))).count()
    }

    /// Those that lack the row of their day.
    pub(super) fn rows(&self) -> Vec<(DpuId, UnixMs)> {
        self.those(|found| matches!(found, Found::BeforeItsDay { .. }))
    }

    /// What is to be read, in one call.
    pub(super) fn to_read(&self) -> Vec<(DpuId, UnixMs)> {
        self.those(|found| *found == Found::Nothing)
    }

    /// What is to be read with it, to be kept alone.
    pub(super) fn to_learn(&self) -> Vec<(DpuId, UnixMs)> {
        self.keep.iter().filter_map(|(dpu, keep)| Some((DpuId::clone(dpu), keep.day?))).collect()
    }

    /// What is to be read after it, in a call of its own: totals over all time.
    pub(super) fn to_check(&self) -> Vec<(DpuId, UnixMs)> {
        self.keep.keys().map(|dpu| (DpuId::clone(dpu), UnixMs::MAX)).collect()
    }

    fn those(&self, wanted: impl Fn(&Found) -> bool) -> Vec<(DpuId, UnixMs)> {
        self.before.iter().zip(&self.found).filter(|(_, found)| wanted(found)).map(|(lookup, _)| lookup.clone()).collect()
    }

    /// Takes what was read.
    pub(super) fn put(&mut self, read: impl IntoIterator<Item = Totals>) {
        let mut read = read.into_iter();
        for ((dpu, at), found) in self.before.iter().zip(&mut self.found).filter(|(_, found)| **found == Found::Nothing) {
            let totals = read.next().unwrap_or_default();
            *found = Found::Whole(totals);
            if let Some(keep) = self.keep.get_mut(dpu).filter(|keep| keep.asked.contains(at)) {
                keep.read.push((*at, totals));
            }
        }
        for keep in self.keep.values_mut() {
            // One was read for those that have a day, and for no others.
            if let Some(day) = keep.day.take() {
                keep.read.extend(read.next().map(|totals| (day, totals)));
            }
        }
    }

    /// Takes the rows that lacked; of a DPU that has a newer one than what is held all is to be read.
    pub(super) fn put_rows(&mut self, rows: Option<Vec<Stamped>>) {
        let mut rows = rows.unwrap_or_default().into_iter();
        let mut newer = BTreeSet::new();
        for ((dpu, _), found) in self.before.iter().zip(&mut self.found) {
            if let Found::BeforeItsDay { totals, stamp_us } = *found {
                match rows.next().filter(|row| row.stamp_us <= stamp_us) {
                    Some(row) => *found = Found::Whole(totals.plus(row.totals)),
                    None => drop(newer.insert(dpu)),
                }
            }
        }
        for ((dpu, _), found) in self.before.iter().zip(&mut self.found) {
            if newer.contains(dpu) {
                *found = Found::Nothing;
            }
        }
    }

    /// All of them; keeps what is worth it, if the totals over all time that were read last allow it.
    pub(super) fn complete(self, over_all_time: &[Totals], view: &mut View) -> Vec<Totals> {
        for ((dpu, keep), all) in self.keep.into_iter().zip(over_all_time) {
            view.keep(dpu, keep.changed, &keep.read, *all);
        }
        let whole = |found| if let Found::Whole(totals) = found { totals } else { Totals::default() };
        self.found.into_iter().map(whole).collect()
    }
}

impl Keep {
    /// Those beside now are most likely at a baseline. Of a count in the past it is where it starts and its day, the second
    /// time that day is asked for; its own instant is any.
    fn new(view: &mut View, dpu: &DpuId, instants: &[UnixMs]) -> Option<Self> {
        let changed = view.changed(dpu);
        let past: Vec<UnixMs> = instants.iter().copied().filter(|at| view.is_past(dpu, *at)).collect();
        if past.len() < instants.len() {
            return (past.len() <= BASELINES_MOST).then(|| Self { changed, asked: past, day: None, read: Vec::new() });
        }
        let (first, last) = past.iter().min().copied().zip(past.iter().max().copied())?;
        let day = its_day(last);
        if past.len() > ENDS || !view.missed_again(dpu, day) {
            return None;
        }
        let asked = past.iter().copied().filter(|at| *at == day || (*at == first && first < last)).collect();
        Some(Self { changed, asked, day: (!past.contains(&day)).then_some(day), read: Vec::new() })
    }
}
