//! Input kept out of the ledgers, to look at and to send again.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::{Commit, Quarantined, Reason, Source};

use crate::error::QueryError;
use crate::{Page, Query, check_limit};

impl Query {
    /// The most quarantined rows a page holds.
    pub const QUARANTINE_MOST: usize = 1000;
    /// How many rows a page looks at in search of a reason; it ends there, with a `next`.
    const QUARANTINE_SCAN_MOST: usize = 20_000;
    /// Rows read at once: each holds a payload.
    const QUARANTINE_CHUNK: usize = 200;

    /// Quarantined input after `after`, in order of source: all, or what was kept out for one reason.
    ///
    /// A page may end before `limit`; only one without a `next` is the last.
    ///
    /// # Errors
    /// The limit is out of bounds, or the store fails.
    pub async fn quarantined(
        &self,
        reason: Option<Reason>,
        after: Option<&Source>,
        limit: usize,
    ) -> Result<Page<Quarantined, Source>, QueryError> {
        let limit = check_limit(limit, Self::QUARANTINE_MOST)?;
        let mut after = after.cloned();
        let mut items: Vec<Quarantined> = Vec::new();
        for _ in 0..Self::QUARANTINE_SCAN_MOST / Self::QUARANTINE_CHUNK {
            let rows = self.store.quarantined(after.as_ref(), Self::QUARANTINE_CHUNK).await?;
            let full = rows.len() == Self::QUARANTINE_CHUNK;
            for row in rows {
                if items.len() == limit {
                    return Ok(Page { next: after, items });
                }
                after = Some(row.source.clone());
                if reason.is_none_or(|reason| reason == row.reason) {
                    items.push(row);
                }
            }
            if !full {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: after })
    }

    /// The rows of these sources, each once.
    ///
    /// # Errors
    /// There is no such row, or the store fails.
    pub async fn quarantined_at(&self, sources: &[Source]) -> Result<Vec<Quarantined>, QueryError> {
        let mut rows = BTreeMap::new();
        for source in sources {
            let next = self.store.quarantined(source.before().as_ref(), 1).await?.pop();
            let row = next.filter(|row| row.source == *source).ok_or_else(|| QueryError::NotQuarantined(source.clone()))?;
            rows.insert(source, row);
        }
        Ok(rows.into_values().collect())
    }

    /// Marks rows as replayed; they are kept.
    ///
    /// # Errors
    /// The store fails.
    pub async fn mark_replayed(&self, mut rows: Vec<Quarantined>) -> Result<(), QueryError> {
        let now = (self.clock)();
        rows.iter_mut().for_each(|row| row.replayed_at = Some(now));
        Ok(self.store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: rows })).await?)
    }
}
