//! The event log of a space: the crossings of its boundary, in order of time.

use occupancy::crossing::Key;
use occupancy::id::{DoorwayId, DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::time::UnixMs;

use crate::error::QueryError;
use crate::walk::{Walk, hung};
use crate::{Page, Query, check_limit};

/// A crossing of a space's boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Who saw it.
    pub dpu: DpuId,
    /// Where the DPU hung then.
    pub doorway: DoorwayId,
    /// What it saw.
    pub key: Key,
    /// Whether the person entered the space; else they left it.
    pub entered: bool,
}

/// The place of an event in the log: by time, then DPU, then key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// When.
    pub at: UnixMs,
    /// Who saw it.
    pub dpu: DpuId,
    /// What it saw.
    pub key: Key,
}

impl Query {
    /// The most events a page holds.
    pub const EVENTS_MOST: usize = 10_000;

    /// The crossings of a space's boundary in `[from, to)` after `after`, at most `limit`.
    ///
    /// Inner doorways are left out: nobody enters or leaves the space there. Memory: some rows ahead for each DPU.
    ///
    /// # Errors
    /// The space is unknown, the range empty, the limit out of bounds, or the store fails.
    pub async fn events(
        &self,
        space: &SpaceId,
        from: UnixMs,
        to: UnixMs,
        after: Option<&EventKey>,
        limit: usize,
    ) -> Result<Page<Event, EventKey>, QueryError> {
        let limit = check_limit(limit, Self::EVENTS_MOST)?;
        let world = self.topology.current().await?.world;
        if world.space(space.as_str()).is_none() {
            return Err(QueryError::UnknownSpace(space.to_string()));
        }
        if from >= to {
            return Err(QueryError::EmptyRange { from, to });
        }
        let hung = hung(&world, space.as_str(), from, to);
        let mut walk = Walk::new(&hung, from, to, after, limit);
        let mut items = Vec::new();
        while let Some((one, key)) = walk.next(&*self.store).await? {
            if items.len() == limit {
                let next = items.last().map(|event: &Event| EventKey { at: event.key.at, dpu: event.dpu.clone(), key: event.key });
                return Ok(Page { items, next });
            }
            let Installation { dpu, doorway, .. } = one.installation;
            items.push(Event { dpu: dpu.clone(), doorway: doorway.clone(), key, entered: one.entered(key) });
        }
        Ok(Page { items, next: None })
    }
}
