//! A tail as a wide-column store reads it: statement by statement, while others write.

use std::collections::BTreeMap;
use std::time::Duration;

use occupancy::crossing::Key;
use occupancy::id::DpuId;
use occupancy::ledger::{DayTail, Row, Tail, Totals};
use occupancy::time::{DAY_MS, Day};
use store::{Ledgers as _, StoreError};
use tokio::time::sleep;

use crate::world::World;

/// What a merge of keys needs, each part read at a time of its own and in any order.
pub(crate) async fn tail(world: &World, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
    let Some(first_day) = from.first().map(|key| key.at.day()) else { return Ok(Tail::default()) };
    let statements = Statements { world, dpu };
    let (mut before, mut later, mut merged) = (Totals::default(), Vec::new(), BTreeMap::new());
    let begin = world.below(3);
    for part in 0..3 {
        match (begin + part) % 3 {
            0 => before = statements.before_day(first_day).await?,
            1 => later = statements.openings_from(first_day).await?,
            _ => {
                for key in from {
                    merged.insert(key.at.day(), statements.day_from(*key).await?);
                }
            }
        }
    }
    merged.retain(|_, day: &mut DayTail| day.last.is_some());
    later.retain(|day| !merged.contains_key(day));
    for day in later {
        merged.insert(day, DayTail { last: statements.rows(day).await?.pop(), ..DayTail::default() });
    }
    Ok(Tail { before, days: merged })
}

/// Each of these sees what is stored at a moment of its own.
struct Statements<'a> {
    world: &'a World,
    dpu: &'a DpuId,
}

impl Statements<'_> {
    async fn pause(&self) {
        sleep(Duration::from_millis(self.world.below(4))).await;
    }

    /// The crossings of a day.
    async fn rows(&self, day: Day) -> Result<Vec<Row>, StoreError> {
        self.pause().await;
        let start = day.start();
        self.world.store.crossings(self.dpu, Key::first_at(start), start.plus_ms(DAY_MS), usize::MAX).await
    }

    async fn openings_from(&self, day: Day) -> Result<Vec<Day>, StoreError> {
        self.pause().await;
        let all = self.world.store.openings(self.dpu).await?;
        Ok(all.into_iter().map(|(found, _)| found).filter(|found| *found >= day).collect())
    }

    /// What a merge rewrites of a day.
    async fn day_from(&self, key: Key) -> Result<DayTail, StoreError> {
        let rows: Vec<Row> = self.rows(key.at.day()).await?.into_iter().filter(|row| row.key >= key).collect();
        let previous = self.rows(key.at.day()).await?.into_iter().rfind(|row| row.key < key);
        let before = previous.map_or(Totals::default(), |row| row.totals);
        Ok(DayTail { before, last: rows.last().copied().or(previous), rows })
    }

    /// The totals before a day, from the latest earlier day that has a crossing.
    async fn before_day(&self, day: Day) -> Result<Totals, StoreError> {
        let mut until = day;
        loop {
            self.pause().await;
            let openings = self.world.store.openings(self.dpu).await?;
            let Some((active, opening)) = openings.into_iter().rfind(|(found, _)| *found < until) else { return Ok(Totals::default()) };
            if let Some(row) = self.rows(active).await?.last() {
                return Ok(opening.plus(row.totals));
            }
            until = active;
        }
    }
}
