//! One DPU's ledger as of one moment: its days, their segments, and the hot rows beside its counters.

use std::cell::{Ref, RefCell};
use std::cmp::Reverse;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;
use std::sync::Arc;

use fjall::{Guard, Readable, Slice, Snapshot};
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Totals};
use occupancy::time::{DAY_MS, Day, UnixMs};

use super::kept_day::KeptDay;
use super::sealed::{Active, ActiveDay, Kept};
use super::{Tables, segment_number, store_error};
use crate::codec::corrupt;
use crate::day::DayEntry;
use crate::key::{StoreKey, decode_day, end_of};
use crate::value::Stored;
use crate::view::{self, View};
use crate::{Part, Stamped, StoreError, Summary, segment, value};

/// One DPU's ledger in a snapshot.
pub(super) struct FjallLedger<'a> {
    snapshot: &'a Snapshot,
    tables: &'a Tables,
    dpu: &'a DpuId,
    record: Option<Slice>,
    kept: Option<Kept<'a>>,
    /// The day looked at last: look-ups of one DPU often fall into one.
    latest: RefCell<Active>,
}

impl<'a> FjallLedger<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, tables: &'a Tables, dpu: &'a DpuId) -> Result<Self, StoreError> {
        let record = read_record(snapshot, tables, dpu)?;
        Ok(Self { snapshot, tables, dpu, record, kept: None, latest: RefCell::default() })
    }

    /// The same, with what is kept of the DPU for this snapshot.
    pub(super) fn with(snapshot: &'a Snapshot, tables: &'a Tables, mut kept: Kept<'a>) -> Result<Self, StoreError> {
        let dpu = kept.dpu;
        let record = kept.record(|| read_record(snapshot, tables, dpu))?;
        let latest = RefCell::new(kept.latest.take());
        Ok(Self { snapshot, tables, dpu, record, kept: Some(kept), latest })
    }

    pub(super) fn counters(&self) -> Result<Option<Counters>, StoreError> {
        Ok(self.stored()?.counters)
    }

    /// The counters, and the totals over the crossings before each instant.
    pub(super) fn summary(&self, before: &[UnixMs]) -> Result<Summary, StoreError> {
        let stored = self.stored()?;
        let totals = before.iter().map(|at| self.totals(&stored, *at)).collect::<Result<_, _>>()?;
        Ok(Summary { counters: stored.counters, totals })
    }

    /// The totals before an instant, all of them. A commit is seen whole, with its counters: nothing is newer than these,
    /// but for what a commit that was cut short left.
    pub(super) fn stamped(&self, before: UnixMs) -> Result<Stamped, StoreError> {
        let stored = self.stored()?;
        let counters_us = stored.counters.map_or(i64::MIN, |counters| counters.stamp_us);
        let stamp_us = if stored.loose { i64::MAX } else { counters_us };
        Ok(Stamped { totals: self.totals(&stored, before)?, part: Part::Whole, stamp_us })
    }

    fn totals(&self, stored: &Stored<'_>, before: UnixMs) -> Result<Totals, StoreError> {
        if let Some(counters) = stored.counters.as_ref().filter(|_| !stored.loose) {
            if counters.last.is_none_or(|last| last.at < before) {
                return Ok(counters.totals());
            }
            if let Some(hot) = segment::totals_before(stored.hot, before)? {
                return Ok(counters.opening.plus(hot));
            }
        }
        if stored.loose { view::totals(self, before) } else { self.sealed_totals(before) }
    }

    /// The totals before an instant that no hot row lies before: days and segments alone say them.
    fn sealed_totals(&self, before: UnixMs) -> Result<Totals, StoreError> {
        let until = before.plus_ms(-1).day();
        let Some(active) = self.active(until)? else { return Ok(Totals::default()) };
        let (day, DayEntry { opening, .. }) = (active.0, &active.1.entry);
        let opening = opening.unwrap_or_default();
        let before = before.min(day.start().plus_ms(DAY_MS));
        let Some(number) = active.1.entry.begun_before(before).checked_sub(1) else {
            return Ok(opening);
        };
        let read = || self.segment(day, number);
        let within = match &self.kept {
            Some(kept) => kept.totals_before(before, (until, &active), number, read)?,
            None => segment::totals_before(&read()?, before)?,
        };
        Ok(within.map_or(opening, |within| opening.plus(within)))
    }

    /// The number of the segment that could hold a key, and the rows of that day from there on, without the hot ones.
    pub(super) fn segments_from(&self, key: Key) -> Result<(usize, Vec<Row>), StoreError> {
        let day = key.at.day();
        let entry = &self.day(day)?.entry;
        let first = entry.begun_before(key.at).saturating_sub(1);
        let mut rows = Vec::new();
        for number in first..entry.starts.len() {
            for row in segment::decode(&self.segment(day, number)?) {
                rows.push(row?);
            }
        }
        Ok((first, rows))
    }

    /// What is kept of a day; nothing where there is nothing.
    pub(super) fn day(&self, day: Day) -> Result<Arc<KeptDay>, StoreError> {
        if let Some((_, kept)) = self.latest.borrow().as_ref().filter(|(latest, _)| *latest == day) {
            return Ok(Arc::clone(kept));
        }
        let bytes = self.snapshot.get(&self.tables.days, StoreKey::Day(self.dpu, Reverse(day)).encode()).map_err(store_error)?;
        let found = Arc::new(KeptDay::new(DayEntry::stored(day, bytes.as_deref())?));
        self.latest.replace(Some((day, Arc::clone(&found))));
        Ok(found)
    }

    fn stored(&self) -> Result<Stored<'_>, StoreError> {
        self.record.as_ref().map_or_else(|| Ok(Stored::default()), |bytes| value::read_record(bytes))
    }

    fn segment(&self, day: Day, number: usize) -> Result<Slice, StoreError> {
        let key = StoreKey::Segment(self.dpu, day, segment_number(number)?).encode();
        let found = self.snapshot.get(&self.tables.crossings, key).map_err(store_error)?;
        found.ok_or_else(|| corrupt(&format!("segment {number} of day {} of DPU {} is missing", day.0, self.dpu)))
    }

    /// The latest day with an opening at or before a day, as it stands in `latest`: to be let go of before another is
    /// looked for.
    fn active(&self, until: Day) -> Result<Option<Ref<'_, ActiveDay>>, StoreError> {
        let latest = || Ref::filter_map(self.latest.borrow(), Option::as_ref).ok();
        let itself = latest().filter(|latest| latest.0 == until && latest.1.entry.opening.is_some());
        if itself.is_some() {
            return Ok(itself);
        }
        let read = || self.read_active(until);
        let Some(active) = self.kept.as_ref().map_or_else(read, |kept| kept.active(until, read))? else { return Ok(None) };
        self.latest.replace(Some(active));
        Ok(latest())
    }

    fn read_active(&self, until: Day) -> Result<Active, StoreError> {
        // Most often the day itself was active: one look at it costs less than a search through every run.
        let day = self.day(until)?;
        if day.entry.opening.is_some() {
            return Ok(Some((until, day)));
        }
        let key = StoreKey::Day(self.dpu, Reverse(until)).encode();
        let mut earlier = self.snapshot.range(&self.tables.days, (Excluded(key), Excluded(end_of(self.dpu))));
        earlier.find_map(|guard| self.active_in(guard).transpose()).transpose()
    }

    /// A stored day, if it has an opening.
    fn active_in(&self, guard: Guard) -> Result<Active, StoreError> {
        let (key, bytes) = guard.into_inner().map_err(store_error)?;
        let day = decode_day(self.dpu, &key)?;
        let entry = DayEntry::decode(day, &bytes)?;
        Ok(entry.opening.is_some().then(|| (day, Arc::new(KeptDay::new(entry)))))
    }
}

