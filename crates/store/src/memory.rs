//! The store in memory: for tests and for trying things out.
//!
//! It keeps what a wide-column store would: each opening, each crossing and the counters of a DPU are one cell, with
//! the stamp of the write that made it. A newer stamp wins; of equal stamps the larger value.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{self, Excluded, Unbounded};
use std::ops::RangeBounds as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};

use crate::value::Record;
use crate::view::{self, View};
use crate::{
    AppendError, Commit, Edits, LedgerWrite, Ledgers, Part, Quarantined, Settings, Source, Stamped, Store, StoreError, segment, value,
};

/// A store that forgets everything with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By number, in the order they came.
    ledgers: Vec<Ledger>,
    numbers: HashMap<DpuId, usize>,
    /// Those that have a ledger, in order.
    dpus: BTreeSet<DpuId>,
    quarantine: BTreeMap<Source, Quarantined>,
    edits: Vec<Edit>,
    settings: Settings,
}

#[derive(Debug, Default)]
struct Ledger {
    /// In order.
    days: Vec<Cells>,
    counters: Option<Cell<Counters>>,
}

/// What is stored of a day.
#[derive(Debug)]
struct Cells {
    day: Day,
    opening: Option<Cell<Totals>>,
    /// In key order.
    rows: Vec<Cell<Row>>,
    /// The last key of these, to append without a look at them.
    last: Option<Key>,
}

/// A value and the stamp it was written with.
#[derive(Debug, Clone, Copy)]
struct Cell<T> {
    stamp_us: i64,
    value: T,
}

impl<T: Copy> Cell<T> {
    /// Takes the place of an older one; of equal stamps the larger encoded value stays, as in Cassandra.
    fn put(self, old: &mut Self, encode: fn(&T) -> Vec<u8>) {
        let tie = || encode(&self.value) > encode(&old.value);
        if self.stamp_us > old.stamp_us || (self.stamp_us == old.stamp_us && tie()) {
            *old = self;
        }
    }

    /// The same, where there may be none yet.
    fn put_first(self, old: &mut Option<Self>, encode: fn(&T) -> Vec<u8>) {
        match old {
            Some(old) => self.put(old, encode),
            None => *old = Some(self),
        }
    }
}

impl State {
    fn ledger(&self, dpu: &DpuId) -> Option<&Ledger> {
        self.ledgers.get(*self.numbers.get(dpu)?)
    }

    /// The number of a DPU's ledger; a new one where it has none.
    fn number(&mut self, dpu: &DpuId) -> usize {
        self.numbers.get(dpu).copied().unwrap_or_else(|| {
            let number = self.ledgers.len();
            self.ledgers.push(Ledger::default());
            self.numbers.insert(dpu.clone(), number);
            self.dpus.insert(dpu.clone());
            number
        })
    }
}

impl Ledger {
    fn write(&mut self, write: &LedgerWrite) {
        let stamp_us = write.stamp_us;
        for (day, totals) in &write.openings {
            if let Some(cells) = self.day(*day) {
                Cell { stamp_us, value: *totals }.put_first(&mut cells.opening, encoded);
            }
        }
        for rows in write.rows.chunk_by(|one, next| one.key.at.day() == next.key.at.day()) {
            if let Some(cells) = rows.first().and_then(|row| self.day(row.key.at.day())) {
                rows.iter().for_each(|row| cells.put(Cell { stamp_us, value: *row }));
            }
        }
        if let Some(counters) = write.counters {
            let encode = |counters: &Counters| value::record(&Record { counters: Some(*counters), ..Record::default() });
            Cell { stamp_us, value: counters }.put_first(&mut self.counters, encode);
        }
    }

    /// The cells of a day, to be written to.
    fn day(&mut self, day: Day) -> Option<&mut Cells> {
        // Mostly the last one.
        let place = match self.days.last() {
            Some(last) if last.day == day => self.days.len() - 1,
            _ => self.days.partition_point(|cells| cells.day < day),
        };
        if self.days.get(place).is_none_or(|cells| cells.day != day) {
            self.days.insert(place, Cells { day, opening: None, rows: Vec::new(), last: None });
        }
        self.days.get_mut(place)
    }

    /// The days up to one, that one included.
    fn until(&self, day: Day) -> &[Cells] {
        let end = self.days.partition_point(|cells| cells.day <= day);
        self.days.get(..end).unwrap_or_default()
    }

    /// The days from one on.
    fn since(&self, day: Day) -> &[Cells] {
        let start = self.days.partition_point(|cells| cells.day < day);
        self.days.get(start..).unwrap_or_default()
    }

    fn last_cell(&self, day: Day, before: Option<Key>) -> Option<Cell<Row>> {
        let Cells { rows, .. } = self.until(day).last().filter(|cells| cells.day == day)?;
        let end = before.map_or(rows.len(), |before| rows.partition_point(|row| row.value.key < before));
        rows.get(..end)?.last().copied()
    }

    fn stamped(&self, before: UnixMs, part: Part) -> Stamped {
        let last_day = before.plus_ms(-1).day();
        let within = |day| {
            let row = self.last_cell(day, Some(Key::first_at(before)));
            row.map_or(Stamped::nothing(Part::WithinDay), |Cell { stamp_us, value: Row { totals, .. } }| Stamped {
                totals,
                part: Part::WithinDay,
                stamp_us,
            })
        };
        if part == Part::WithinDay {
            return within(last_day);
        }
        let latest = self.until(last_day).iter().rev().find_map(|cells| Some((cells.day, cells.opening?)));
        latest.map_or(Stamped::nothing(part), |(day, Cell { stamp_us, value: totals })| Stamped { totals, part, stamp_us }.and(within(day)))
    }
}

