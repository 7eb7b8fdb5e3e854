//! Our ledgers on `PostgreSQL`: what the idea is worth there.
//!
//! The same fold as in the product: a crossing after the last of its DPU is appended without a read, any other is merged.
//! Running totals of the day stand with each crossing, those of all days before in the day's opening, and those of now in
//! the counters, which the one connection that writes a DPU also keeps in memory.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use occupancy::crossing::{Direction, Key};
use occupancy::ledger::{Changes, Counters, DayTail, Fold, Merge, Record, Row, Tail, Totals, fold};
use occupancy::time::UnixMs;
use postgres::{Client, GenericClient, Statement};

use super::{Crossing, Design};

pub(crate) struct Ledger {
    counters: HashMap<i32, Counters>,
    load: Statement,
    openings: Statement,
    crossings: Statement,
    put_counters: Statement,
}

const LOAD: &str = "SELECT dpu, opening_entered, opening_exited, day_entered, day_exited, at, boot, seq, direction, stamp_us
    FROM counters WHERE dpu = ANY($1)";
const OPENINGS: &str = "INSERT INTO openings SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[])
    ON CONFLICT (dpu, day) DO UPDATE SET entered = excluded.entered, exited = excluded.exited";
const CROSSINGS: &str = "INSERT INTO crossings SELECT * FROM
      unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::int[], $7::int[], $8::bigint[])
    ON CONFLICT (dpu, at, boot, seq, direction) DO UPDATE SET entered = excluded.entered, exited = excluded.exited";
const COUNTERS: &str = "INSERT INTO counters SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[],
      $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::smallint[], $10::bigint[])
    ON CONFLICT (dpu) DO UPDATE SET opening_entered = excluded.opening_entered, opening_exited = excluded.opening_exited,
      day_entered = excluded.day_entered, day_exited = excluded.day_exited, at = excluded.at, boot = excluded.boot,
      seq = excluded.seq, direction = excluded.direction, stamp_us = excluded.stamp_us";

impl Design for Ledger {
    const NAME: &str = "PostgreSQL, our ledgers";
    const GROUP: &str = "ledger";
    const TABLES: &str = "
        CREATE TABLE crossings (dpu int, at bigint, boot bigint, seq bigint, direction smallint,
          entered int NOT NULL, exited int NOT NULL, appended_at bigint NOT NULL,
          PRIMARY KEY (dpu, at, boot, seq, direction) INCLUDE (entered, exited));
        CREATE TABLE openings (dpu int, day bigint, entered bigint NOT NULL, exited bigint NOT NULL,
          PRIMARY KEY (dpu, day) INCLUDE (entered, exited));
        CREATE TABLE counters (dpu int PRIMARY KEY, opening_entered bigint NOT NULL, opening_exited bigint NOT NULL,
          day_entered bigint NOT NULL, day_exited bigint NOT NULL, at bigint NOT NULL, boot bigint NOT NULL, seq bigint NOT NULL,
          direction smallint NOT NULL, stamp_us bigint NOT NULL) WITH (fillfactor = 50)";

    fn new(client: &mut Client) -> Result<Self> {
        Ok(Self {
            counters: HashMap::new(),
            load: client.prepare(LOAD)?,
            openings: client.prepare(OPENINGS)?,
            crossings: client.prepare(CROSSINGS)?,
            put_counters: client.prepare(COUNTERS)?,
        })
    }

    fn take(&mut self, client: &mut Client, crossings: &[Crossing]) -> Result<()> {
        let mut records: BTreeMap<i32, (Vec<Key>, UnixMs)> = BTreeMap::new();
        for Crossing { dpu, key, appended_at } in crossings {
            records.entry(*dpu).or_insert_with(|| (Vec::new(), *appended_at)).0.push(*key);
        }
        let unknown: Vec<i32> = records.keys().filter(|dpu| !self.counters.contains_key(dpu)).copied().collect();
        for row in client.query(&self.load, &[&unknown])? {
            self.counters.insert(row.get(0), counters(&row)?);
        }
        let mut transaction = client.transaction()?;
        let (mut openings, mut rows, mut ends) = (Openings::default(), Rows::default(), Ends::default());
        for (dpu, (crossings, appended_at)) in records {
            let record = Record { crossings: crossings.into(), heartbeat: None, appended_at, position: None };
            let counters = self.counters.entry(dpu).or_default();
            let changes = match fold(counters, &[record]) {
                None => continue,
                Some(Fold::Append(changes)) => changes,
                Some(Fold::Merge(merge)) => merged(&mut transaction, dpu, merge)?,
            };
            *counters = changes.counters;
            openings.extend(dpu, &changes);
            rows.extend(dpu, &changes)?;
            ends.push(dpu, &changes.counters)?;
        }
        let Openings { dpus, days, entered, exited } = &openings;
        transaction.execute(&self.openings, &[dpus, days, entered, exited])?;
        let Rows { keys, entered, exited, appended_at } = &rows;
        let Keys { dpus, at, boots, seqs, directions } = keys;
        transaction.execute(&self.crossings, &[dpus, at, boots, seqs, directions, entered, exited, appended_at])?;
        let Ends { keys, totals: [opened, closed, entered, exited], stamps } = &ends;
        let Keys { dpus, at, boots, seqs, directions } = keys;
        transaction.execute(&self.put_counters, &[dpus, opened, closed, entered, exited, at, boots, seqs, directions, stamps])?;
        Ok(transaction.commit()?)
    }

