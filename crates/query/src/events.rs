//! The event log of a space: the crossings of its boundary, in order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use occupancy::crossing::Key;
use occupancy::id::{DoorwayId, DpuId, SpaceId};
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use store::Ledgers;

use crate::error::QueryError;
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
        let mut streams = Vec::new();
        for (doorway, inside) in world.boundary(space.as_str()) {
            for one in world.over(doorway.as_str()) {
                streams.extend(Stream::new(one, one.enters == *inside, from, to, after));
            }
        }
        let ahead = (limit / streams.len().max(1)).clamp(16, 1000);
        let mut heap = BinaryHeap::with_capacity(streams.len());
        for (place, stream) in streams.iter_mut().enumerate() {
            heap.extend(stream.next(&*self.store, ahead).await?.map(|key| Reverse((key, place))));
        }
        let mut items = Vec::new();
        while let Some(Reverse((key, place))) = heap.pop() {
            let Some(stream) = streams.get_mut(place) else { break };
            if items.len() == limit {
                let next = items.last().map(|event: &Event| EventKey { at: event.key.at, dpu: event.dpu.clone(), key: event.key });
                return Ok(Page { items, next });
            }
            items.push(stream.event(key));
            heap.extend(stream.next(&*self.store, ahead).await?.map(|key| Reverse((key, place))));
        }
        Ok(Page { items, next: None })
    }
}

/// The crossings of one installation, read some rows ahead.
struct Stream<'a> {
    installation: &'a Installation,
    plus_enters: bool,
    from: Key,
    /// Already seen: left out should it come again.
    after: Option<Key>,
    until: UnixMs,
    ahead: VecDeque<Key>,
    ended: bool,
}

impl<'a> Stream<'a> {
    /// The part of an installation in `[from, to)` that comes after a place in the log.
    fn new(installation: &'a Installation, plus_enters: bool, from: UnixMs, to: UnixMs, after: Option<&EventKey>) -> Option<Self> {
        let start = Key::first_at(from.max(installation.from));
        let (resume, after) = match after {
            None => (start, None),
            Some(seen) if installation.dpu == seen.dpu => (seen.key, Some(seen.key)),
            Some(seen) if installation.dpu > seen.dpu => (Key::first_at(seen.at), None),
            Some(seen) => (Key::first_at(seen.at.plus_ms(1)), None),
        };
        let (from, until) = (start.max(resume), to.min(installation.end()));
        (from.at < until).then(|| Self { installation, plus_enters, from, after, until, ahead: VecDeque::new(), ended: false })
    }

    async fn next(&mut self, store: &dyn Ledgers, ahead: usize) -> Result<Option<EventKey>, QueryError> {
        if self.ahead.is_empty() && !self.ended {
            // One more than wanted: the first may be the one already seen.
            let rows = store.crossings(&self.installation.dpu, self.from, self.until, ahead + 1).await?;
            self.ended = rows.len() <= ahead;
            self.ahead = rows.iter().map(|row| row.key).filter(|key| self.after != Some(*key)).collect();
            if let Some(last) = self.ahead.back() {
                (self.from, self.after) = (*last, Some(*last));
            }
        }
        let dpu = &self.installation.dpu;
        Ok(self.ahead.pop_front().map(|key| EventKey { at: key.at, dpu: dpu.clone(), key }))
    }

    fn event(&self, seen: EventKey) -> Event {
        let entered = (seen.key.direction.sign() > 0) == self.plus_enters;
        Event { dpu: seen.dpu, doorway: self.installation.doorway.clone(), key: seen.key, entered }
    }
}
