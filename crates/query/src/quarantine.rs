//! Input kept out of the ledgers, to look at and to send again.
//!
//! A row holds what somebody sent, up to a whole request. So rows are read a few at a time, and what is held of them at
//! once is bounded in bytes too.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::{Commit, Quarantined, Reason, Source, StoreError};

use crate::error::QueryError;
use crate::{Page, Query, check_limit};

/// How many rows a page looks at in search of a reason; it ends there, with a `next`.
const SCAN_MOST: usize = 5_000;
/// Rows read at once: each may hold as much as a request or a Kafka record.
const CHUNK: usize = 16;
/// The most bytes of rows a page looks at, or a replay holds, unless it is one row alone.
const MOST_BYTES: usize = 8 << 20;

/// What of a row can be large.
fn size_bytes(row: &Quarantined) -> usize {
    row.payload.len() + row.detail.len()
}

impl Query {
    /// The most quarantined rows a page holds.
    pub const QUARANTINE_MOST: usize = 1000;

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
        Ok(self.quarantine_page(reason, after.cloned(), limit).await?)
    }

    /// The same with a limit that is within bounds.
    pub(crate) async fn quarantine_page(
        &self,
        reason: Option<Reason>,
        mut after: Option<Source>,
        limit: usize,
    ) -> Result<Page<Quarantined, Source>, StoreError> {
        let (mut items, mut seen, mut seen_bytes) = (Vec::new(), 0, 0);
        loop {
            let rows = self.store.quarantined(after.as_ref(), CHUNK).await?;
            let full = rows.len() == CHUNK;
            for row in rows {
                seen_bytes += size_bytes(&row);
                if items.len() == limit || seen == SCAN_MOST || (seen > 0 && seen_bytes > MOST_BYTES) {
                    return Ok(Page { items, next: after });
                }
                seen += 1;
                after = Some(row.source.clone());
                if reason.is_none_or(|reason| reason == row.reason) {
                    items.push(row);
                }
            }
            if !full {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// The rows of these sources, each once.
    ///
    /// # Errors
    /// There is no such row, they are too large together, or the store fails.
    pub async fn quarantined_at(&self, sources: &[Source]) -> Result<Vec<Quarantined>, QueryError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for source in sources.iter().collect::<BTreeSet<_>>() {
            let next = self.store.quarantined(source.before().as_ref(), 1).await?.pop();
            let row = next.filter(|row| row.source == *source).ok_or_else(|| QueryError::NotQuarantined(source.clone()))?;
            bytes += size_bytes(&row);
            if !rows.is_empty() && bytes > MOST_BYTES {
                return Err(QueryError::RowsTooLarge { most_bytes: MOST_BYTES });
            }
            rows.push(row);
        }
        Ok(rows)
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
