//! Writes: each one atomic batch, made under one lock and synced before it returns.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use fjall::{OwnedWriteBatch, PersistMode};
use occupancy::ledger::{Counters, Row};
use occupancy::time::Day;

use super::{Inner, segment_number, store_error};
use crate::day::DayEntry;
use crate::embedded::lay::{self, Laid};
use crate::embedded::sealed::Changing;
use crate::embedded::space::Space;
use crate::key::StoreKey;
use crate::value::Record;
use crate::{AppendError, Commit, LedgerWrite, Quarantined, Settings, StoreError, segment, value};

impl Inner {
    pub(super) fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut writing = self.writing();
        // Dropped before the next may write, and after this one has.
        let mut changing = self.sealed.changing();
        let mut batch = self.batch();
        for write in &commit.ledgers {
            self.put_ledger(&mut batch, write, &mut changing)?;
        }
        for one in &commit.quarantine {
            self.put_quarantined(&mut batch, one)?;
        }
        self.write(&mut writing, batch)
    }

    pub(super) fn append(&self, expected: u64, edit: Vec<u8>) -> Result<(), AppendError> {
        let mut writing = self.writing();
        let found = self.revision.load(Ordering::SeqCst);
        if found != expected {
            return Err(AppendError::Behind { expected, found });
        }
        let mut batch = self.batch();
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
        let mut batch = self.batch();
        self.put(&mut batch, &StoreKey::Settings, new.encode()?);
        self.write(&mut writing, batch).map(|()| true)
    }

    fn put_ledger(&self, batch: &mut OwnedWriteBatch, write: &LedgerWrite, changing: &mut Changing<'_>) -> Result<(), StoreError> {
        let bytes = self.record(&write.dpu)?;
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
        let quick = if appends { lay::grow(stored.hot, write, hot_day)? } else { None };
        let laid = match quick {
            Some(laid) => laid,
            None => {
                let hot = stored.hot_rows().collect::<Result<_, _>>()?;
                if appends { lay::append(hot, write, hot_day) } else { self.merge(hot, write, hot_day)? }
            }
        };
        changing.also(&write.dpu, self.put_days(batch, write, &laid)?);
        let record = Record { counters: write.counters.or(stored.counters), loose, hot: laid.hot };
        self.put(batch, &StoreKey::Counters(&write.dpu), value::record(&record));
        Ok(())
    }

    /// Writes the days that change: their openings and segments. Whether there are any.
    fn put_days(&self, batch: &mut OwnedWriteBatch, write: &LedgerWrite, laid: &Laid) -> Result<bool, StoreError> {
        let LedgerWrite { dpu, openings, .. } = write;
        let segments = laid.segments.iter().filter_map(|rows| Some((segment::day_of(rows)?, rows)));
        let mut days: BTreeSet<Day> = openings.iter().map(|(day, _)| *day).chain(laid.kept.keys().copied()).collect();
        days.extend(segments.clone().map(|(day, _)| day));
        let mut segments = segments.peekable();
        let changes = !days.is_empty();
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
        Ok(changes)
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

    fn batch(&self) -> OwnedWriteBatch {
        self.db.batch().durability(Some(PersistMode::SyncAll))
    }

    fn put(&self, batch: &mut OwnedWriteBatch, key: &StoreKey, value: Vec<u8>) {
        batch.insert(self.tables.of(key.table()), key.encode(), value);
    }

    /// Makes a batch durable, if the volume has room for it, and shows it.
    fn write(&self, space: &mut Space, batch: OwnedWriteBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        space.check()?;
        let _amid = self.whole.begin(&self.db);
        batch.commit().map_err(store_error)
    }

    fn writing(&self) -> MutexGuard<'_, Space> {
        // It guards no data that could be left half changed.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
