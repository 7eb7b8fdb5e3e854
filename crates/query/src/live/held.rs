//! What a live view holds: the counters of every DPU, and totals before a few past instants. Pure.
//!
//! # Why kept totals are right
//!
//! A ledger is a set of crossings that only grows, so two of its states with equal totals over all time are the same set.
//! Past totals are read first, then, in a call of its own, the totals over all time. What the held counters tell was
//! durable before either; so if the last read equals them, and no change came meanwhile, the set did not grow in
//! between, and the past totals are those of the held counters. They stay right until a change says that it reaches back
//! before their instant.

use std::collections::{BTreeMap, HashMap};

use occupancy::id::DpuId;
use occupancy::ledger::{Change, Counters, Totals};
use occupancy::time::UnixMs;

/// How many past instants are kept for each DPU: baselines, such as today's reset.
const PAST_MOST: usize = 4;

/// Every DPU that was ever heard.
#[derive(Debug, Default)]
pub(crate) struct View {
    held: HashMap<DpuId, Held>,
    /// How many changes there were.
    changes: u64,
}

#[derive(Debug)]
struct Held {
    counters: Counters,
    /// Totals before instants up to the last crossing, the latest used first.
    past: Vec<(UnixMs, Totals)>,
    /// Which change was the last.
    changed: u64,
}

impl View {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// An old owner may publish late: what it changed counts, its counters do not.
    pub(crate) fn take(&mut self, Change { dpu, counters, from }: Change) {
        self.changes += 1;
        let held = self.held.entry(dpu).or_insert(Held { counters, past: Vec::new(), changed: 0 });
        held.changed = self.changes;
        held.past.retain(|(before, _)| from.is_none_or(|from| *before <= from));
        if counters.stamp_us > held.counters.stamp_us {
            held.counters = counters;
        }
    }

    /// Counters that were read from the store: what is answered later must not be older.
    pub(crate) fn learn(&mut self, dpu: &DpuId, counters: Counters) {
        if self.held.get(dpu).is_none_or(|held| held.counters.stamp_us < counters.stamp_us) {
            self.take(Change { dpu: dpu.clone(), counters, from: Some(UnixMs::MIN) });
        }
    }

    pub(crate) fn counters(&self, dpu: &DpuId) -> Option<Counters> {
        self.held.get(dpu).map(|held| held.counters)
    }

    /// Totals before an instant; `None` where they are not held.
    fn totals(&mut self, dpu: &DpuId, before: UnixMs) -> Option<Totals> {
        let Some(held) = self.held.get_mut(dpu) else { return Some(Totals::default()) };
        if !held.is_past(before) {
            return Some(held.counters.totals());
        }
        let place = held.past.iter().position(|(kept, _)| *kept == before)?;
        held.past.get_mut(..=place)?.rotate_right(1);
        held.past.first().map(|(_, totals)| *totals)
    }

    /// Keeps past totals, if they belong to the counters held.
    fn keep(&mut self, dpu: &DpuId, changed: u64, past: &[(UnixMs, Totals)], all: Totals) {
        let Some(held) = self.held.get_mut(dpu).filter(|held| held.changed == changed && held.counters.totals() == all) else { return };
        for (before, totals) in past {
            if held.is_past(*before) && held.past.iter().all(|(kept, _)| kept != before) {
                held.past.truncate(PAST_MOST - 1);
                held.past.insert(0, (*before, *totals));
            }
        }
    }
}

impl Held {
    /// Whether some crossing may be at the instant or later.
    fn is_past(&self, before: UnixMs) -> bool {
        self.counters.last.is_some_and(|last| before <= last.at)
    }
}

/// Totals asked for, and which of them are to be read. A DPU's are all held or all read, so that they are of one moment.
pub(crate) struct Lookups<'a> {
    before: &'a [(DpuId, UnixMs)],
    held: Vec<Option<Totals>>,
    /// The DPUs to read.
    unknown: BTreeMap<&'a DpuId, Unknown>,
}

/// A DPU to read.
#[derive(Debug, Clone, Copy)]
struct Unknown {
    /// Its last change.
    changed: u64,
    /// Whether its totals now are asked for too. Then the past ones are most likely those at a baseline, and will be
    /// asked for again; instants of the past at random are not worth keeping.
    of_now: bool,
    /// How many past ones there are: more than are kept belong to a history.
    past: usize,
}

impl Unknown {
    fn is_worth_keeping(&self) -> bool {
        self.of_now && self.past <= PAST_MOST
    }
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(view: &mut View, before: &'a [(DpuId, UnixMs)]) -> Self {
        let mut unknown: BTreeMap<&DpuId, Unknown> = BTreeMap::new();
        for (dpu, at) in before {
            if view.totals(dpu, *at).is_none() {
                let changed = view.held.get(dpu).map_or(0, |held| held.changed);
                unknown.insert(dpu, Unknown { changed, of_now: false, past: 0 });
            }
        }
        for (dpu, at) in before {
            if let Some(unknown) = unknown.get_mut(dpu) {
                match view.held.get(dpu) {
                    Some(held) if !held.is_past(*at) => unknown.of_now = true,
                    _ => unknown.past += 1,
                }
            }
        }
        let totals = |(dpu, at): &(DpuId, UnixMs)| if unknown.contains_key(dpu) { None } else { view.totals(dpu, *at) };
        Self { before, held: before.iter().map(totals).collect(), unknown }
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.held.iter().flatten().count()
    }

    /// What is to be read, in one call.
    pub(crate) fn to_read(&self) -> Vec<(DpuId, UnixMs)> {
        self.before.iter().zip(&self.held).filter(|(_, held)| held.is_none()).map(|(lookup, _)| lookup.clone()).collect()
    }

    /// What is to be read after it, in a call of its own: totals over all time.
    pub(crate) fn to_check(&self) -> Vec<(DpuId, UnixMs)> {
        self.unknown.iter().filter(|(_, unknown)| unknown.is_worth_keeping()).map(|(dpu, _)| (DpuId::clone(dpu), UnixMs::MAX)).collect()
    }

    /// All of them, given what was read.
    pub(crate) fn complete(self, read: Vec<Totals>, over_all_time: &[Totals], view: &mut View) -> Vec<Totals> {
        let mut read = read.into_iter();
        let mut past: BTreeMap<&DpuId, Vec<(UnixMs, Totals)>> = BTreeMap::new();
        let mut all = Vec::with_capacity(self.before.len());
        for ((dpu, at), held) in self.before.iter().zip(self.held) {
            all.push(held.unwrap_or_else(|| {
                let totals = read.next().unwrap_or_default();
                past.entry(dpu).or_default().push((*at, totals));
                totals
            }));
        }
        let kept = self.unknown.into_iter().filter(|(_, unknown)| unknown.is_worth_keeping());
        for ((dpu, Unknown { changed, .. }), all_time) in kept.zip(over_all_time) {
            view.keep(dpu, changed, &past.remove(dpu).unwrap_or_default(), *all_time);
        }
        all
    }
}
