//! Writes: each one atomic batch, made under one lock and synced before it returns.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use occupancy::ledger::{Counters, Row};
use occupancy::time::Day;

use super::{Inner, segment_number, store_error};
use crate::day::DayEntry;
use crate::embedded::lay::{self, Laid};
use crate::embedded::recent::{Held, Recent, Tip};
use crate::embedded::sealed::Changing;
use crate::embedded::space::Space;
use crate::key::StoreKey;
use crate::{AppendError, Commit, LedgerWrite, Quarantined, Settings, StoreError, segment, value};

/// What one write at a time has to itself.
pub(super) struct Writing {
    space: Space,
    recent: Recent,
    scratch: Scratch,
}

/// Memory to write keys and values into before they are copied to where they stay.
#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    hot: Vec<u8>,
    record: Vec<u8>,
}

impl Writing {
    pub(super) fn new(space: Space) -> Self {
        Self { space, recent: Recent::default(), scratch: Scratch::default() }
    }
}

impl Inner {
    pub(super) fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut writing = self.writing();
        // Dropped before the next may write, and after this one has.
        let mut changing = self.sealed.changing();
        let mut recent = mem::take(&mut writing.recent);
        let mut batch = self.batch(commit.ledgers.len() + commit.quarantine.len());
        for write in &commit.ledgers {
            self.put_ledger(&mut batch, write, &mut changing, &mut recent, &mut writing.scratch)?;
        }
        for one in &commit.quarantine {
            self.put_quarantined(&mut batch, one)?;
        }
        self.write(&mut writing, batch)?;
        writing.recent = recent;
        Ok(())
    }

    pub(super) fn append(&self, expected: u64, edit: Vec<u8>) -> Result<(), AppendError> {
        let mut writing = self.writing();
        let found = self.revision.load(Ordering::SeqCst);
        if found != expected {
            return Err(AppendError::Behind { expected, found });
        }
        let mut batch = self.batch(1);
        self.put(&mut batch, &StoreKey::Edit(found + 1), edit);
        self.write(&mut writing, batch)?;
        self.revision.store(found + 1, Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        let mut writing = self.writing();
        if self.settings()? != *expected {
            return Ok(false);
        }
        let mut batch = self.batch(1);
        self.put(&mut batch, &StoreKey::Settings, new.encode()?);
        self.write(&mut writing, batch).map(|()| true)
    }

    fn put_ledger(
        &self,
        batch: &mut OwnedWriteBatch,
        write: &LedgerWrite,
        changing: &mut Changing<'_>,
        recent: &mut Recent,
        Scratch { key, hot: grown, record }: &mut Scratch,
    ) -> Result<(), StoreError> {
        key.clear();
        StoreKey::Counters(&write.dpu).encode_into(key);
        let place = recent.place(&write.dpu);
        let (bytes, tip) = match place.as_deref().filter(|held| !held.record.is_empty()) {
            Some(held) => (Some(held.record.clone()), held.tip),
            None => (self.tables.counters.get(key.as_slice()).map_err(store_error)?, None),
        };
        let stored = bytes.as_deref().map(value::read_record).transpose()?.unwrap_or_default();
        if stored.counters.is_some_and(|counters| counters.stamp_us > write.stamp_us) {
            return Ok(());
        }
        // Once a commit was cut short, crossings may lie where the counters do not say: nothing is taken to be new.
        let loose = stored.loose || write.counters.is_none();
        let last = |counters: Option<Counters>| counters.and_then(|counters| counters.last);
        let hot_day = last(write.counters).filter(|_| !loose).map(|last| last.at.day());
        let newer = |first: &Row| last(stored.counters).is_none_or(|last| last < first.key);
        let appends = !loose && write.rows.first().is_none_or(newer);
        let ended = tip.zip(stored.counters).and_then(|(tip, counters)| tip.end(&counters));
        let ends = if appends { lay::grow(grown, stored.hot, ended, write, hot_day)? } else { None };
        let laid = if ends.is_some() {
            Laid { hot: mem::take(grown), ..Laid::default() }
        } else {
            let hot = stored.hot_rows().collect::<Result<_, _>>()?;
            if appends { lay::append(hot, write, hot_day) } else { self.merge(hot, write, hot_day)? }
        };
        changing.also(&write.dpu, self.put_days(batch, write, &laid)?);
        record.clear();
        value::put_record(record, write.counters.or(stored.counters), loose, &laid.hot);
        *grown = laid.hot;
        let record = Slice::from(record.as_slice());
        if let Some(place) = place {
            let tip = ends.zip(write.counters).and_then(|(ends, counters)| Tip::of(ends, &counters));
            *place = Held { record: record.clone(), tip };
        }
        batch.insert(&self.tables.counters, key.as_slice(), record);
        Ok(())
    }

    /// Writes the days that change: their openings and segments. Whether there are any.
    fn put_days(&self, batch: &mut OwnedWriteBatch, write: &LedgerWrite, laid: &Laid) -> Result<bool, StoreError> {
        let LedgerWrite { dpu, openings, .. } = write;
        if openings.is_empty() && laid.segments.is_empty() && laid.kept.is_empty() {
            return Ok(false);
        }
        let segments = laid.segments.iter().filter_map(|rows| Some((segment::day_of(rows)?, rows)));
        let mut days: BTreeSet<Day> = openings.iter().map(|(day, _)| *day).chain(laid.kept.keys().copied()).collect();
        days.extend(segments.clone().map(|(day, _)| day));
        let mut segments = segments.peekable();
        for day in days {
            let key = StoreKey::Day(dpu, Reverse(day));
            let stored = self.tables.days.get(key.encode()).map_err(store_error)?;
            let mut entry = DayEntry::stored(day, stored.as_deref())?;
            if let Some((_, opening)) = openings.iter().find(|(one, _)| *one == day) {
                entry.opening = Some(*opening);
            }
            let stored_segments = entry.starts.len();
            entry.starts.truncate(laid.kept.get(&day).copied().unwrap_or(stored_segments));
            while let Some((_, rows)) = segments.next_if(|(one, _)| *one == day) {
                let number = segment_number(entry.starts.len())?;
                self.put(batch, &StoreKey::Segment(dpu, day, number), segment::encode(rows));
                entry.starts.extend(rows.first().map(|first| first.key.at));
            }
            for number in entry.starts.len()..stored_segments {
                batch.remove(&self.tables.crossings, StoreKey::Segment(dpu, day, segment_number(number)?).encode());
            }
            self.put(batch, &key, entry.encode(day));
        }
        Ok(true)
    }

    fn merge(&self, hot: Vec<Row>, write: &LedgerWrite, hot_day: Option<Day>) -> Result<Laid, StoreError> {
        let snapshot = self.db.snapshot();
        let ledger = self.ledger(&snapshot, &write.dpu)?;
        lay::merge(hot, write, hot_day, |key| ledger.segments_from(key))
    }

    fn put_quarantined(&self, batch: &mut OwnedWriteBatch, one: &Quarantined) -> Result<(), StoreError> {
        let key = StoreKey::Quarantined(&one.source);
        let old = self.tables.quarantine.get(key.encode()).map_err(store_error)?;
        let old = old.map(|bytes| value::read_quarantined(one.source.clone(), &bytes)).transpose()?;
        self.put(batch, &key, value::quarantined(&one.clone().after(old.as_ref())));
        Ok(())
    }

    /// A batch of about so many values.
    fn batch(&self, values: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.db.clone(), values).durability(Some(PersistMode::SyncAll))
    }

    fn put(&self, batch: &mut OwnedWriteBatch, key: &StoreKey, value: Vec<u8>) {
        batch.insert(self.tables.of(key.table()), key.encode(), value);
    }

    /// Makes a batch durable, if the volume has room for it, and shows it.
    fn write(&self, writing: &mut Writing, batch: OwnedWriteBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        writing.space.check()?;
        let _amid = self.whole.begin(&self.db);
        batch.commit().map_err(store_error)
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        // It guards no data that could be left half changed: who writes takes what is kept, and gives it back at the end.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
