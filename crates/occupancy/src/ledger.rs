//! The ledger of one DPU: its crossings in key order, each with the running totals after it, like a bank statement.
//!
//! Folding records into a ledger returns the [`Changes`] to store; whoever owns the DPU commits them.
//!
//! # Guarantees
//!
//! - A crossing after the last key is *appended*, without a read. Any other is *merged*: the set union with what is
//!   stored from that key on, every total after it recomputed from its predecessor, never shifted by a delta. A merge
//!   is therefore safe to repeat, whatever an earlier attempt left half done, and a duplicate is merged like anything
//!   else: what it rewrites may be what a crash left undone.
//! - Counters after a merge come from the end of the merged ledger, never from the old counters plus something.
//! - Totals are never clamped.
//!
//! They rest on two things: records come in log order, and a commit that was cut short is followed by the same records
//! again, by redelivery from the log, or is atomic.

use std::collections::{BTreeMap, BTreeSet};

use crate::crossing::{Crossings, Direction, Heartbeat, Key};
use crate::few::Few;
use crate::id::DpuId;
use crate::time::{Day, UnixMs};

/// How many people went each way, by the DPU's own directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Crossings with direction +1.
    pub entered: u64,
    /// Crossings with direction -1.
    pub exited: u64,
}

impl Totals {
    /// One crossing more.
    #[must_use]
    pub fn with(self, direction: Direction) -> Self {
        match direction {
            Direction::Plus => Self { entered: self.entered + 1, ..self },
            Direction::Minus => Self { exited: self.exited + 1, ..self },
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { entered: self.entered + other.entered, exited: self.exited + other.exited }
    }

    /// Entered minus exited.
    #[must_use]
    pub fn net(self) -> i64 {
        self.entered.cast_signed().wrapping_sub(self.exited.cast_signed())
    }
}

/// A stored crossing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// Which crossing.
    pub key: Key,
    /// Totals within its UTC day, itself included.
    pub totals: Totals,
    /// When it was first appended to the log, by the log's clock.
    pub appended_at: UnixMs,
}

/// Where in the log a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Grows when the log starts anew: a re-created topic, another partition count, another cluster.
    pub epoch: u32,
    /// The partition.
    pub partition: i32,
    /// The record's offset in it.
    pub offset: i64,
}

impl Position {
    /// Whether a ledger that stands here already holds the record at `record`.
    ///
    /// Records of an earlier epoch are held: the epoch grows only after they were drained. Within an epoch a DPU has
    /// one home partition, so offsets compare.
    #[must_use]
    pub fn holds(self, record: Self) -> bool {
        (record.epoch, record.offset) <= (self.epoch, self.offset)
    }
}

/// The realtime row of a DPU: its totals now, and how it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Totals before the last active day.
    pub opening: Totals,
    /// Totals within the last active day.
    pub day: Totals,
    /// The last crossing; `None` before the first.
    pub last: Option<Key>,
    /// The latest heartbeat.
    pub heartbeat: Option<Heartbeat>,
    /// Last heard: the latest of min(device time, append time) over crossings and heartbeats.
    pub heard: Option<UnixMs>,
    /// The last record folded; `None` where there is no log.
    pub position: Option<Position>,
    /// The version all rows of the last fold carry, in µs: the newest stamp wins.
    pub stamp_us: i64,
}

impl Counters {
    /// Everything so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.opening.plus(self.day)
    }
}

/// What the owner of a DPU tells whoever follows its counters, once they are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub dpu: DpuId,
    /// As they now stand; of two changes the one with the newer stamp counts.
    pub counters: Counters,
    /// Totals before instants up to this one are as they were at the owner's last change; `None`: so are all.
    pub from: Option<UnixMs>,
}

/// What one report says about one DPU, admitted to its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Crossings, in any order, duplicates allowed.
    pub crossings: Crossings,
    /// The report's heartbeat.
    pub heartbeat: Option<Heartbeat>,
    /// When the log (or, without one, the server) took it in.
    pub appended_at: UnixMs,
    /// Where the log holds it; `None` without a log.
    pub position: Option<Position>,
}

/// What became of a record's crossings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// New to the ledger.
    pub accepted: u64,
    /// Already there; changes nothing.
    pub duplicate: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { accepted: self.accepted + other.accepted, duplicate: self.duplicate + other.duplicate }
    }
}