impl Cells {
    fn put(&mut self, row: Cell<Row>) {
        let key = row.value.key;
        if self.last < Some(key) {
            self.last = Some(key);
            return self.rows.push(row);
        }
        match self.rows.binary_search_by_key(&key, |old| old.value.key) {
            Ok(place) => {
                if let Some(old) = self.rows.get_mut(place) {
                    row.put(old, |row| segment::encode(std::slice::from_ref(row)));
                }
            }
            Err(place) => self.rows.insert(place, row),
        }
    }

    /// The rows from a key on.
    fn from(&self, key: Key) -> impl Iterator<Item = Row> {
        let place = self.rows.partition_point(|row| row.value.key < key);
        self.rows.iter().skip(place).map(|row| row.value)
    }
}

fn encoded(totals: &Totals) -> Vec<u8> {
    let mut out = Vec::new();
    value::put_totals(&mut out, *totals);
    out
}

impl View for Ledger {
    fn opening(&self, until: Day) -> Result<Option<(Day, Totals)>, StoreError> {
        Ok(self.until(until).iter().rev().find_map(|cells| Some((cells.day, cells.opening?.value))))
    }

    fn openings(&self, from: Day) -> Result<Vec<(Day, Totals)>, StoreError> {
        Ok(self.since(from).iter().filter_map(|cells| Some((cells.day, cells.opening?.value))).collect())
    }

    fn rows(&self, from: Key, until: Bound<Key>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let rows = self.since(from.at.day()).iter().flat_map(|cells| cells.from(from));
        Ok(rows.take_while(|row| (Unbounded, until).contains(&row.key)).take(limit).collect())
    }

    fn last_row(&self, day: Day, before: Option<Key>) -> Result<Option<Row>, StoreError> {
        Ok(self.last_cell(day, before).map(|row| row.value))
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view<T: Default>(&self, dpu: &DpuId, read: impl FnOnce(&Ledger) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.state().ledger(dpu).map_or_else(|| Ok(T::default()), read)
    }
}

#[async_trait]
impl Ledgers for MemoryStore {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        let state = self.state();
        let counters = |dpu| state.ledger(dpu).and_then(|ledger| ledger.counters.as_ref()).map(|cell| cell.value);
        Ok(dpus.iter().map(counters).collect())
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.view(dpu, |ledger| view::tail(ledger, from))
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        let mut state = self.state();
        // First who they are, then what they write: so that one waits less for memory while the other is looked up.
        let numbers: Vec<usize> = commit.ledgers.iter().map(|write| state.number(&write.dpu)).collect();
        for (write, number) in commit.ledgers.iter().zip(numbers) {
            if let Some(ledger) = state.ledgers.get_mut(number) {
                ledger.write(write);
            }
        }
        for one in &commit.quarantine {
            let old = state.quarantine.get(&one.source);
            let new = one.clone().after(old);
            state.quarantine.insert(new.source.clone(), new);
        }
        Ok(())
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        let whole: Vec<_> = before.iter().map(|(dpu, at)| (dpu.clone(), *at, Part::Whole)).collect();
        Ok(self.stamped(&whole).await?.into_iter().map(|one| one.totals).collect())
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        let (state, none) = (self.state(), Ledger::default());
        Ok(before.iter().map(|(dpu, at, part)| state.ledger(dpu).unwrap_or(&none).stamped(*at, *part)).collect())
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.view(dpu, |ledger| view::crossings(ledger, from, until, limit))
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.view(dpu, |ledger| View::openings(ledger, Day(i32::MIN)))
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        let state = self.state();
        let rest = state.dpus.range::<DpuId, _>((after.map_or(Unbounded, Excluded), Unbounded));
        let known = rest.filter_map(|dpu| Some((dpu.clone(), state.ledger(dpu)?.counters.as_ref()?.value)));
        Ok(known.take(limit).collect())
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let state = self.state();
        let rest = state.quarantine.range::<Source, _>((after.map_or(Unbounded, Excluded), Unbounded));
        Ok(rest.take(limit).map(|(_, one)| one.clone()).collect())
    }
}

#[async_trait]
impl Edits for MemoryStore {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        let skip = usize::try_from(revision).unwrap_or(usize::MAX);
        Ok(self.state().edits.iter().skip(skip).cloned().collect())
    }

    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        let mut state = self.state();
        let found = state.edits.len() as u64;
        if found != expected {
            return Err(AppendError::Behind { expected, found });
        }
        state.edits.push(edit.clone());
        Ok(())
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        Ok(self.state().settings.clone())
    }

    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        let mut state = self.state();
        let same = state.settings == *expected;
        if same {
            state.settings = new.clone();
        }
        Ok(same)
    }
}

impl Store for MemoryStore {
    fn size_bytes(&self) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stamp_wins_and_of_equal_ones_the_larger_value() {
        let mut kept = None;
        let totals = |entered| Totals { entered, exited: 0 };
        for (stamp_us, entered, expected) in [(5, 1, 1), (4, 9, 1), (5, 3, 3), (5, 2, 3), (6, 0, 0)] {
            Cell { stamp_us, value: totals(entered) }.put_first(&mut kept, encoded);
            assert_eq!(kept.unwrap().value, totals(expected));
        }
    }
}
