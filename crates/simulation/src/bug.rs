//! Bugs of the commit protocol, built in on purpose: a simulation that finds none of them would prove nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use occupancy::crossing::Key;
use occupancy::ledger::{Counters, Totals};
use occupancy::time::{Day, UnixMs};
use store::{Commit, LedgerWrite, Ledgers as _, StoreError};

use crate::world::World;

/// A rule of the protocol left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A commit counts as done, and so its offsets are committed, before the counters are written.
    OffsetBeforeCounters,
    /// A merge adds to the stored totals instead of recomputing them.
    Increment,
    /// Writes carry the time of writing instead of a stamp that follows from the log.
    StampByClock,
    /// At a revoke nothing is drained and nothing forgotten: the lane goes on as it was when the partition comes back.
    SkippedDrain,
    /// Stored totals are held at zero or above.
    Clamp,
    /// Offsets are committed as far as records were read.
    OffsetOfWhatWasRead,
    /// A record sent home counts as done before it is acknowledged there.
    DoneBeforeHome,
    /// A commit counts as done before its changes are published.
    PublishedLate,
    /// Only what a lane folded itself is published, not what it skipped because an owner before it had folded it.
    SkippedUnpublished,
    /// The first change of a new owner reaches back to its own record only, not to what an owner before it left unsaid.
    FromOfOwnRecord,
    /// Of records that are handed on together the last stands for all, not the first.
    PieceByLast,
}

impl Bug {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::OffsetBeforeCounters,
        Self::Increment,
        Self::StampByClock,
        Self::SkippedDrain,
        Self::Clamp,
        Self::OffsetOfWhatWasRead,
        Self::DoneBeforeHome,
        Self::PublishedLate,
        Self::SkippedUnpublished,
        Self::FromOfOwnRecord,
        Self::PieceByLast,
    ];
}

/// What a process with the run's bug writes instead.
pub(crate) async fn spoil(world: &World, commit: Arc<Commit>) -> Result<Arc<Commit>, StoreError> {
    let mut spoilt = Commit::clone(&commit);
    for write in &mut spoilt.ledgers {
        match world.bug {
            Some(Bug::Clamp) => clamp(write),
            Some(Bug::StampByClock) => write.stamp_us = world.clock().ms() * 1_000,
            Some(Bug::Increment) => increment(world, write).await?,
            _ => return Ok(commit),
        }
    }
    Ok(Arc::new(spoilt))
}

fn clamp(write: &mut LedgerWrite) {
    let clamped = |totals: Totals| Totals { exited: totals.exited.min(totals.entered), ..totals };
    for row in &mut write.rows {
        row.totals = clamped(row.totals);
    }
    for (_, totals) in &mut write.openings {
        *totals = clamped(*totals);
    }
    if let Some(Counters { opening, day, .. }) = &mut write.counters {
        (*opening, *day) = (clamped(*opening), clamped(*day));
    }
}

/// Every stored total grows by what is new before it.
async fn increment(world: &World, write: &mut LedgerWrite) -> Result<(), StoreError> {
    let Some(old) = world.store.counters(std::slice::from_ref(&write.dpu)).await?.into_iter().flatten().next() else { return Ok(()) };
    if write.rows.first().is_none_or(|row| Some(row.key) > old.last) {
        return Ok(());
    }
    let stored = world.store.crossings(&write.dpu, Key::first_at(UnixMs::MIN), UnixMs::MAX, usize::MAX).await?;
    let stored: BTreeMap<Key, Totals> = stored.into_iter().map(|row| (row.key, row.totals)).collect();
    let mut grown = Totals::default();
    let mut grown_in: BTreeMap<Day, Totals> = BTreeMap::new();
    for row in &mut write.rows {
        let in_day = grown_in.entry(row.key.at.day()).or_default();
        match stored.get(&row.key) {
            Some(totals) => row.totals = totals.plus(*in_day),
            None => (*in_day, grown) = (in_day.with(row.key.direction), grown.with(row.key.direction)),
        }
    }
    if let Some(counters) = &mut write.counters {
        let (all, opening) = (old.totals().plus(grown), counters.opening);
        counters.day = Totals { entered: all.entered.saturating_sub(opening.entered), exited: all.exited.saturating_sub(opening.exited) };
    }
    Ok(())
}
