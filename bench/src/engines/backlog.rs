//! A backlog of 100,000 DPUs, from Kafka into the cluster, beside the same rows written by the driver alone.

use std::time::Duration;

use anyhow::Result;

use super::{Engines, Path, SLOTS, bare, drain_rate, send_all};
use crate::args::Plan;
use crate::figure::{Aim, Figure};
use crate::fleet::{Fleet, seen};
use crate::kafka::PARTITIONS;

/// So many slots that hardly two DPUs share one.
pub(super) const SLOT_FOR_EACH_DPU: u32 = 1_000_000;
/// Crossings of each DPU that warm the cluster up.
const WARM_PER_DPU: usize = 3;
/// One in so many crossings goes into a keyspace without slots: it is slow.
const ALONE_SHARE: usize = 5;
/// When it must be done.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a consumer process did with a backlog.
#[derive(Clone, Copy)]
pub(super) struct Drained {
    crossings_per_s: f64,
    busy_s: f64,
    resident_mb: f64,
}

pub(super) async fn drained(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let dpus = plan.reporting_dpus;
    let fleet = Fleet::new(dpus, plan.backlog.div_ceil(dpus));
    println!("a backlog of {} crossings of {dpus} DPUs, in {PARTITIONS} partitions", fleet.crossings());
    // Neither is to be the first: a cluster that has just started is slow until its code is compiled.
    let warm = engines.path("warm", SLOTS).await?;
    bare::write(&engines.session, &warm.keyspace, SLOTS, &Fleet::new(dpus, WARM_PER_DPU)).await?;
    // Each is once before the other and once after it, as the cluster goes on warming up, and filling.
    let first = drain(&engines.path("slots", SLOTS).await?, &fleet).await?;
    let mut bare = Vec::new();
    for name in ["bare", "bare_again"] {
        let path = engines.path(name, SLOTS).await?;
        bare.push(bare::write(&engines.session, &path.keyspace, SLOTS, &fleet).await?);
    }
    let measured = drain(&engines.path("slots_again", SLOTS).await?, &fleet).await?.between(first);
    let bare = bare.iter().sum::<f64>() / bare.len() as f64;
    let alone_path = engines.path("alone", SLOT_FOR_EACH_DPU).await?;
    let alone = drain(&alone_path, &Fleet::new(dpus, fleet.per_dpu.div_ceil(ALONE_SHARE))).await?;
    let share = measured.crossings_per_s / bare;
    Ok(vec![
        Figure::new("backlog from Kafka into the cluster", measured.crossings_per_s, "crossings/s")
            .id("backlog")
            .beside("the bare driver writing the same rows", bare)
            .aim(Aim::AtLeast(25_000.0)),
        Figure::new("the same, as a share of the bare driver", share, "times").aim(Aim::AtLeast(0.8)),
        Figure::new("the same, a slot for each DPU", alone.crossings_per_s, "crossings/s")
            .id("backlog_alone")
            .beside("in 4,096 slots", measured.crossings_per_s),
        Figure::new("consumer: processor time for a million crossings", measured.busy_s * 1e6 / fleet.crossings() as f64, "s")
            .id("consumer_processor"),
        Figure::new(format!("consumer: memory at the end, {dpus} DPUs"), measured.resident_mb, "MB").id("consumer_memory"),
    ])
}

impl Drained {
    /// Halfway between two.
    fn between(self, other: Self) -> Self {
        Self {
            crossings_per_s: f64::midpoint(self.crossings_per_s, other.crossings_per_s),
            busy_s: f64::midpoint(self.busy_s, other.busy_s),
            resident_mb: f64::midpoint(self.resident_mb, other.resident_mb),
        }
    }
}

/// Produces the backlog, then has one consumer process take it in.
pub(super) async fn drain(path: &Path<'_>, fleet: &Fleet) -> Result<Drained> {
    send_all(path.engines, &path.topic, fleet)?;
    let consumer = path.ingest()?;
    let crossings_per_s = drain_rate(&consumer, fleet.crossings(), PATIENCE).await?;
    let (busy_s, resident_mb) = (consumer.busy_s()?, consumer.resident_mb()?);
    consumer.stop()?;
    let truth = |dpu| {
        let entered = (0..fleet.per_dpu).filter(|k| seen(dpu, *k).direction > 0).count();
        (entered, fleet.per_dpu - entered)
    };
    path.check_totals("d", fleet.dpus, truth).await?;
    Ok(Drained { crossings_per_s, busy_s, resident_mb })
}
