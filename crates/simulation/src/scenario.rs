//! The course of a run: a storm in which processes die, stall, come and go while DPUs report; then quiet, in which all
//! must be consumed; and perhaps the same again over a log created anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ingest::Metrics;
use store::faults::Rng;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::dpu::Dpu;
use crate::gate::{Gate, Life};
use crate::oracle;
use crate::process::Process;
use crate::world::World;

/// How long all may take once nothing goes wrong any more, in ms.
const QUIET_MS: u64 = 60_000;

/// Runs a world to its end.
pub(crate) async fn run(world: &Arc<World>, seed: u64) {
    world.note(format_args!("seed {seed}: {:?}, {:?}", world.plan, world.bug));
    let Ok(metrics) = Metrics::new(&prometheus::Registry::new()) else { return world.wrong("no metrics".to_owned()) };
    let mut hosts = Hosts { world: Arc::clone(world), rng: world.fork(), metrics, started: 0, hosts: Vec::new() };
    let ids = (0..world.plan.dpus).filter_map(|i| format!("d{i}-{seed}").parse().ok());
    let mut dpus: Vec<Dpu> = ids.map(|id| Dpu::new(id, world.fork())).collect();
    dpus = epoch(world, &mut hosts, dpus, world.plan.partitions).await;
    if world.plan.new_epoch {
        // Another number of partitions: DPUs change their homes.
        let partitions = 1 + u32::try_from(world.below(u64::from(world.plan.partitions))).unwrap_or(0);
        dpus = epoch(world, &mut hosts, dpus, partitions).await;
    }
    world.settle().await;
    oracle::compare(world, &dpus).await;
}

/// One epoch of the log, from its creation until all of it is consumed and everybody has left.
async fn epoch(world: &Arc<World>, hosts: &mut Hosts, dpus: Vec<Dpu>, partitions: u32) -> Vec<Dpu> {
    world.log().create(partitions);
    world.group().create(world.log().partitions());
    world.heal(false);
    let mut reporting: JoinSet<Dpu> = JoinSet::new();
    for dpu in dpus {
        reporting.spawn(dpu.run(Arc::clone(world)));
    }
    (0..world.plan.processes).for_each(|_| hosts.start());
    hosts.storm().await;
    world.note(format_args!("quiet"));
    world.heal(true);
    hosts.calm();
    let mut dpus = Vec::new();
    while let Some(Ok(dpu)) = reporting.join_next().await {
        dpus.push(dpu);
    }
    dpus.sort_by(|some, other| some.id.cmp(&other.id));
    hosts.drain().await;
    if world.below(100) < 30 {
        hosts.replay().await;
    }
    dpus
}

/// The processes, and what befalls them.
struct Hosts {
    world: Arc<World>,
    rng: Rng,
    metrics: Metrics,
    started: u64,
    hosts: Vec<Host>,
}

struct Host {
    process: u64,
    gate: Arc<Gate>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
    /// When it goes on, or another takes its place; in ms.
    until_ms: Option<u64>,
}

impl Hosts {
    fn start(&mut self) {
        self.started += 1;
        let (gate, stop) = (Arc::new(Gate::new()), Arc::new(AtomicBool::new(false)));
        self.world.note(format_args!("process {} starts", self.started));
        let process = Process::new(Arc::clone(&self.world), self.started, Arc::clone(&gate), Arc::clone(&stop), self.metrics.clone());
        let task = Handle::current().spawn(process.run());
        self.hosts.push(Host { process: self.started, gate, stop, task, until_ms: None });
    }

    /// Makes trouble for as long as the plan says.
    async fn storm(&mut self) {
        let end_ms = self.world.now_ms() + self.world.plan.storm_ms;
        while self.world.now_ms() < end_ms {
            sleep(Duration::from_millis(1 + self.rng.below(25))).await;
            self.mend();
            self.trouble();
        }
    }

