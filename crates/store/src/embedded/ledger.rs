//! One DPU's ledger as of one moment: its segments, and the hot rows beside its counters.

use std::cmp::Reverse;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;

use fjall::{Guard, Readable, Slice, Snapshot};
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Row, Totals};
use occupancy::time::{Day, UnixMs};

use super::{Tables, store_error};
use crate::key::{StoreKey, decode_day, decode_segment, end_of};
use crate::view::{self, Span, View};
use crate::{StoreError, segment, value};

/// One DPU's ledger in a snapshot.
pub(super) struct FjallLedger<'a> {
    snapshot: &'a Snapshot,
    tables: &'a Tables,
    dpu: &'a DpuId,
    record: Option<Slice>,
}

impl<'a> FjallLedger<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, tables: &'a Tables, dpu: &'a DpuId) -> Result<Self, StoreError> {
        let record = snapshot.get(&tables.counters, StoreKey::Counters(dpu).encode()).map_err(store_error)?;
        Ok(Self { snapshot, tables, dpu, record })
    }

    /// The totals over the crossings with `at` before `before`.
    pub(super) fn totals(&self, before: UnixMs) -> Result<Totals, StoreError> {
        let Some(bytes) = &self.record else {
            return Ok(Totals::default());
        };
        let stored = value::read_record(bytes)?;
        if let Some(counters) = stored.counters.filter(|_| !stored.loose) {
            if counters.last.is_none_or(|last| last.at < before) {
                return Ok(counters.totals());
            }
            let hot = segment::last_within(stored.hot(), |key| key.at < before)?;
            if let Some(hot) = hot {
                return Ok(counters.opening.plus(hot.totals));
            }
        }
        view::totals(self, before)
    }

    /// The rows of each segment of a key's day from the one that could hold the key on.
    pub(super) fn segments_from(&self, key: Key) -> Result<Vec<Vec<Row>>, StoreError> {
        let (first_of_day, last_of_day) = view::bounds(key.at.day());
        let first = self.last_segment(Included(key))?.map_or(first_of_day, |(first, _)| first.max(first_of_day));
        let segments = self.segments(first, Included(last_of_day)).map(|guard| self.segment(guard));
        segments.map(|one| one.and_then(|(first, bytes)| segment::decode(first, &bytes).collect())).collect()
    }

    /// The segment whose first key is the latest within a bound.
    fn last_segment(&self, until: Bound<Key>) -> Result<Option<(Key, Slice)>, StoreError> {
        let newest = until.map(|key| StoreKey::Segment(self.dpu, Reverse(key)).encode());
        let mut found = self.snapshot.range(&self.tables.crossings, (newest, Excluded(end_of(self.dpu))));
        found.next().map(|guard| self.segment(guard)).transpose()
    }

    /// The segments whose first keys are at or after `from` and within a bound, in order.
    fn segments(&self, from: Key, until: Bound<Key>) -> impl Iterator<Item = Guard> {
        let bytes = |key| StoreKey::Segment(self.dpu, Reverse(key)).encode();
        self.snapshot.range(&self.tables.crossings, (until.map(bytes), Included(bytes(from)))).rev()
    }

    fn segment(&self, guard: Guard) -> Result<(Key, Slice), StoreError> {
        let (key, bytes) = guard.into_inner().map_err(store_error)?;
        Ok((decode_segment(self.dpu, &key)?, bytes))
    }

    fn day(&self, guard: Guard) -> Result<(Day, Totals), StoreError> {
        let (key, bytes) = guard.into_inner().map_err(store_error)?;
        Ok((decode_day(self.dpu, &key)?, value::read_totals(&bytes)?))
    }

    fn hot(&self) -> Result<Vec<Row>, StoreError> {
        let Some(bytes) = &self.record else {
            return Ok(Vec::new());
        };
        value::read_record(bytes)?.hot().collect()
    }
}

impl View for FjallLedger<'_> {
    fn opening(&self, until: Day) -> Result<Option<(Day, Totals)>, StoreError> {
        // Most often the day itself was active: one look at it costs less than a search through every run.
        let key = StoreKey::Opening(self.dpu, Reverse(until)).encode();
        if let Some(bytes) = self.snapshot.get(&self.tables.openings, &key).map_err(store_error)? {
            return Ok(Some((until, value::read_totals(&bytes)?)));
        }
        let mut earlier = self.snapshot.range(&self.tables.openings, key..end_of(self.dpu));
        earlier.next().map(|guard| self.day(guard)).transpose()
    }

    fn openings(&self, from: Day) -> Result<Vec<(Day, Totals)>, StoreError> {
        let bytes = |day| StoreKey::Opening(self.dpu, Reverse(day)).encode();
        let newest_first = self.snapshot.range(&self.tables.openings, bytes(Day(i32::MAX))..=bytes(from));
        newest_first.rev().map(|guard| self.day(guard)).collect()
    }

    fn rows(&self, span: Span, limit: usize) -> Result<Vec<Row>, StoreError> {
        let first = match span.0 {
            Included(key) | Excluded(key) => self.last_segment(Included(key))?.map_or(key, |(first, _)| first),
            Unbounded => Key::first_at(UnixMs::MIN),
        };
        let mut rows = Vec::new();
        for guard in self.segments(first, span.1) {
            let (first, bytes) = self.segment(guard)?;
            for row in segment::decode(first, &bytes) {
                let row = row?;
                if rows.len() < limit && span.contains(&row.key) {
                    rows.push(row);
                }
            }
            if rows.len() == limit {
                return Ok(rows);
            }
        }
        let room = limit - rows.len();
        rows.extend(self.hot()?.into_iter().filter(|row| span.contains(&row.key)).take(room));
        Ok(rows)
    }

    fn last_row(&self, span: Span) -> Result<Option<Row>, StoreError> {
        if let Some(hot) = self.hot()?.into_iter().rfind(|row| span.contains(&row.key)) {
            return Ok(Some(hot));
        }
        let Some((first, bytes)) = self.last_segment(span.1)? else {
            return Ok(None);
        };
        let within = (Unbounded, span.1);
        let last = segment::last_within(segment::decode(first, &bytes), |key| within.contains(key))?;
        Ok(last.filter(|row| span.contains(&row.key)))
    }
}
