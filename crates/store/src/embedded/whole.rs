//! Snapshots in which each write is there whole or not at all.
//!
//! The database makes the keys of a write visible together, but for one case: a flush or a compaction that ends while a
//! write is being synced raises what is visible above it, and a snapshot taken then sees its keys come one by one. So while
//! a write is under way, whoever reads shares the snapshot that was taken before it.

use std::sync::{Arc, PoisonError, RwLock};

use fjall::{Database, Snapshot};

/// What was stored before the write that is under way.
#[derive(Default)]
pub(super) struct Whole(RwLock<Option<Arc<Snapshot>>>);

impl Whole {
    /// What is stored, with every write that is done.
    pub(super) fn snapshot(&self, db: &Database) -> Arc<Snapshot> {
        // Held until there is a snapshot: no write begins before.
        let before = self.0.read().unwrap_or_else(PoisonError::into_inner);
        before.as_ref().map_or_else(|| Arc::new(db.snapshot()), Arc::clone)
    }

    /// To be held during a write; one at a time.
    pub(super) fn begin(&self, db: &Database) -> Amid<'_> {
        self.set(Some(Arc::new(db.snapshot())));
        Amid(self)
    }

    fn set(&self, before: Option<Arc<Snapshot>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = before;
    }
}

/// A write is under way.
pub(super) struct Amid<'a>(&'a Whole);

impl Drop for Amid<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use fjall::{KeyspaceCreateOptions, Readable};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_write_is_seen_once_it_is_done() {
        let folder = TempDir::new().unwrap();
        let db = Database::builder(folder.path()).open().unwrap();
        let table = db.keyspace("t", KeyspaceCreateOptions::default).unwrap();
        let seen = |snapshot: &Snapshot| snapshot.contains_key(&table, "k").unwrap();
        let whole = Whole::default();
        let before = whole.snapshot(&db);
        let amid = whole.begin(&db);
        let mut batch = db.batch();
        batch.insert(&table, "k", "v");
        batch.commit().unwrap();
        assert!(seen(&db.snapshot()) && !seen(&whole.snapshot(&db)), "others may follow");
        drop(amid);
        assert!(seen(&whole.snapshot(&db)) && !seen(&before));
    }
}
