//! What each column takes on disk: the rows that the program stored, written anew without it.
//!
//! What a table takes less without a column is what that column costs. These costs need not add up to the table: rows,
//! partitions, the index and the file cost something too, and columns are compressed together.

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, TryStreamExt as _};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::value::{CqlValue, Row};

use super::bare::{AT_ONCE, BATCH_ROWS, batch};
use super::{Engines, GATHERED, SLOTS, send_gathered, until_taken_in};
use crate::args::Plan;
use crate::cql;
use crate::figure::Figure;
use crate::fleet::Fleet;
use crate::weighed::{SETTLING, on_disk, settle};

/// DPUs over busy doorways, with most of a day each.
const BUSY: usize = 100;
/// Crossings of a DPU over a quiet doorway, each sent by itself.
const QUIET_PER_DPU: usize = 12;
/// DPUs in a slot, as 100,000 of them are.
const QUIET_IN_A_SLOT: usize = 24;
/// What the program writes for every crossing, day or DPU, and of it what has columns besides its key.
const TABLES: [&str; 4] = ["crossings", "dpu_openings", "dpu_counters", "dpus"];
const WITH_COLUMNS: usize = 3;

pub(super) async fn weighed(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let busy = Fleet::new(BUSY, plan.columns / BUSY);
    let quiet = Fleet::new(plan.columns / QUIET_PER_DPU, QUIET_PER_DPU);
    let slots = u32::try_from(quiet.dpus.div_ceil(QUIET_IN_A_SLOT))?;
    let mut figures = of_fleet(engines, "busy", &busy, SLOTS, GATHERED).await?;
    figures.extend(of_fleet(engines, "quiet", &quiet, slots, 1).await?);
    Ok(figures)
}

/// Has a fleet's history stored, copies its tables without each column, and weighs them all.
async fn of_fleet(engines: &Engines<'_>, name: &str, fleet: &Fleet, slots: u32, gathered: usize) -> Result<Vec<Figure>> {
    let (session, shape) = (&engines.session, format!("{} crossings a DPU", fleet.per_dpu));
    println!("what columns take on disk, {} DPUs with {shape}", fleet.dpus);
    let path = engines.path(name, slots).await?;
    // Before anything is written: what memory writes out early would stay a file of its own.
    settle(session, &path.keyspace).await?;
    send_gathered(engines, &path.topic, fleet, gathered)?;
    let consumer = path.ingest()?;
    until_taken_in(&consumer, fleet.crossings()).await?;
    consumer.stop()?;
    let mut tables = Vec::new();
    for name in TABLES.into_iter().take(WITH_COLUMNS) {
        let table = Table::read(session, &path.keyspace, name).await?;
        let rows = table.rows.len();
        ensure!(name != "crossings" || rows == fleet.crossings(), "{rows} rows for {} crossings", fleet.crossings());
        table.copy(session, None).await?;
        for column in table.spare() {
            table.copy(session, Some(column)).await?;
        }
        tables.push(Table { rows: Vec::new(), ..table });
    }
    let bytes = on_disk(session, &path.keyspace).await?;
    let each = |table: &str| Ok(*bytes.get(table).with_context(|| format!("{table} is not on disk"))? as f64 / fleet.crossings() as f64);
    let figure = |what: &str, bytes| Figure::new(format!("disk at {shape}: {what}"), bytes, "bytes/crossing");
    let mut figures = vec![figure("all tables, one copy", TABLES.into_iter().map(each).sum::<Result<f64>>()?)];
    for table in TABLES {
        figures.push(figure(&format!("table {table}"), each(table)?));
    }
    for table in &tables {
        let (whole, mut together) = (each(&table.named(None))?, 0.0);
        for column in table.spare() {
            let cost = whole - each(&table.named(Some(column)))?;
            together += cost;
            figures.push(figure(&format!("column {} of {}", column.column_name, table.name), cost));
        }
        figures.push(figure(&format!("these columns of {} together", table.name), together).beside("the table", whole));
    }
    Ok(figures)
}

