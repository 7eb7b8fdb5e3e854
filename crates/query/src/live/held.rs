//! What a live view holds: the counters of every DPU, and totals before a few past instants. Pure.
//!
//! # Why kept totals are right
//!
//! A ledger is a set of crossings that only grows, so two of its states with equal totals over all time are the same set.
//! Past totals are read first, then, in a call of its own, the totals over all time. What the held counters tell was
//! durable before either; so if the last read equals them, and no change came meanwhile, the set did not grow in
//! between, and the past totals are those of the held counters. They stay right until a change says that it reaches back
//! before their instant.
//!
//! # Why one row may be added to them
//!
//! Totals before an instant are those before its day and those within it, which one row tells. Whatever puts a crossing
//! before that row in its day, or behind it and before the instant, writes the row that is then found, with a stamp
//! newer than any before. What the held counters tell was durable before the row was read; so if its stamp is not newer
//! than theirs, it says what it said when they were written, and goes with the past totals held. A row that is newer, if
//! only by a commit nobody was told of yet, does not: then all is read from the store.
//!
//! This is as true as what the store holds: rows that several owners, cut off, left half written may count crossings which
//! others do not yet count, here as there, until the log delivers these again.

use std::collections::HashMap;

use occupancy::id::DpuId;
use occupancy::ledger::{Change, Counters, Totals};
use occupancy::time::UnixMs;

/// How many past instants are kept for each DPU: baselines, such as today's reset, and the starts of days asked for.
const PAST_MOST: usize = 8;

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
    /// The start of the day of the last instant that was not found.
    missed: Option<UnixMs>,
}

/// What is held towards totals before an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// All of it.
    Whole(Totals),
    /// Those before its day; the row of its day is not, and may be no newer than the stamp.
    BeforeItsDay { totals: Totals, stamp_us: i64 },
    /// Nothing.
    Nothing,
}

/// The start of the day of the ms before an instant.
pub(super) fn its_day(before: UnixMs) -> UnixMs {
    before.plus_ms(-1).day().start()
}

impl View {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// An old owner may publish late: what it changed counts, its counters do not.
    pub(crate) fn take(&mut self, Change { dpu, counters, from }: Change) {
        self.changes += 1;
        let held = self.held.entry(dpu).or_insert(Held { counters, past: Vec::new(), changed: 0, missed: None });
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

    /// Which change of a DPU was the last.
    pub(super) fn changed(&self, dpu: &DpuId) -> u64 {
        self.held.get(dpu).map_or(0, |held| held.changed)
    }

    /// Whether some crossing of a DPU may be at the instant or later.
    pub(super) fn is_past(&self, dpu: &DpuId, before: UnixMs) -> bool {
        self.held.get(dpu).is_some_and(|held| held.is_past(before))
    }

    /// What is held towards a DPU's totals before an instant.
    pub(super) fn find(&mut self, dpu: &DpuId, before: UnixMs) -> Found {
        let Some(held) = self.held.get_mut(dpu) else { return Found::Whole(Totals::default()) };
        if !held.is_past(before) {
            return Found::Whole(held.counters.totals());
        }
        let stamp_us = held.counters.stamp_us;
        let in_its_day = |held: &mut Held| held.past(its_day(before)).map(|totals| Found::BeforeItsDay { totals, stamp_us });
        held.past(before).map(Found::Whole).or_else(|| in_its_day(held)).unwrap_or(Found::Nothing)
    }

    /// Nothing was found before an instant of a day; whether the same day was the last time too.
    pub(super) fn missed_again(&mut self, dpu: &DpuId, day: UnixMs) -> bool {
        self.held.get_mut(dpu).is_some_and(|held| held.missed.replace(day) == Some(day))
    }

    /// Keeps past totals, if they belong to the counters held.
    pub(super) fn keep(&mut self, dpu: &DpuId, changed: u64, past: &[(UnixMs, Totals)], all: Totals) {
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

    /// Totals before an instant that are kept.
    fn past(&mut self, before: UnixMs) -> Option<Totals> {
        let place = self.past.iter().position(|(kept, _)| *kept == before)?;
        self.past.get_mut(..=place)?.rotate_right(1);
        self.past.first().map(|(_, totals)| *totals)
    }
}