    /// What was to be over by now is over.
    fn mend(&mut self) {
        let now_ms = self.world.now_ms();
        for host in &mut self.hosts {
            if host.gate.life() == Life::Dead && host.until_ms.is_none() {
                host.until_ms = Some(now_ms + self.rng.below(200));
            }
        }
        let over = |host: &mut Host| host.until_ms.is_some_and(|until_ms| until_ms <= now_ms) || host.task.is_finished();
        for mut host in self.hosts.extract_if(.., over).collect::<Vec<_>>() {
            if host.task.is_finished() && !host.stop.load(Ordering::Relaxed) {
                self.world.wrong(format!("process {} ended in a panic", host.process));
            }
            if host.gate.life() == Life::Stalled {
                self.world.note(format_args!("process {} goes on", host.process));
                host.until_ms = None;
                host.gate.set(Life::Running);
                self.hosts.push(host);
            } else {
                host.task.abort();
                self.start();
            }
        }
    }

    /// Something befalls one process, or nothing.
    fn trouble(&mut self) {
        let (now_ms, faults) = (self.world.now_ms(), &self.world.plan.process);
        let Some(host) = usize::try_from(self.rng.below(self.hosts.len() as u64)).ok().and_then(|i| self.hosts.get_mut(i)) else { return };
        let what = self.rng.below(100);
        let (dies, stalls) = (faults.dies, faults.dies + faults.stalls);
        let (loses, restarts) = (stalls + faults.loses_partition, stalls + faults.loses_partition + faults.restarts);
        if host.until_ms.is_some() || host.gate.life() == Life::Dead {
            return;
        }
        if what < dies {
            self.world.note(format_args!("process {} dies", host.process));
            host.gate.set(Life::Dead);
        } else if what < stalls {
            self.world.note(format_args!("process {} stalls", host.process));
            host.gate.set(Life::Stalled);
            host.until_ms = Some(now_ms + 20 + self.rng.below(500));
        } else if what < loses {
            let partition = i32::try_from(self.rng.below(self.world.log().partitions().unsigned_abs().into())).unwrap_or(0);
            self.world.note(format_args!("partition {partition} is to move"));
            self.world.group().want(partition);
        } else if what < restarts {
            self.world.note(format_args!("process {} is told to stop", host.process));
            host.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Whoever is stalled goes on, and in place of the dead others start.
    fn calm(&mut self) {
        let now_ms = self.world.now_ms();
        for host in &mut self.hosts {
            host.until_ms = (host.gate.life() != Life::Running).then_some(now_ms);
        }
        self.mend();
    }

    /// Consumes all there is; then everybody leaves.
    async fn drain(&mut self) {
        loop {
            let consumed = timeout(Duration::from_millis(QUIET_MS), self.consumed()).await;
            self.stop_all().await;
            if consumed.is_err() {
                return self.world.wrong(format!("not all was consumed {QUIET_MS} ms after all was well"));
            }
            // Something may have been sent home once more while they left.
            if !self.behind() {
                return;
            }
        }
    }

    /// An operator sets the group back, and all is consumed once more.
    async fn replay(&mut self) {
        let partitions = self.world.log().partitions();
        for partition in 0..partitions {
            let end = self.world.log().end(partition);
            let offset = self.rng.below(end.unsigned_abs() + 1).cast_signed();
            self.world.note(format_args!("partition {partition} is set back to {offset}"));
            self.world.group().rewind(partition, offset);
        }
        self.drain().await;
    }

    async fn consumed(&mut self) {
        while self.behind() {
            self.mend();
            if self.hosts.is_empty() {
                self.start();
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether some record's offset is not committed.
    fn behind(&self) -> bool {
        let (log, group) = (self.world.log(), self.world.group());
        (0..log.partitions()).any(|partition| group.committed(partition) != log.end(partition))
    }

    /// Everybody leaves in good order.
    async fn stop_all(&mut self) {
        for host in &self.hosts {
            host.stop.store(true, Ordering::Relaxed);
        }
        for host in self.hosts.drain(..) {
            if host.gate.life() == Life::Running {
                let process = host.process;
                if host.task.await.is_err() {
                    self.world.wrong(format!("process {process} ended in a panic"));
                }
            }
        }
    }
}