/// What to write after folding: every part may be written again without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Totals before the first crossing of a day, for each day whose opening may have changed.
    pub openings: Vec<(Day, Totals)>,
    /// Crossings, in key order.
    pub rows: Few<Row>,
    /// The realtime row; its stamp is that of every row here.
    pub counters: Counters,
    /// What became of each record, in the order they came.
    pub tallies: Few<Tally>,
}

/// The stored part of a ledger that a merge rewrites or leans on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// Totals before the day of the first merged key: the opening of the latest active day before it plus that day's
    /// totals. Never the stored opening of the day itself, which a crash may have left behind.
    pub before: Totals,
    /// Every day from that of the first merged key on that has an opening or crossings.
    pub days: BTreeMap<Day, DayTail>,
}

/// One day of a [`Tail`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayTail {
    /// Totals within the day before the first merged key of that day.
    pub before: Totals,
    /// Stored crossings of the day at or after the first merged key of that day; empty for a day without merged keys.
    pub rows: Vec<Row>,
    /// The last stored crossing of the day.
    pub last: Option<Row>,
}

/// How a batch of records becomes changes.
#[derive(Debug)]
pub enum Fold {
    /// All after the last key: nothing to read.
    Append(Changes),
    /// Some at or before the last key: read the tail from [`Merge::from`], then [`Merge::apply`].
    Merge(Merge),
}

/// Folds the records of one DPU, in log order, into its ledger.
///
/// Records the ledger already holds by position are skipped. `None` when nothing remains to be written.
#[must_use]
pub fn fold<'a, R>(counters: &Counters, records: R) -> Option<Fold>
where
    R: IntoIterator<Item = &'a Record>,
    R::IntoIter: Clone,
{
    let records = records.into_iter();
    let count = records.clone().count();
    let fresh = unheld(counters.position, records);
    let (mut next, mut last) = (*counters, counters.last);
    let (mut folded, mut crossings, mut in_order) = (false, 0, true);
    for (_, record) in fresh.clone() {
        folded = true;
        crossings += record.crossings.len();
        for key in &record.crossings {
            in_order &= last < Some(*key);
            last = Some(*key);
        }
        advance(&mut next, record);
    }
    if !folded {
        return None;
    }
    let tallies = Few::up_to(count, std::iter::repeat_n(Tally::default(), count));
    let fresh = fresh.flat_map(|(i, record)| record.crossings.iter().map(move |key| Fresh::new(*key, i, record)));
    if in_order {
        return Some(Fold::Append(append(next, fresh, crossings, tallies)));
    }
    let batch = Batch::new(next, fresh, crossings, tallies);
    let late = batch.fresh.first().is_some_and(|first| next.last.is_some_and(|last| first.key <= last));
    Some(if late { Fold::Merge(Merge { batch }) } else { Fold::Append(batch.append()) })
}

/// The records that a ledger which stands at a position, and moves on with each, does not hold; each with its place.
fn unheld<'a>(
    mut stands: Option<Position>,
    records: impl Iterator<Item = &'a Record> + Clone,
) -> impl Iterator<Item = (usize, &'a Record)> + Clone {
    records.enumerate().filter(move |(_, record)| {
        let held = record.position.zip(stands).is_some_and(|(at, stands)| stands.holds(at));
        if !held {
            stands = record.position.or(stands);
        }
        !held
    })
}

/// What a record changes in the counters besides totals.
fn advance(counters: &mut Counters, record: &Record) {
    counters.stamp_us = (record.appended_at.ms() * 1000).max(counters.stamp_us + 1);
    counters.position = record.position.or(counters.position);
    counters.heartbeat = counters.heartbeat.max(record.heartbeat);
    let latest = record.crossings.iter().map(|key| key.at).chain(record.heartbeat.map(|beat| beat.at)).max();
    counters.heard = counters.heard.max(latest.map(|at| at.min(record.appended_at)));
}

/// A crossing of a batch, and the record that brought it first.
#[derive(Debug, Clone, Copy)]
struct Fresh {
    key: Key,
    appended_at: UnixMs,
    record: usize,
}

impl Fresh {
    fn new(key: Key, place: usize, record: &Record) -> Self {
        Self { key, appended_at: record.appended_at, record: place }
    }
}

