//! The ceiling: the driver alone, with none of our code around it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use occupancy::id::DpuId;
use occupancy::time::DAY_MS;
use scylla::SerializeValue;
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlVarint};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cql;
use crate::fleet::{Fleet, seen};
use crate::kafka::PARTITIONS;

/// Crossings written before the counters of their DPUs are: what a partition delivers at once from a backlog.
const CHUNK: usize = 20_000;
/// Rows of a batch, and batches on their way, as the program has them.
pub(super) const BATCH_ROWS: usize = 100;
pub(super) const AT_ONCE: usize = 256;

#[derive(Debug, Clone, SerializeValue)]
struct Totals {
    entered: i64,
    exited: i64,
}

#[derive(Debug, Clone, SerializeValue)]
struct CrossingKey {
    at: CqlTimestamp,
    boot: CqlVarint,
    seq: CqlVarint,
    direction: i8,
}

#[derive(Debug, Clone, SerializeValue)]
struct Position {
    epoch: i64,
    partition: i32,
    log_offset: i64,
}

#[derive(Debug, Clone, SerializeValue)]
struct Counters {
    opening: Totals,
    day: Totals,
    last: CrossingKey,
    heard: CqlTimestamp,
    position: Position,
    stamp_us: i64,
}

/// What writes.
struct Writer {
    session: Session,
    opening: PreparedStatement,
    dpu: PreparedStatement,
    crossing: PreparedStatement,
    counters: PreparedStatement,
    room: Semaphore,
}

/// One DPU of a partition: its number, slot, and totals so far.
struct Dpu {
    number: usize,
    slot: i32,
    totals: Totals,
}

/// Writes the rows the program would make of a backlog: crossings a second.
pub(super) async fn write(session: &Session, keyspace: &str, slots: u32, fleet: &Fleet) -> Result<f64> {
    let writer = Arc::new(Writer::over(session, keyspace).await?);
    let mut partitions: Vec<Vec<Dpu>> = Vec::new();
    partitions.resize_with(PARTITIONS as usize, Vec::new);
    for number in 0..fleet.dpus {
        let hash = format!("d{number}").parse::<DpuId>()?.murmur2();
        let dpu = Dpu { number, slot: i32::try_from(hash % slots)?, totals: Totals { entered: 0, exited: 0 } };
        partitions
            .get_mut(hash as usize % PARTITIONS as usize)
            .into_iter()
            .for_each(|dpus| dpus.push(Dpu { totals: dpu.totals.clone(), ..dpu }));
    }
    let start = Instant::now();
    let mut writing: JoinSet<Result<()>> = JoinSet::new();
    for (dpus, partition) in partitions.into_iter().zip(0..) {
        let (writer, per_dpu) = (Arc::clone(&writer), fleet.per_dpu);
        writing.spawn(async move { writer.partition(dpus, partition, per_dpu).await });
    }
    while let Some(done) = writing.join_next().await {
        done??;
    }
    Ok(fleet.crossings() as f64 / start.elapsed().as_secs_f64())
}

impl Writer {
    async fn over(session: &Session, keyspace: &str) -> Result<Self> {
        let node = session.get_cluster_state().get_nodes_info().first().map(|node| node.address).context("the cluster has no node")?;
        let session = cql::connect([node.to_string()]).await?;
        let prepare = async |text: &str| {
            let mut prepared = session.prepare(text.replace("{ks}", keyspace)).await?;
            prepared.set_is_idempotent(true);
            anyhow::Ok(prepared)
        };
        let opening =
            prepare("INSERT INTO {ks}.dpu_openings (slot, dpu_id, day, entered, exited) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?").await?;
        let dpu = prepare("INSERT INTO {ks}.dpus (directory, dpu_id) VALUES (0, ?) USING TIMESTAMP ?").await?;
        let crossing = "INSERT INTO {ks}.crossings (slot, day, dpu_id, at, boot, seq, direction, entered, exited, appended_at) \
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let crossing = prepare(crossing).await?;
        let counters = prepare("INSERT INTO {ks}.dpu_counters (slot, dpu_id, counters) VALUES (?, ?, ?) USING TIMESTAMP ?").await?;
        Ok(Self { session, opening, dpu, crossing, counters, room: Semaphore::new(AT_ONCE) })
    }

