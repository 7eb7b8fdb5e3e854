//! Ledgers, each in parts that say how far they go.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Position, Row, Totals};
use occupancy::time::{Day, UnixMs};

use super::{CopyError, Copying, PAGE};
use crate::{Commit, LedgerWrite, StoreError};

/// The epoch of no log: a position in it means a state of the source, by its stamp.
const UNFINISHED: u32 = u32::MAX;

/// How many crossings a ledger has.
pub(super) fn crossings(counters: &Counters) -> u64 {
    let Totals { entered, exited } = counters.totals();
    entered.saturating_add(exited)
}

/// The stamp of a part after which a ledger holds `done` crossings: one less for each part to come.
fn stamp_us(whole: &Counters, done: u64, part_rows: usize) -> i64 {
    let left = crossings(whole).saturating_sub(done).div_ceil(part_rows as u64).max(1);
    whole.stamp_us.saturating_sub_unsigned(left)
}

/// The counters of a part that ends with a crossing.
fn part(whole: &Counters, opening: Totals, last: &Row, part_rows: usize) -> Counters {
    let position = Position { epoch: UNFINISHED, partition: 0, offset: whole.stamp_us };
    let part = Counters { opening, day: last.totals, last: Some(last.key), position: Some(position), ..Counters::default() };
    Counters { stamp_us: stamp_us(whole, crossings(&part), part_rows), ..part }
}

/// Whether a ledger is a part of that one, and the rest of it can follow.
fn is_part_of(there: &Counters, whole: &Counters, part_rows: usize) -> bool {
    let of = Position { epoch: UNFINISHED, partition: 0, offset: whole.stamp_us };
    there.position == Some(of) && there.stamp_us == stamp_us(whole, crossings(there), part_rows)
}

impl Copying<'_> {
    pub(super) async fn copy_ledgers(&self, told: &dyn Fn(u64)) -> Result<(), CopyError> {
        let mut after = None;
        loop {
            let page = self.source.dpus(after.as_ref(), PAGE).await?;
            let dpus: Vec<DpuId> = page.iter().map(|(dpu, _)| dpu.clone()).collect();
            let there = self.target.counters(&dpus).await?;
            let copies = page.iter().zip(there).map(|((dpu, whole), there)| self.copy_ledger(dpu, whole, there, told));
            stream::iter(copies).buffer_unordered(self.at_once.max(1)).try_collect::<()>().await?;
            match page.into_iter().nth(PAGE - 1) {
                None => return Ok(()),
                Some((last, _)) => after = Some(last),
            }
        }
    }

    async fn copy_ledger(&self, dpu: &DpuId, whole: &Counters, there: Option<Counters>, told: &dyn Fn(u64)) -> Result<(), CopyError> {
        let mut last = match there {
            None => None,
            Some(there) if there == *whole => {
                told(crossings(whole));
                return Ok(());
            }
            Some(there) if is_part_of(&there, whole, self.part_rows) => {
                told(crossings(&there));
                there.last
            }
            Some(_) => return Err(CopyError::Changed(dpu.clone())),
        };
        let openings = self.source.openings(dpu).await?;
        let mut written = last.map_or(0, |last| up_to(&openings, last.at.day()));
        loop {
            let (rows, more) = self.next_rows(dpu, last).await?;
            let end = rows.last().filter(|_| more).map(|row| (up_to(&openings, row.key.at.day()), row));
            let (until, counters) = match end {
                None => (openings.len(), *whole),
                Some((until, row)) => (until, part(whole, opening_of(&openings, row.key.at.day()), row, self.part_rows)),
            };
            last = counters.last;
            told(rows.len() as u64);
            let openings = openings.get(written..until).unwrap_or_default().to_vec();
            written = until;
            let write =
                LedgerWrite { dpu: dpu.clone(), stamp_us: counters.stamp_us, openings, rows: rows.into(), counters: Some(counters) };
            self.target.commit(Commit { ledgers: vec![write], quarantine: Vec::new() }.into()).await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// The next part of a ledger, and whether there is more of it.
    async fn next_rows(&self, dpu: &DpuId, last: Option<Key>) -> Result<(Vec<Row>, bool), StoreError> {
        let part_rows = self.part_rows.max(1);
        let from = last.unwrap_or(Key::first_at(UnixMs::MIN));
        // The last one comes again, and one that tells whether there are more.
        let mut rows = self.source.crossings(dpu, from, UnixMs::MAX, part_rows + 2).await?;
        rows.retain(|row| last.is_none_or(|last| row.key > last));
        let more = rows.len() > part_rows;
        rows.truncate(part_rows);
        Ok((rows, more))
    }
}

/// How many openings there are up to a day.
fn up_to(openings: &[(Day, Totals)], day: Day) -> usize {
    openings.partition_point(|(one, _)| *one <= day)
}

/// The totals before a day that has crossings.
fn opening_of(openings: &[(Day, Totals)], day: Day) -> Totals {
    let found = up_to(openings, day).checked_sub(1).and_then(|i| openings.get(i));
    found.map(|(_, totals)| *totals).unwrap_or_default()
}