fn read_record(snapshot: &Snapshot, tables: &Tables, dpu: &DpuId) -> Result<Option<Slice>, StoreError> {
    snapshot.get(&tables.counters, StoreKey::Counters(dpu).encode()).map_err(store_error)
}

impl View for FjallLedger<'_> {
    fn opening(&self, until: Day) -> Result<Option<(Day, Totals)>, StoreError> {
        Ok(self.active(until)?.and_then(|active| Some((active.0, active.1.entry.opening?))))
    }

    fn openings(&self, from: Day) -> Result<Vec<(Day, Totals)>, StoreError> {
        let bytes = |day| StoreKey::Day(self.dpu, Reverse(day)).encode();
        let newest_first = self.snapshot.range(&self.tables.days, bytes(Day(i32::MAX))..=bytes(from));
        let opening = |guard| Ok(self.active_in(guard)?.and_then(|(day, kept)| Some((day, kept.entry.opening?))));
        newest_first.rev().filter_map(|guard| opening(guard).transpose()).collect()
    }

    fn rows(&self, from: Key, until: Bound<Key>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let span = (Included(from), until);
        let day = from.at.day();
        let first = segment_number(self.day(day)?.entry.begun_before(from.at).saturating_sub(1))?;
        let last_day = match until {
            Included(key) | Excluded(key) => key.at.day(),
            Unbounded => Day(i32::MAX),
        };
        let bytes = |day, number| StoreKey::Segment(self.dpu, day, number).encode();
        let mut rows = Vec::new();
        'segments: for guard in self.snapshot.range(&self.tables.crossings, bytes(day, first)..=bytes(last_day, u32::MAX)) {
            for row in segment::decode(&guard.value().map_err(store_error)?) {
                let row = row?;
                if rows.len() == limit || !(Unbounded, until).contains(&row.key) {
                    break 'segments;
                }
                if span.contains(&row.key) {
                    rows.push(row);
                }
            }
        }
        for row in self.stored()?.hot_rows() {
            let row = row?;
            if rows.len() < limit && span.contains(&row.key) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn last_row(&self, day: Day, before: Option<Key>) -> Result<Option<Row>, StoreError> {
        let within = |key: &Key| key.at.day() == day && before.is_none_or(|before| *key < before);
        if let Some(hot) = segment::last_within(self.stored()?.hot_rows(), within)? {
            return Ok(Some(hot));
        }
        let entry = &self.day(day)?.entry;
        let begun = before.map_or(entry.starts.len(), |before| entry.begun_before(before.at.plus_ms(1)));
        for number in (0..begun).rev() {
            let last = segment::last_within(segment::decode(&self.segment(day, number)?), within)?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }
}
