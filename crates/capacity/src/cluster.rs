//! Kafka, consumers, a cluster, API processes.

mod told;

use crate::load::{Load, Sizes, Sizing};
use crate::measured::{Basis, Cluster, Watching};
use crate::network;
use crate::plan::{Node, Plan, nearest_first};

/// As `headcount` makes topics and keyspaces unless told otherwise, and the most of each it can be told that is a power of
/// two: then one divides the other, and a batch stays within few partitions of the store.
const PARTITIONS: f64 = 16.0;
const PARTITIONS_MOST: f64 = 65_536.0;
const SLOTS: f64 = 4_096.0;
const SLOTS_MOST: f64 = 524_288.0;
/// Rows of a slot and day, at most where slots can be had: those of 25 DPUs at a crossing a minute.
const ROWS_OF_A_SLOT: f64 = 36_000.0;
/// One of two may go without a gap.
const PROCESSES_LEAST: f64 = 2.0;
const MINUTES_OF_A_DAY: f64 = 1_440.0;
const DAYS_OF_A_YEAR: f64 = 365.25;

/// Processor time, in cores at once, that a DPU asks for at each of the two paces.
#[derive(Clone, Copy)]
struct Pace {
    promptly: f64,
    at_the_peak: f64,
}

impl Pace {
    fn most(self) -> f64 {
        self.promptly.max(self.at_the_peak)
    }
}

/// All that the arithmetic rests on.
struct Sum<'a> {
    load: &'a Load,
    sizing: &'a Sizing,
    sizes: &'a Sizes,
    cluster: &'a Cluster,
    node: Node,
    slots: f64,
    watching: Option<Watching>,
}

/// What is bought.
struct Bought {
    partitions: f64,
    consumers: f64,
    apis: f64,
    store_nodes: f64,
    brokers: f64,
    hosts: f64,
}

pub(crate) fn plan(load: &Load, sizing: &Sizing, sizes: &Sizes, cluster: &Cluster, watching: Option<Watching>, basis: Basis) -> Plan {
    let node = Node {
        cores: sizing.node_cores.map_or(cluster.source.cores, f64::from),
        memory_gb: sizing.node_memory_gb.unwrap_or(cluster.source.memory_gib * f64::from(1 << 30) / 1e9),
    };
    let mut sum = Sum { load, sizing, sizes, cluster, node, slots: SLOTS, watching };
    sum.slots = power_of_two(sum.rows() / ROWS_OF_A_SLOT, SLOTS, SLOTS_MOST).max(sum.partitions());
    let bought = sum.bought();
    let mut flows = network::counted(load);
    flows.extend(network::of_cluster(load, sizing, sizes, bought.apis));
    let costs = sum.costs(&bought, network::month_gb(&flows));
    Plan {
        load: *load,
        sizing: *sizing,
        node,
        flows,
        needs: sum.needs(&bought),
        limits: nearest_first(sum.limits(&bought)),
        costs,
        reaches: sum.reaches(&bought),
        assumed: sum.assumed(),
        basis,
    }
}

fn power_of_two(at_least: f64, least: f64, most: f64) -> f64 {
    at_least.max(1.0).log2().ceil().exp2().clamp(least, most)
}

/// How many of something cover a demand; a hair more than whole is whole.
fn whole(demand: f64) -> f64 {
    (demand * (1.0 - 1e-12)).ceil()
}

