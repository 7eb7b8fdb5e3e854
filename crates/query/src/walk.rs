//! A walk through crossings: those of every DPU over a space's boundary, in order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use futures_util::{StreamExt, TryStreamExt, stream};
use occupancy::crossing::Key;
use occupancy::installation::Installation;
use occupancy::time::UnixMs;
use occupancy::world::World;
use store::{Ledgers, StoreError};

use crate::events::EventKey;

/// How many DPUs are read side by side.
const READS_AT_ONCE: usize = 32;

/// An installation over the boundary of a space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hung<'a> {
    /// Which.
    pub(crate) installation: &'a Installation,
    /// Whether +1 means a person enters the space.
    plus_enters: bool,
}

impl Hung<'_> {
    /// Whether who made this crossing entered the space.
    pub(crate) fn entered(&self, key: Key) -> bool {
        (key.direction.sign() > 0) == self.plus_enters
    }

    /// Entered and exited, of so many +1 and so many -1.
    pub(crate) fn inward(&self, plus: u64, minus: u64) -> (u64, u64) {
        if self.plus_enters { (plus, minus) } else { (minus, plus) }
    }

    /// The part of `[from, to)` in which it hung there.
    pub(crate) fn within(&self, from: UnixMs, to: UnixMs) -> Option<(UnixMs, UnixMs)> {
        let (from, to) = (self.installation.from.max(from), self.installation.end().min(to));
        (from < to).then_some((from, to))
    }
}

/// What hung over a space's boundary in `[from, to)`, by DPU. Inner doorways are left out: nobody enters or leaves there.
pub(crate) fn hung<'a>(world: &'a World, space: &str, from: UnixMs, to: UnixMs) -> Vec<Hung<'a>> {
    let over = world.boundary(space).flat_map(|(doorway, inside)| world.over(doorway.as_str()).map(move |one| (one, inside)));
    let all = over.map(|(installation, inside)| Hung { installation, plus_enters: installation.enters == *inside });
    let mut all: Vec<Hung<'_>> = all.filter(|one| one.within(from, to).is_some()).collect();
    all.sort_unstable_by_key(|one| one.installation);
    all
}

/// Crossings by time, then DPU, then key. Memory: some rows ahead for each installation.
pub(crate) struct Walk<'a> {
    streams: Vec<Stream<'a>>,
    /// The next crossing of each stream that has one at hand: a DPU hangs in one place at a time, so of two streams at
    /// one instant the earlier is the one of the lesser DPU.
    next: BinaryHeap<Reverse<(UnixMs, usize, Key)>>,
    ahead: usize,
    /// Whether some stream may have a next crossing that is not at hand.
    hungry: bool,
}

impl<'a> Walk<'a> {
    /// The crossings of `hung`, which stand in order, in `[from, to)` after a place in the log; about `ahead` rows are read ahead.
    pub(crate) fn new(hung: &[Hung<'a>], from: UnixMs, to: UnixMs, after: Option<&EventKey>, ahead: usize) -> Self {
        let streams: Vec<Stream<'_>> = hung.iter().filter_map(|one| Stream::new(*one, from, to, after)).collect();
        let ahead = (ahead / streams.len().max(1)).clamp(16, 4096);
        Self { next: BinaryHeap::with_capacity(streams.len()), hungry: !streams.is_empty(), streams, ahead }
    }

    /// The next crossing, and where its DPU hung.
    pub(crate) async fn next(&mut self, store: &dyn Ledgers) -> Result<Option<(Hung<'a>, Key)>, StoreError> {
        if self.hungry {
            self.refill(store).await?;
        }
        let Some(Reverse((_, place, key))) = self.next.pop() else { return Ok(None) };
        let Some(stream) = self.streams.get_mut(place) else { return Ok(None) };
        stream.waits = false;
        self.hungry = stream.ahead.is_empty() && !stream.ended;
        self.next.extend(stream.offer(place));
        Ok(Some((stream.hung, key)))
    }

    /// Reads on in every stream that runs low, side by side: DPUs that are about as busy run low together.
    async fn refill(&mut self, store: &dyn Ledgers) -> Result<(), StoreError> {
        let ahead = self.ahead;
        let low = self.streams.iter_mut().filter(|stream| !stream.ended && stream.ahead.len() <= ahead / 2);
        let reads: Vec<_> = low.map(|stream| stream.read(store, ahead)).collect();
        stream::iter(reads).buffer_unordered(READS_AT_ONCE).try_collect::<()>().await?;
        for (place, stream) in self.streams.iter_mut().enumerate().filter(|(_, stream)| !stream.waits) {
            self.next.extend(stream.offer(place));
        }
        self.hungry = false;
        Ok(())
    }
}

/// The crossings of one installation.
struct Stream<'a> {
    hung: Hung<'a>,
    from: Key,
    /// Already read: left out should it come again.
    after: Option<Key>,
    until: UnixMs,
    ahead: VecDeque<Key>,
    /// Whether its next crossing is among those of all streams.
    waits: bool,
    ended: bool,
}

impl<'a> Stream<'a> {
    /// The part of an installation in `[from, to)` that comes after a place in the log.
    fn new(hung: Hung<'a>, from: UnixMs, to: UnixMs, after: Option<&EventKey>) -> Option<Self> {
        let (from, until) = hung.within(from, to)?;
        let dpu = &hung.installation.dpu;
        let (resume, after) = match after {
            None => (Key::first_at(from), None),
            Some(seen) if *dpu == seen.dpu => (seen.key, Some(seen.key)),
            Some(seen) if *dpu > seen.dpu => (Key::first_at(seen.at), None),
            Some(seen) => (Key::first_at(seen.at.plus_ms(1)), None),
        };
        let from = Key::first_at(from).max(resume);
        (from.at < until).then(|| Self { hung, from, after, until, ahead: VecDeque::new(), waits: false, ended: false })
    }

    async fn read(&mut self, store: &dyn Ledgers, ahead: usize) -> Result<(), StoreError> {
        // One more than wanted: the first may be the one already read.
        let rows = store.crossings(&self.hung.installation.dpu, self.from, self.until, ahead + 1).await?;
        self.ended = rows.len() <= ahead;
        self.ahead.extend(rows.iter().map(|row| row.key).filter(|key| self.after != Some(*key)));
        if let Some(last) = rows.last() {
            (self.from, self.after) = (last.key, Some(last.key));
        }
        Ok(())
    }

    /// Its next crossing, if it is at hand.
    fn offer(&mut self, place: usize) -> Option<Reverse<(UnixMs, usize, Key)>> {
        let key = self.ahead.pop_front()?;
        self.waits = true;
        Some(Reverse((key.at, place, key)))
    }
}
