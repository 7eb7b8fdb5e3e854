//! Writes: each one atomic batch, made under one lock and synced before it returns.

use std::sync::{MutexGuard, PoisonError};

use fjall::{OwnedWriteBatch, PersistMode};

use super::{Inner, store_error};
use crate::embedded::space::Space;
use crate::key::StoreKey;
use crate::{AppendError, Commit, LedgerWrite, Quarantined, Settings, StoreError, value};

impl Inner {
    pub(super) fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let writing = self.writing();
        let mut batch = self.batch();
        for write in &commit.ledgers {
            let newer = self.counters(&write.dpu)?.is_some_and(|stored| stored.stamp_us > write.stamp_us);
            if !newer {
                self.put_ledger(&mut batch, write);
            }
        }
        for one in &commit.quarantine {
            self.put_quarantined(&mut batch, one)?;
        }
        write(writing, batch)
    }

    pub(super) fn append(&self, expected: u64, edit: Vec<u8>) -> Result<(), AppendError> {
        let writing = self.writing();
        let found = self.revision()?;
        if found != expected {
            return Err(AppendError::Behind { expected, found });
        }
        let mut batch = self.batch();
        self.put(&mut batch, &StoreKey::Edit(found + 1), edit);
        Ok(write(writing, batch)?)
    }

    pub(super) fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        let writing = self.writing();
        if self.settings()? != *expected {
            return Ok(false);
        }
        let mut batch = self.batch();
        self.put(&mut batch, &StoreKey::Settings, new.encode()?);
        write(writing, batch).map(|()| true)
    }

    fn put_ledger(&self, batch: &mut OwnedWriteBatch, write: &LedgerWrite) {
        for (day, totals) in &write.openings {
            self.put(batch, &StoreKey::Opening(write.dpu.clone(), *day), value::totals(*totals));
        }
        for row in &write.rows {
            self.put(batch, &StoreKey::Crossing(write.dpu.clone(), row.key), value::row(row));
        }
        if let Some(counters) = &write.counters {
            self.put(batch, &StoreKey::Counters(write.dpu.clone()), value::counters(counters));
        }
    }

    fn put_quarantined(&self, batch: &mut OwnedWriteBatch, one: &Quarantined) -> Result<(), StoreError> {
        let key = StoreKey::Quarantined(one.source.clone());
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

    fn writing(&self) -> MutexGuard<'_, Space> {
        // It guards no data that could be left half changed.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a batch durable, if the volume has room for it.
fn write(mut writing: MutexGuard<'_, Space>, batch: OwnedWriteBatch) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    writing.check()?;
    batch.commit().map_err(store_error)
}
