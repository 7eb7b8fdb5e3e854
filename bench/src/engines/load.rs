//! A steady rate of crossings into Kafka, each of another DPU, whatever becomes of them; a consumer that takes them in, and
//! an API process that others wait at meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::producer::BaseProducer;
use tokio::time::{Instant, sleep_until, timeout};

use super::backlog::{SLOT_FOR_EACH_DPU, drain};
use super::{Engines, Path, SLOTS, send_gathered, taken_in, until_taken_in};
use crate::figure::Figure;
use crate::fleet::{Fleet, Seen, mix, now};
use crate::kafka::{flush, producer, send};
use crate::rate::Rate;
use crate::served::Served;

/// 100,000 DPUs at a crossing a minute.
pub(super) const PER_S: usize = 1_700;
/// A load that these machines carry easily: what is left of the times is not waiting for a processor.
pub(super) const LIGHT_PER_S: usize = PER_S / 4;
/// How long the same load runs before anything is measured.
pub(super) const WARM_S: usize = 20;
/// What the ids of those who report begin with: others may be in the store too.
const DPU: &str = "load-";
/// Crossings in a record of a history, as firmware sends them that gathers.
const GATHERED: usize = 100;
/// When all that was produced must be in.
const PATIENCE: Duration = Duration::from_secs(600);

/// Who reports, who takes it in, and who answers.
pub(super) struct Load<'a> {
    pub(super) path: Path<'a>,
    pub(super) served: Served,
    pub(super) consumer: Served,
    producer: BaseProducer,
    dpus: usize,
    /// Crossings sent so far at the rate, and by others.
    steady: AtomicUsize,
    others: AtomicUsize,
}

/// What a load took.
pub(super) struct Taken {
    took_s: f64,
    /// Crossings that the consumer took in a second.
    pub(super) per_s: f64,
    /// How long the API process and the consumer kept processors busy, and how long these had nothing to do.
    used: Used,
}

/// In s.
#[derive(Clone, Copy)]
struct Used {
    api: f64,
    consumer: f64,
    idle: f64,
}

impl<'a> Load<'a> {
    /// Starts both over a new path, where every DPU has reported once today.
    pub(super) async fn start(engines: &'a Engines<'a>, name: &str, dpus: usize) -> Result<Self> {
        // Rows one by one, as a steady load writes them: a cluster that has just started is slow until its code is compiled.
        drain(&engines.path(&format!("{name}_warm"), SLOT_FOR_EACH_DPU).await?, &Fleet::new(dpus, 1)).await?;
        let path = engines.path(name, SLOTS).await?;
        let (served, consumer) = (path.serve()?, path.ingest()?);
        let (producer, zero) = (producer(&engines.brokers)?, || AtomicUsize::new(0));
        let load = Self { path, served, consumer, producer, dpus, steady: zero(), others: zero() };
        for _ in 0..dpus {
            load.next()?;
        }
        flush(&load.producer)?;
        load.until_all_in().await?;
        Ok(load)
    }

    /// When measuring may begin, so that the same load has gone on for a while by then.
    pub(super) fn soon() -> Instant {
        Instant::now() + Duration::from_secs(WARM_S as u64)
    }

    /// So many crossings a second for so long, from a moment on, and before it to warm up; others send some of them.
    pub(super) async fn run(&self, from: Instant, per_s: usize, others_per_s: usize, for_s: usize) -> Result<Taken> {
        let own = per_s - others_per_s;
        let rate = |start| Rate { start, per_s: own as f64 };
        let next = |_| self.next();
        rate(from - Duration::from_secs(WARM_S as u64)).each(own * WARM_S, next).await?;
        sleep_until(from).await;
        let (before, in_before) = (self.used()?, taken_in(&self.consumer).await?);
        rate(from).each(own * for_s, next).await?;
        let (took_s, after) = (from.elapsed().as_secs_f64(), self.used()?);
        let per_s = (taken_in(&self.consumer).await? - in_before) / took_s;
        let used = Used { api: after.api - before.api, consumer: after.consumer - before.consumer, idle: after.idle - before.idle };
        Ok(Taken { took_s, per_s, used })
    }

    /// Has the history of a fleet taken in.
    pub(super) async fn take_in(&self, fleet: &Fleet) -> Result<()> {
        self.others.fetch_add(fleet.crossings(), Ordering::Relaxed);
        send_gathered(self.path.engines, &self.path.topic, fleet, GATHERED)?;
        self.until_all_in().await
    }

    /// Sends what another DPU saw.
    pub(super) fn send(&self, dpu: &str, seen: Seen) -> Result<()> {
        self.others.fetch_add(1, Ordering::Relaxed);
        send(&self.producer, &self.path.topic, dpu, [seen])
    }

    /// The next crossing of the load.
    fn next(&self) -> Result<()> {
        let n = self.steady.fetch_add(1, Ordering::Relaxed);
        let (dpu, seq) = (n % self.dpus, n / self.dpus);
        send(&self.producer, &self.path.topic, &format!("{DPU}{dpu}"), [now(direction(n), seq)?])?;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until all that was produced is in.
    async fn until_all_in(&self) -> Result<()> {
        let sent = self.steady.load(Ordering::Relaxed) + self.others.load(Ordering::Relaxed);
        timeout(PATIENCE, until_taken_in(&self.consumer, sent)).await.with_context(|| format!("not all of {sent} crossings are in"))?
    }

    /// Compares the counters of every DPU with the truth, once all is in.
    pub(super) async fn check(&self) -> Result<()> {
        self.until_all_in().await?;
        let sent = self.steady.load(Ordering::Relaxed);
        let truth = |dpu| {
            let all = (dpu..sent).step_by(self.dpus);
            let entered = all.clone().filter(|n| direction(*n) > 0).count();
            (entered, all.count() - entered)
        };
        self.path.check_totals(DPU, self.dpus, truth).await
    }

    pub(super) fn stop(self) -> Result<()> {
        self.served.stop()?;
        self.consumer.stop()
    }

    fn used(&self) -> Result<Used> {
        Ok(Used { api: self.served.busy_s()?, consumer: self.consumer.busy_s()?, idle: idle_s()? })
    }
}

impl Taken {
    /// What the consumer and the API process took of one core, and what was idle of all, in percent; beside that of another
    /// load, if there is one.
    pub(super) fn figures(&self, part: &str, other: Option<(&str, &Self)>) -> [Figure; 3] {
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let figure = |name: &str, seconds: fn(Used) -> f64, cores: f64| {
            let share = |taken: &Self| 100.0 * seconds(taken.used) / taken.took_s / cores;
            let figure = Figure::new(format!("{part}: {name}"), share(self), "%");
            if let Some((what, other)) = other { figure.beside(what, share(other)) } else { figure }
        };
        [
            figure("consumer, of one core", |used| used.consumer, 1.0),
            figure("API process, of one core", |used| used.api, 1.0),
            figure("idle, of all cores", |used| used.idle, cores),
        ]
    }
}

/// Which way the n-th person of the load goes.
fn direction(n: usize) -> i8 {
    if mix(n as u64).is_multiple_of(2) { 1 } else { -1 }
}

/// How long all cores together had nothing to do since the machine started, in s.
fn idle_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().and_then(|line| line.split_whitespace().nth(4)?.parse::<f64>().ok());
    Ok(all.context("the kernel does not tell the idle time")? / 100.0)
}