impl Sum<'_> {
    fn dpus(&self) -> f64 {
        self.load.dpus as f64
    }

    /// Crossings of a day.
    fn rows(&self) -> f64 {
        self.dpus() * self.load.crossings_per_minute * MINUTES_OF_A_DAY
    }

    /// Crossings and heartbeats of one DPU in a second: at the mean, and at the peak.
    fn work(&self) -> (f64, f64) {
        (self.load.of_a_dpu(1.0).work(), self.load.of_a_dpu(self.load.peak_factor).work())
    }

    /// Those of a DPU that are to be prompt.
    fn prompt(&self) -> f64 {
        let (mean, peak) = self.work();
        if self.sizing.prompt_at_peak { peak } else { mean }
    }

    /// Cores of the store for a DPU.
    fn store(&self) -> Pace {
        let copies = f64::from(self.sizing.replication);
        // With more slots than measured a statement gathers fewer rows.
        let gathered = if self.slots > self.cluster.slots { self.cluster.store_alone_s } else { self.cluster.store.gathered_s };
        Pace { promptly: self.prompt() * self.cluster.store.promptly_s * copies, at_the_peak: self.work().1 * gathered * copies }
    }

    /// Cores of the store for queries.
    fn asked(&self) -> f64 {
        let quorum = f64::from(self.sizing.replication / 2 + 1);
        self.load.queries_per_second * self.cluster.count_s * quorum
    }

    /// Cores of consumers for a DPU.
    fn consumer(&self) -> Pace {
        Pace { promptly: self.prompt() * self.cluster.consumer.promptly_s, at_the_peak: self.work().1 * self.cluster.consumer.gathered_s }
    }

    /// Crossings and heartbeats a second that a partition takes.
    fn of_a_partition(&self) -> f64 {
        self.cluster.backlog / self.cluster.partitions * self.sizing.share()
    }

    /// The same of a broker, as much as the only one carried that was measured; every copy counts.
    fn of_a_broker(&self) -> f64 {
        let machines = self.node.cores / self.cluster.source.cores;
        self.cluster.backlog * machines * self.sizing.share() / f64::from(self.sizing.replication)
    }

    /// Memory of a machine that a process may have, in MB.
    fn memory_mb(&self) -> f64 {
        self.node.memory_gb * 1e3 * self.sizing.share()
    }

    /// Memory of all consumers together, and of one API process, in MB.
    fn consumers_mb(&self, consumers: f64) -> f64 {
        self.cluster.consumer_mb * consumers.max(self.dpus() / self.cluster.dpus)
    }

    fn api_mb(&self, apis: f64) -> f64 {
        self.cluster.api_mb * (self.dpus() / self.cluster.dpus).max(1.0) + self.watched_mb(apis)
    }

    fn watched_mb(&self, apis: f64) -> f64 {
        self.watching.map_or(0.0, |watching| self.load.watchers as f64 / apis * watching.each_mb)
    }

    /// Bytes of one copy of what a year brings.
    fn year_bytes(&self) -> f64 {
        self.rows() * DAYS_OF_A_YEAR * self.cluster.crossing_bytes
    }

    /// What disks hold in the end, all copies, in bytes.
    fn stored_bytes(&self) -> f64 {
        self.year_bytes() * self.load.retention_years * f64::from(self.sizing.replication)
    }

    fn log_bytes(&self) -> f64 {
        let reports = network::produced(&self.load.rate(1.0), self.sizes) * self.sizing.log_retention_hours * 3_600.0;
        (reports + network::changes(self.dpus(), self.sizes)) * f64::from(self.sizing.replication)
    }

    fn consumers(&self) -> f64 {
        let busy = whole(self.dpus() * self.consumer().most() / self.sizing.share());
        let held = whole(self.cluster.consumer_mb * self.dpus() / self.cluster.dpus / self.memory_mb());
        busy.max(held).max(PROCESSES_LEAST)
    }

    fn partitions(&self) -> f64 {
        let lanes = self.dpus() * self.work().1 / self.of_a_partition();
        power_of_two(lanes.max(self.consumers()), PARTITIONS, PARTITIONS_MOST)
    }

    fn bought(&self) -> Bought {
        let (share, consumers) = (self.sizing.share(), self.consumers());
        let answering = whole(self.load.queries_per_second * self.cluster.count_s / share);
        let told = self.watching.map_or(0.0, |watching| whole(self.load.watchers as f64 / watching.clients / share));
        let apis = answering.max(told).max(PROCESSES_LEAST);
        let hosts =
            ((consumers + 2.0 * apis) / self.node.cores).max((self.consumers_mb(consumers) + apis * self.api_mb(apis)) / self.memory_mb());
        Bought {
            partitions: self.partitions(),
            consumers,
            apis,
            store_nodes: self.by_processor().max(self.by_disk()).max(f64::from(self.sizing.replication)),
            brokers: whole(self.dpus() * self.work().1 / self.of_a_broker())
                .max(self.brokers_by_disk())
                .max(f64::from(self.sizing.replication)),
            hosts: whole(hosts),
        }
    }

    fn by_processor(&self) -> f64 {
        whole((self.dpus() * self.store().most() + self.asked()) / self.sizing.share() / self.node.cores)
    }

    fn by_disk(&self) -> f64 {
        self.sizing.node_disk_gb.map_or(0.0, |disk_gb| whole(self.stored_bytes() / (disk_gb * 1e9 * self.sizing.share())))
    }

    fn brokers_by_disk(&self) -> f64 {
        self.sizing.node_disk_gb.map_or(0.0, |disk_gb| whole(self.log_bytes() / (disk_gb * 1e9 * self.sizing.share())))
    }
}
