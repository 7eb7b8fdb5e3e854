//! What an edit does to counts: from when on, and what it makes of the count of now.

use occupancy::count::Count;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use occupancy::world::World;

use crate::count::SPACES_MOST;
use crate::error::QueryError;
use crate::{Edited, Query};

/// What an edit does to a space's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// The space.
    pub space: SpaceId,
    /// From when on its counts may come out otherwise.
    pub from: UnixMs,
    /// Its raw count now, without the edit and with it; `None` beyond the first [`SPACES_MOST`] spaces.
    pub now: Option<[i64; 2]>,
}

impl Query {
    /// What an edit does to the counts of each space whose past it changes, by id.
    ///
    /// # Errors
    /// The store fails.
    pub async fn shifts(&self, edited: &Edited) -> Result<Vec<Shift>, QueryError> {
        let spaces: Vec<SpaceId> = edited.effect.past.keys().take(SPACES_MOST).cloned().collect();
        let now = (self.clock)();
        let before = self.raw(&edited.before.world, &spaces, now).await?;
        let after = self.raw(&edited.after.world, &spaces, now).await?;
        let mut counts = before.into_iter().zip(after).map(|(before, after)| [before, after]);
        Ok(edited.effect.past.iter().map(|(space, from)| Shift { space: space.clone(), from: *from, now: counts.next() }).collect())
    }

    async fn raw(&self, world: &World, spaces: &[SpaceId], at: UnixMs) -> Result<Vec<i64>, QueryError> {
        let read = self.read(world, spaces, Some(at)).await?;
        Ok(read.counts(self.settings.silent_after_ms).iter().map(|Count { raw, .. }| *raw).collect())
    }
}
