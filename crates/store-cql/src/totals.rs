//! Totals before instants: rows that are read one by one, and yet all of one moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::try_join;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Totals};
use occupancy::time::{DAY_MS, Day, UnixMs};
use store::{COMMIT_PATIENCE, Part, Stamped, StoreError};
use tokio::time::{Instant, sleep};

use crate::CqlStore;
use crate::session::{AT_ONCE, all_of};
use crate::value::{self, timestamp};

/// How long a commit under way is given before all is read again: at first, and at most.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MOST: Duration = Duration::from_millis(200);
/// How often all is read in vain before that is an error.
const TRIES: usize = 40;
/// Of how many DPUs it is remembered that a commit was waited for.
const WAITED_MOST: usize = 10_000;

/// The commits that were waited for in vain: for each DPU the newest stamp.
#[derive(Debug, Default)]
pub(crate) struct Waited(Mutex<HashMap<DpuId, i64>>);

impl Waited {
    /// Whether a commit was waited for as long as one must be, now or before.
    fn long_enough(&self, dpu: &DpuId, stamp_us: i64, waited: Duration) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waited >= COMMIT_PATIENCE {
            if known.len() >= WAITED_MOST {
                known.clear();
            }
            known.insert(dpu.clone(), stamp_us);
        }
        known.get(dpu).is_some_and(|known_us| *known_us >= stamp_us)
    }
}

/// What is asked of one DPU.
type Asked = BTreeSet<(UnixMs, Part)>;
/// What is told of it.
type Told = BTreeMap<(UnixMs, Part), Stamped>;

/// The day of the last ms before an instant.
fn last_day(before: UnixMs) -> Day {
    before.plus_ms(-1).day()
}

impl CqlStore {
    pub(crate) async fn read_stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        let mut asked: BTreeMap<&DpuId, Asked> = BTreeMap::new();
        for (dpu, at, part) in before {
            asked.entry(dpu).or_default().insert((*at, *part));
        }
        let read = |(dpu, asked)| async move { Ok((dpu, self.told(dpu, &asked).await?)) };
        let found: HashMap<&DpuId, Told> = all_of(asked.into_iter().map(read).collect(), AT_ONCE).await?.into_iter().collect();
        let told = |(dpu, at, part): &(DpuId, UnixMs, Part)| found.get(dpu).and_then(|told| told.get(&(*at, *part))).copied();
        Ok(before.iter().map(|one| told(one).unwrap_or(Stamped::nothing(one.2))).collect())
    }

    /// Totals before instants, those of one DPU as of one moment; `part` says what is needed of those of one DPU.
    pub(crate) async fn read_totals(&self, before: &[(DpuId, UnixMs)], part: fn(&[UnixMs]) -> Part) -> Result<Vec<Totals>, StoreError> {
        let mut instants: BTreeMap<&DpuId, Vec<UnixMs>> = BTreeMap::new();
        for (dpu, at) in before {
            instants.entry(dpu).or_default().push(*at);
        }
        let dpus: Vec<DpuId> = instants.keys().copied().cloned().collect();
        let counters = self.read_counters(&dpus).await?;
        let reads = instants.into_iter().map(|(dpu, instants)| {
            let (part, counters) = (part(&instants), counters.get(dpu));
            let asked = instants.into_iter().map(|at| (at, part)).collect();
            self.of_one_moment(dpu, asked, counters.copied())
        });
        let found: HashMap<(&DpuId, UnixMs), Totals> = all_of(reads.collect(), AT_ONCE).await?.into_iter().flatten().collect();
        Ok(before.iter().map(|(dpu, at)| found.get(&(dpu, *at)).copied().unwrap_or_default()).collect())
    }

    /// What is no newer than counters that were read before it is of their state. Where a commit has begun that they do not
    /// tell of, all is read again, until it is done. One that is not in time, as whoever wrote it may be gone, is waited for
    /// once: then what is stored counts, as soon as two reads are alike, so that what they say was so between them.
    async fn of_one_moment<'a>(
        &self,
        dpu: &'a DpuId,
        asked: Asked,
        mut counters: Option<Counters>,
    ) -> Result<Vec<((&'a DpuId, UnixMs), Totals)>, StoreError> {
        let (begun, mut pause) = (Instant::now(), PAUSE);
        let mut last = None;
        for _ in 0..TRIES {
            let told = self.told(dpu, &asked).await?;
            let newest_us = told.values().map(|one| one.stamp_us).max().unwrap_or(i64::MIN);
            let settled = newest_us <= counters.map_or(i64::MIN, |counters| counters.stamp_us);
            let alike = last.as_ref() == Some(&told);
            if settled || (alike && self.waited.long_enough(dpu, newest_us, begun.elapsed())) {
                return Ok(told.into_iter().map(|((at, _), one)| ((dpu, at), one.totals)).collect());
            }
            last = Some(told);
            sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MOST);
            counters = self.read_counters(std::slice::from_ref(dpu)).await?.remove(dpu);
        }
        Err(StoreError::Unavailable(format!("the ledger of {dpu} changed all the while it was read, {TRIES} times")))
    }

    /// The totals of a DPU before some instants, with their stamps. Most often these lie in few days next to each other, and
    /// those were active: so the days are asked at once with the latest openings.
    async fn told(&self, dpu: &DpuId, asked: &Asked) -> Result<Told, StoreError> {
        let days: BTreeSet<Day> = asked.iter().filter(|(_, part)| *part == Part::Whole).map(|(at, _)| last_day(*at)).collect();
        let rows = all_of(asked.iter().map(|(at, _)| self.within_day(dpu, last_day(*at), *at)).collect(), AT_ONCE);
        let latest = async {
            let Some(last) = days.last() else { return Ok(Vec::new()) };
            self.latest_openings(dpu, *last, days.len()).await
        };
        let (latest, rows) = try_join!(latest, rows)?;
        let (latest, most) = (&latest, days.len());
        let told = asked.iter().zip(rows).map(|(one, row)| async move {
            let told = if one.1 == Part::Whole { self.whole(dpu, one.0, row, latest, most).await? } else { row };
            Ok((*one, told))
        });
        Ok(all_of(told.collect(), AT_ONCE).await?.into_iter().collect())
    }

    /// All totals before an instant, from the row of its day and the latest openings: if they are so many, there may be more.
    async fn whole(
        &self,
        dpu: &DpuId,
        before: UnixMs,
        row: Stamped,
        latest: &[(Day, Stamped)],
        most: usize,
    ) -> Result<Stamped, StoreError> {
        let day = last_day(before);
        let opening = match latest.iter().find(|(active, _)| *active <= day) {
            None if latest.len() == most => self.opening(dpu, day).await?,
            found => found.copied(),
        };
        match opening {
            None => Ok(Stamped::nothing(Part::Whole)),
            Some((active, opening)) if active == day => Ok(opening.and(row)),
            Some((active, opening)) => Ok(opening.and(self.within_day(dpu, active, active.start().plus_ms(DAY_MS)).await?)),
        }
    }

    /// The totals of a day before an instant.
    async fn within_day(&self, dpu: &DpuId, day: Day, before: UnixMs) -> Result<Stamped, StoreError> {
        let asked = (self.slot(dpu), day.0, dpu.as_str(), timestamp(before));
        let found = self.db.first(&self.statements.totals_within_day, asked).await?;
        let part = Part::WithinDay;
        Ok(found.map_or(Stamped::nothing(part), |(entered, exited, stamp_us)| Stamped {
            totals: value::totals(entered, exited),
            part,
            stamp_us,
        }))
    }
}