    /// All rows of a partition's DPUs: a chunk's openings, its crossings, then its counters, as a commit has them.
    async fn partition(&self, mut dpus: Vec<Dpu>, partition: i32, per_dpu: usize) -> Result<()> {
        let (count, mut log_offset) = (dpus.len(), 0);
        let mut places = (0..per_dpu).flat_map(|k| (0..count).map(move |place| (k, place))).peekable();
        while places.peek().is_some() {
            let (mut openings, mut named, mut crossings) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            let mut last = BTreeMap::new();
            for (k, place) in places.by_ref().take(CHUNK) {
                let Some(Dpu { number, slot, totals }) = dpus.get_mut(place) else { continue };
                let (seen, id, stamp_us) = (seen(*number, k), format!("d{number}"), 1_704_081_600_000_000_i64 + log_offset);
                let day = i32::try_from(seen.at_ms / DAY_MS)?;
                if k == 0 {
                    push(&mut openings, *slot, (*slot, id.clone(), day, 0_i64, 0_i64, stamp_us));
                    push(&mut named, 0, (id.clone(), stamp_us));
                }
                let way = if seen.direction > 0 { &mut totals.entered } else { &mut totals.exited };
                *way += 1;
                let (at, boot, seq) = (CqlTimestamp(seen.at_ms), whole(1), whole(seen.seq));
                let (entered, exited) = (totals.entered, totals.exited);
                let row = (*slot, day, id, at, boot.clone(), seq.clone(), seen.direction, entered, exited, at, stamp_us);
                push(&mut crossings, (*slot, day), row);
                last.insert(place, (CrossingKey { at, boot, seq, direction: seen.direction }, log_offset, stamp_us));
                log_offset += 1;
            }
            futures_util::try_join!(self.all(&self.opening, openings), self.all(&self.dpu, named))?;
            self.all(&self.crossing, crossings).await?;
            let mut counters = BTreeMap::new();
            for (place, (last, log_offset, stamp_us)) in last {
                let Some(Dpu { number, slot, totals }) = dpus.get(place) else { continue };
                let (opening, position) = (Totals { entered: 0, exited: 0 }, Position { epoch: 1, partition, log_offset });
                let row = Counters { opening, day: totals.clone(), heard: last.at, last, position, stamp_us };
                push(&mut counters, *slot, (*slot, format!("d{number}"), row, stamp_us));
            }
            self.all(&self.counters, counters).await?;
        }
        Ok(())
    }

    /// Writes the rows of each partition of a table together, all partitions at once.
    async fn all<P, V: SerializeRow>(&self, statement: &PreparedStatement, partitions: BTreeMap<P, Vec<V>>) -> Result<()> {
        let batches = partitions.values().flat_map(|rows| rows.chunks(BATCH_ROWS)).map(|rows| async move {
            let _room = self.room.acquire().await?;
            batch(&self.session, statement, rows).await
        });
        let batches: Vec<_> = batches.collect();
        futures_util::stream::iter(batches.into_iter().map(Ok)).try_for_each_concurrent(AT_ONCE, |batch| batch).await
    }
}

/// Writes rows of one partition together.
pub(super) async fn batch<V: SerializeRow>(session: &Session, statement: &PreparedStatement, rows: &[V]) -> Result<()> {
    let statements = rows.iter().map(|_| BatchStatement::PreparedStatement(statement.clone())).collect();
    session.batch(&Batch::new_with_statements(BatchType::Unlogged, statements), rows).await?;
    Ok(())
}

fn push<P: Ord, V>(partitions: &mut BTreeMap<P, Vec<V>>, partition: P, row: V) {
    partitions.entry(partition).or_default().push(row);
}

fn whole(number: usize) -> CqlVarint {
    CqlVarint::from_signed_bytes_be_slice(&(number as i64).to_be_bytes())
}
