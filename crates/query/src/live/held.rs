//! What a live view holds: the counters of every DPU, and totals before a few past instants. Pure.
//!
//! # Why kept totals are right
//!
//! What held counters tell was durable before anything is read. So totals that come with no newer stamp are those of the
//! counters' own state, as [`store::Stamped`] says why; if no change came meanwhile they go with the counters, and are
//! kept. They stay right until a change says that it reaches back before their instant.
//!
//! Totals before an instant are those before its day, which may be kept, and those within it, which one row tells: it goes
//! with what is kept if it has no newer stamp than the counters.
//!
//! Where something is newer, if only by a commit nobody was told of yet or one that is half done, nothing that was read is
//! kept, or told beside what is: then the store is asked for totals of one moment.
//!
//! This is as true as what the store holds: see there what an owner that was cut off may leave for a while.

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

/// Of which state counters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Which change was the last.
    changed: u64,
    /// What they were written with.
    pub(super) stamp_us: i64,
}

/// What is held towards totals before an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// All of it.
    Whole(Totals),
    /// Those before its day.
    BeforeItsDay(Totals),
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

    /// The state of a DPU's counters.
    pub(super) fn state(&self, dpu: &DpuId) -> State {
        let of = |held: &Held| State { changed: held.changed, stamp_us: held.counters.stamp_us };
        self.held.get(dpu).map_or(State { changed: 0, stamp_us: i64::MIN }, of)
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
        let before_its_day = |held: &mut Held| held.past(its_day(before)).map(Found::BeforeItsDay);
        held.past(before).map(Found::Whole).or_else(|| before_its_day(held)).unwrap_or(Found::Nothing)
    }

    /// Nothing was found before an instant of a day; whether the same day was the last time too.
    pub(super) fn missed_again(&mut self, dpu: &DpuId, day: UnixMs) -> bool {
        self.held.get_mut(dpu).is_some_and(|held| held.missed.replace(day) == Some(day))
    }

    /// Keeps past totals of a state, if no change came since.
    pub(super) fn keep(&mut self, dpu: &DpuId, of: State, past: &[(UnixMs, Totals)]) {
        let Some(held) = self.held.get_mut(dpu).filter(|held| held.changed == of.changed) else { return };
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