    const COUNT: &str = "SELECT opening.entered - opening.exited + coalesce((
          SELECT (entered - exited)::bigint FROM crossings WHERE dpu = $1 AND at >= opening.day * 86400000 AND at <= $2
          ORDER BY at DESC, boot DESC, seq DESC, direction DESC LIMIT 1), 0)
        FROM openings opening WHERE dpu = $1 AND day <= $2 / 86400000 ORDER BY day DESC LIMIT 1";

    fn totals(client: &mut Client) -> Result<Vec<(usize, i64, i64)>> {
        let rows = client.query("SELECT dpu, opening_entered + day_entered, opening_exited + day_exited FROM counters", &[])?;
        rows.iter().map(|row| Ok((usize::try_from(row.get::<_, i32>(0))?, row.get(1), row.get(2)))).collect()
    }
}

/// What a merge makes of the stored ledger from its first day on.
fn merged(client: &mut impl GenericClient, dpu: i32, merge: Merge) -> Result<Changes> {
    let from = merge.from();
    let start = from.first().context("a merge without a key")?.at.day().start().ms();
    let before = client.query_opt(
        "SELECT opening.entered + crossings.entered, opening.exited + crossings.exited FROM crossings
         JOIN openings opening ON opening.dpu = crossings.dpu AND opening.day = crossings.at / 86400000
         WHERE crossings.dpu = $1 AND crossings.at < $2 ORDER BY at DESC, boot DESC, seq DESC, direction DESC LIMIT 1",
        &[&dpu, &start],
    )?;
    let before = before.map_or_else(|| Ok(Totals::default()), |row| totals(row.get(0), row.get(1)))?;
    let mut tail = Tail { before, days: BTreeMap::new() };
    for row in client.query(
        "SELECT at, boot, seq, direction, entered::bigint, exited::bigint, appended_at FROM crossings WHERE dpu = $1 AND at >= $2
         ORDER BY at, boot, seq, direction",
        &[&dpu, &start],
    )? {
        let key = key(row.get(0), row.get(1), row.get(2), row.get(3))?;
        let row = Row { key, totals: totals(row.get(4), row.get(5))?, appended_at: UnixMs::new(row.get(6))? };
        let day: &mut DayTail = tail.days.entry(key.at.day()).or_default();
        day.last = Some(row);
        match from.iter().find(|first| first.at.day() == key.at.day()) {
            Some(first) if key >= *first => day.rows.push(row),
            Some(_) => day.before = row.totals,
            None => {}
        }
    }
    Ok(merge.apply(&tail))
}

fn totals(entered: i64, exited: i64) -> Result<Totals> {
    Ok(Totals { entered: entered.try_into()?, exited: exited.try_into()? })
}

fn key(at: i64, boot: i64, seq: i64, direction: i16) -> Result<Key> {
    let direction = Direction::try_from(i64::from(direction))?;
    Ok(Key { at: UnixMs::new(at)?, boot: boot.try_into()?, seq: seq.try_into()?, direction })
}

fn counters(row: &postgres::Row) -> Result<Counters> {
    let (opening, day) = (totals(row.get(1), row.get(2))?, totals(row.get(3), row.get(4))?);
    let last = Some(key(row.get(5), row.get(6), row.get(7), row.get(8))?);
    Ok(Counters { opening, day, last, stamp_us: row.get(9), ..Counters::default() })
}

/// Openings, a column each.
#[derive(Default)]
struct Openings {
    dpus: Vec<i32>,
    days: Vec<i64>,
    entered: Vec<i64>,
    exited: Vec<i64>,
}

impl Openings {
    fn extend(&mut self, dpu: i32, changes: &Changes) {
        for (day, totals) in &changes.openings {
            self.dpus.push(dpu);
            self.days.push(day.start().ms() / occupancy::time::DAY_MS);
            self.entered.push(totals.entered.cast_signed());
            self.exited.push(totals.exited.cast_signed());
        }
    }
}

/// What tells a crossing from others.
#[derive(Default)]
struct Keys {
    dpus: Vec<i32>,
    at: Vec<i64>,
    boots: Vec<i64>,
    seqs: Vec<i64>,
    directions: Vec<i16>,
}

impl Keys {
    fn push(&mut self, dpu: i32, key: Key) {
        self.dpus.push(dpu);
        self.at.push(key.at.ms());
        self.boots.push(key.boot.cast_signed());
        self.seqs.push(key.seq.cast_signed());
        self.directions.push(key.direction.sign() as i16);
    }
}

/// Crossings with their totals.
#[derive(Default)]
struct Rows {
    keys: Keys,
    entered: Vec<i32>,
    exited: Vec<i32>,
    appended_at: Vec<i64>,
}

impl Rows {
    fn extend(&mut self, dpu: i32, changes: &Changes) -> Result<()> {
        for row in &changes.rows {
            self.keys.push(dpu, row.key);
            self.entered.push(row.totals.entered.try_into()?);
            self.exited.push(row.totals.exited.try_into()?);
            self.appended_at.push(row.appended_at.ms());
        }
        Ok(())
    }
}

/// Counters: entered and exited before the last day, then within it.
#[derive(Default)]
struct Ends {
    keys: Keys,
    totals: [Vec<i64>; 4],
    stamps: Vec<i64>,
}

impl Ends {
    fn push(&mut self, dpu: i32, counters: &Counters) -> Result<()> {
        self.keys.push(dpu, counters.last.context("counters without a crossing")?);
        let Counters { opening, day, stamp_us, .. } = counters;
        for (column, value) in self.totals.iter_mut().zip([opening.entered, opening.exited, day.entered, day.exited]) {
            column.push(value.cast_signed());
        }
        self.stamps.push(*stamp_us);
        Ok(())
    }
}
