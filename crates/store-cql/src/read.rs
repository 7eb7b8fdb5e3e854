//! Reads of ledgers: those that do not need each other go out together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::stream::{Stream, TryStreamExt};
use futures_util::try_join;
use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, DayTail, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};
use scylla::value::CqlTimestamp;
use store::{Part, Stamped, StoreError};

use crate::CqlStore;
use crate::session::{AT_ONCE, all_of, first_of};
use crate::value::{self, CqlCounters, CrossingColumns, Whole, corrupt, sign, timestamp};

/// How many DPUs of a slot are asked for in one statement.
const DPUS_AT_ONCE: usize = 100;
/// How many entries of the directory are read at once.
const DIRECTORY_PAGE: usize = 1000;
/// How many days of a long walk are read ahead.
const DAYS_AHEAD: usize = 2;

/// A limit as the database takes it.
pub(crate) fn cql_limit(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

fn opening((day, entered, exited): (i32, i64, i64)) -> (Day, Totals) {
    (Day(day), value::totals(entered, exited))
}

/// An opening, and its stamp.
fn stamped_opening((day, entered, exited, stamp_us): (i32, i64, i64, i64)) -> (Day, Stamped) {
    (Day(day), Stamped { totals: value::totals(entered, exited), part: Part::Whole, stamp_us })
}

impl CqlStore {
    /// The counters of those of the DPUs that have some.
    pub(crate) async fn read_counters(&self, dpus: &[DpuId]) -> Result<HashMap<DpuId, Counters>, StoreError> {
        let mut slots: BTreeMap<i32, BTreeSet<&str>> = BTreeMap::new();
        for dpu in dpus {
            slots.entry(self.slot(dpu)).or_default().insert(dpu.as_str());
        }
        let slots = slots.into_iter().map(|(slot, dpus)| (slot, dpus.into_iter().collect::<Vec<_>>()));
        let asked: Vec<(i32, Vec<&str>)> =
            slots.flat_map(|(slot, dpus)| dpus.chunks(DPUS_AT_ONCE).map(|some| (slot, some.to_vec())).collect::<Vec<_>>()).collect();
        let reads = asked.into_iter().map(|asked| self.db.all::<(String, CqlCounters)>(&self.statements.counters, asked)).collect();
        let found = all_of(reads, AT_ONCE).await?;
        let read = |(dpu, cell): (String, CqlCounters)| Ok((dpu.parse().map_err(corrupt)?, cell.try_into()?));
        found.into_iter().flatten().map(read).collect()
    }

    /// The DPUs after one, in order; the directory may name some that have no counters yet.
    pub(crate) async fn read_dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        let mut found = Vec::new();
        let mut after = after.map(|dpu| dpu.as_str().to_owned()).unwrap_or_default();
        while found.len() < limit {
            let page = (limit - found.len()).min(DIRECTORY_PAGE);
            let named: Vec<(String,)> = self.db.all(&self.statements.dpus, (&after, cql_limit(page))).await?;
            let dpus: Vec<DpuId> = named.iter().map(|(dpu,)| dpu.parse().map_err(corrupt)).collect::<Result<_, _>>()?;
            let mut counters = self.read_counters(&dpus).await?;
            found.extend(dpus.into_iter().filter_map(|dpu| counters.remove_entry(&dpu)));
            match named.into_iter().next_back() {
                Some((last,)) => after = last,
                None => break,
            }
        }
        Ok(found)
    }

    /// The latest openings at or before a day, newest first.
    pub(crate) async fn latest_openings(&self, dpu: &DpuId, until: Day, limit: usize) -> Result<Vec<(Day, Stamped)>, StoreError> {
        let asked = (self.slot(dpu), dpu.as_str(), until.0, cql_limit(limit));
        let found = self.db.few(&self.statements.latest_openings, asked).await?;
        Ok(found.into_iter().map(stamped_opening).collect())
    }

    /// The latest opening at or before a day.
    pub(crate) async fn opening(&self, dpu: &DpuId, until: Day) -> Result<Option<(Day, Stamped)>, StoreError> {
        Ok(self.latest_openings(dpu, until, 1).await?.pop())
    }

    /// The openings within two days, both included, in order.
    pub(crate) async fn read_openings(
        &self,
        dpu: &DpuId,
        from: Day,
        until: Day,
    ) -> Result<impl Stream<Item = Result<(Day, Totals), StoreError>> + Send + 'static, StoreError> {
        let asked = (self.slot(dpu), dpu.as_str(), from.0, until.0);
        Ok(self.db.rows(&self.statements.openings, asked).await?.map_ok(opening))
    }

    /// The last crossing of a day.
    async fn last_crossing(&self, dpu: &DpuId, day: Day) -> Result<Option<Row>, StoreError> {
        let found = self.db.first(&self.statements.last_crossing, (self.slot(dpu), day.0, dpu.as_str())).await?;
        found.map(value::row).transpose()
    }

    /// The last crossing of a day before a key.
    async fn crossing_before(&self, dpu: &DpuId, day: Day, key: Key) -> Result<Option<Row>, StoreError> {
        let Key { at, boot, seq, direction } = key;
        let asked = (self.slot(dpu), day.0, dpu.as_str(), timestamp(at), Whole(boot), Whole(seq), sign(direction));
        self.db.first(&self.statements.crossing_before, asked).await?.map(value::row).transpose()
    }

    /// The first crossings of a day from a key on and with `at` before an instant; before the day's end where it is `None`.
    async fn crossings_within(
        &self,
        dpu: &DpuId,
        day: Day,
        from: Key,
        until: Option<UnixMs>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Key { at, boot, seq, direction } = from;
        let until = until.map_or(CqlTimestamp(i64::MAX), timestamp);
        let from = (timestamp(at), Whole(boot), Whole(seq), sign(direction));
        let asked =
            (self.slot(dpu), day.0, dpu.as_str(), from.0, from.1, from.2, from.3, until, Whole(0), Whole(0), -1_i8, cql_limit(limit));
        let rows: Vec<CrossingColumns> = self.db.all(&self.statements.crossings, asked).await?;
        rows.into_iter().map(value::row).collect()
    }

    pub(crate) async fn read_crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        if limit == 0 || from >= Key::first_at(until) {
            return Ok(Vec::new());
        }
        let days = self.read_openings(dpu, from.at.day(), until.plus_ms(-1).day()).await?;
        let rows = days.map_ok(|(day, _)| self.crossings_within(dpu, day, from, Some(until), limit));
        first_of(rows.try_buffered(DAYS_AHEAD), limit).await
    }

    pub(crate) async fn read_tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        let Some(first) = from.first().map(|key| key.at.day()) else {
            return Ok(Tail::default());
        };
        let later = async { self.read_openings(dpu, first, Day(i32::MAX)).await?.try_collect::<Vec<_>>().await };
        let merged = all_of(from.iter().map(|key| self.day_from(dpu, *key)).collect(), AT_ONCE);
        let (later, merged, before) = try_join!(later, merged, self.before_day(dpu, first))?;
        let merged: BTreeMap<Day, DayTail> = merged.into_iter().collect();
        let kept = later.into_iter().map(|(day, _)| day).filter(|day| merged.get(day).is_none_or(|day| day.last.is_none()));
        let kept = kept.map(|day| async move { Ok((day, DayTail { last: self.last_crossing(dpu, day).await?, ..DayTail::default() })) });
        let mut days: BTreeMap<Day, DayTail> = all_of(kept.collect(), AT_ONCE).await?.into_iter().collect();
        days.extend(merged.into_iter().filter(|(_, day)| day.last.is_some()));
        Ok(Tail { before, days })
    }

    /// What a merge rewrites of the day of its first key.
    async fn day_from(&self, dpu: &DpuId, key: Key) -> Result<(Day, DayTail), StoreError> {
        let day = key.at.day();
        let (rows, previous) = try_join!(self.crossings_within(dpu, day, key, None, usize::MAX), self.crossing_before(dpu, day, key))?;
        let before = previous.map_or(Totals::default(), |row| row.totals);
        let last = rows.last().copied().or(previous);
        Ok((day, DayTail { before, rows, last }))
    }

    /// The totals before a day, from the latest earlier day that holds a row: an opening without rows may be what a crash left.
    async fn before_day(&self, dpu: &DpuId, day: Day) -> Result<Totals, StoreError> {
        let mut until = day;
        while let Some((day, opening)) = self.opening(dpu, Day(until.0.saturating_sub(1))).await? {
            if let Some(row) = self.last_crossing(dpu, day).await? {
                return Ok(opening.totals.plus(row.totals));
            }
            until = day;
        }
        Ok(Totals::default())
    }
}