/// A DPU's share of a batch, before its totals are known.
#[derive(Debug)]
struct Batch {
    counters: Counters,
    /// Distinct, in key order.
    fresh: Vec<Fresh>,
    tallies: Few<Tally>,
}

impl Batch {
    /// Sorts so many crossings; of equal ones the first to come stays, the others are duplicates.
    fn new(counters: Counters, crossings: impl Iterator<Item = Fresh>, count: usize, mut tallies: Few<Tally>) -> Self {
        let mut fresh = Vec::with_capacity(count);
        fresh.extend(crossings);
        // Stable: the first to come stays first.
        fresh.sort_by_key(|one| one.key);
        fresh.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same && let Some(tally) = tallies.get_mut(later.record) {
                tally.duplicate += 1;
            }
            same
        });
        Self { counters, fresh, tallies }
    }

    fn append(self) -> Changes {
        let count = self.fresh.len();
        append(self.counters, self.fresh.into_iter(), count, self.tallies)
    }
}

/// The changes that so many crossings make, distinct, in key order and after the last.
fn append(mut counters: Counters, fresh: impl Iterator<Item = Fresh>, count: usize, mut tallies: Few<Tally>) -> Changes {
    let mut openings = Vec::new();
    let rows = fresh.map(|Fresh { key, appended_at, record }| {
        let day = key.at.day();
        if counters.last.is_none_or(|last| last.at.day() != day) {
            counters.opening = counters.totals();
            counters.day = Totals::default();
            openings.push((day, counters.opening));
        }
        counters.day = counters.day.with(key.direction);
        counters.last = Some(key);
        if let Some(tally) = tallies.get_mut(record) {
            tally.accepted += 1;
        }
        Row { key, totals: counters.day, appended_at }
    });
    let rows = Few::up_to(count, rows);
    Changes { openings, rows, counters, tallies }
}

/// A fold that needs the stored tail of the ledger.
#[derive(Debug)]
pub struct Merge {
    batch: Batch,
}

impl Merge {
    /// The first key to merge of each day, in order: what the tail must be read from.
    #[must_use]
    pub fn from(&self) -> Vec<Key> {
        let mut firsts: Vec<Key> = self.batch.fresh.iter().map(|one| one.key).collect();
        firsts.dedup_by_key(|key| key.at.day());
        firsts
    }

    /// The changes, given what is stored from [`Merge::from`] on.
    #[must_use]
    pub fn apply(self, tail: &Tail) -> Changes {
        let Batch { mut counters, fresh, mut tallies } = self.batch;
        let stored: BTreeSet<Key> = tail.days.values().flat_map(|day| day.rows.iter().map(|row| row.key)).collect();
        let mut merged: BTreeMap<Day, BTreeMap<Key, UnixMs>> = BTreeMap::new();
        for Fresh { key, appended_at, record } in fresh {
            if let Some(tally) = tallies.get_mut(record) {
                if stored.contains(&key) { tally.duplicate += 1 } else { tally.accepted += 1 }
            }
            merged.entry(key.at.day()).or_default().insert(key, appended_at);
        }
        let days: BTreeSet<Day> = tail.days.keys().chain(merged.keys()).copied().collect();
        let mut openings = Vec::with_capacity(days.len());
        let mut rows = Vec::new();
        let mut before = tail.before;
        let empty = DayTail::default();
        for day in days {
            let kept = tail.days.get(&day).unwrap_or(&empty);
            openings.push((day, before));
            let last = match merged.remove(&day) {
                Some(fresh) => recompute(kept, fresh, &mut rows),
                None => kept.last,
            };
            if let Some(last) = last {
                (counters.opening, counters.day, counters.last) = (before, last.totals, Some(last.key));
                before = before.plus(last.totals);
            }
        }
        Changes { openings, rows: rows.into(), counters, tallies }
    }
}

/// The rest of a day, fresh crossings included, each total from its predecessor's; returns the day's last row.
fn recompute(kept: &DayTail, fresh: BTreeMap<Key, UnixMs>, rows: &mut Vec<Row>) -> Option<Row> {
    let mut union = fresh;
    // A row that exists keeps the time it was first appended.
    union.extend(kept.rows.iter().map(|row| (row.key, row.appended_at)));
    let mut totals = kept.before;
    for (key, appended_at) in union {
        totals = totals.with(key.direction);
        rows.push(Row { key, totals, appended_at });
    }
    rows.last().copied()
}