/// A table and all its rows, each with its stamp behind its columns.
struct Table {
    keyspace: String,
    name: &'static str,
    /// Those of the partition's key first.
    columns: Vec<Column>,
    rows: Vec<Values>,
}

type Values = Vec<Option<CqlValue>>;

/// As the cluster describes it.
#[derive(DeserializeRow)]
struct Column {
    column_name: String,
    kind: String,
    position: i32,
    #[scylla(rename = "type")]
    cql_type: String,
    clustering_order: String,
}

impl Table {
    async fn read(session: &Session, keyspace: &str, name: &'static str) -> Result<Self> {
        let described = "SELECT column_name, kind, position, type, clustering_order FROM system_schema.columns";
        let described = format!("{described} WHERE keyspace_name = '{keyspace}' AND table_name = '{name}'");
        let mut columns = cql::all::<Column>(session, &described).await?;
        columns.sort_by_key(|column| (!column.is("partition_key"), column.position));
        let stamped = &columns.iter().find(|column| column.is("regular")).context("a table without stamps")?.column_name;
        let text = format!("SELECT {}, WRITETIME({stamped}) FROM {keyspace}.{name}", names(&columns));
        let rows = cql::all::<Row>(session, &text).await?.into_iter().map(|row| row.columns).collect();
        Ok(Self { keyspace: keyspace.to_owned(), name, columns, rows })
    }

    /// The columns without which rows are still told apart. Of crossings that is also any after the partition's key; but two DPUs
    /// of a slot may then have one crossing together, one in some thousands.
    fn spare(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is("regular") || (self.name == "crossings" && column.is("clustering")))
    }

    /// What its copy without a column is called.
    fn named(&self, without: Option<&Column>) -> String {
        without.map_or_else(|| format!("{}_whole", self.name), |column| format!("{}_without_{}", self.name, column.column_name))
    }

    /// Writes all rows into a table that lacks a column, with the stamps they have.
    async fn copy(&self, session: &Session, without: Option<&Column>) -> Result<()> {
        let lacks = |column: &Column| without.is_some_and(|without| without.column_name == column.column_name);
        let kept = || self.columns.iter().filter(|column| !lacks(column));
        let copy = format!("{}.{}", self.keyspace, self.named(without));
        session.query_unpaged(create(&copy, &kept()), ()).await?;
        let places = vec!["?"; kept().count()].join(", ");
        let insert = format!("INSERT INTO {copy} ({}) VALUES ({places}) USING TIMESTAMP ?", names(kept()));
        let insert = &session.prepare(insert).await?;
        let lacking = self.columns.iter().position(lacks);
        let of_key = self.columns.iter().filter(|column| column.is("partition_key")).count();
        let partitions = self.rows.chunk_by(|one, next| one.get(..of_key) == next.get(..of_key));
        let batches = partitions.flat_map(|rows| rows.chunks(BATCH_ROWS)).map(|rows| async move {
            let values = |row: &Values| {
                row.iter().enumerate().filter(|(place, _)| Some(*place) != lacking).map(|(_, value)| value.clone()).collect()
            };
            batch(session, insert, &rows.iter().map(values).collect::<Vec<Values>>()).await
        });
        let batches: Vec<_> = batches.collect();
        stream::iter(batches.into_iter().map(Ok)).try_for_each_concurrent(AT_ONCE, |batch| batch).await
    }
}

impl Column {
    fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    columns.into_iter().map(|column| column.column_name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The statement that makes a table of some columns.
fn create<'a>(table: &str, columns: &(impl Iterator<Item = &'a Column> + Clone)) -> String {
    let of = |kind: &'static str| columns.clone().filter(move |column| column.is(kind));
    let all: Vec<_> = columns.clone().map(|column| format!("{} {}", column.column_name, column.cql_type)).collect();
    let order: Vec<_> = of("clustering").map(|column| format!("{} {}", column.column_name, column.clustering_order)).collect();
    format!(
        "CREATE TABLE {table} ({}, PRIMARY KEY (({}), {})) WITH CLUSTERING ORDER BY ({}) AND {SETTLING}",
        all.join(", "),
        names(of("partition_key")),
        names(of("clustering")),
        order.join(", ")
    )
}
