//! Input kept out of the ledgers, to look at.

use store::{Quarantined, Reason, Source};

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
}
