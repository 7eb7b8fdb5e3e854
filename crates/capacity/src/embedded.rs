//! One machine with the embedded store.

use crate::load::{Load, Sizes, Sizing};
use crate::measured::{Basis, Embedded, Watching};
use crate::network;
use crate::plan::{Cost, Limit, Need, Node, Plan, Reach, nearest_first, whole_dpus};

const MINUTES_OF_A_YEAR: f64 = 365.25 * 1_440.0;

/// All that the arithmetic rests on.
struct Sum<'a> {
    load: &'a Load,
    sizing: &'a Sizing,
    machine: &'a Embedded,
    node: Node,
    watching: Option<Watching>,
}

pub(crate) fn plan(load: &Load, sizing: &Sizing, sizes: &Sizes, machine: &Embedded, watching: Option<Watching>, basis: Basis) -> Plan {
    let node = Node {
        cores: sizing.node_cores.map_or(machine.source.cores, f64::from),
        memory_gb: sizing.node_memory_gb.unwrap_or(machine.source.memory_gib * f64::from(1 << 30) / 1e9),
    };
    let sum = Sum { load, sizing, machine, node, watching };
    let mut flows = network::counted(load);
    flows.extend(network::of_embedded(load, sizes));
    Plan {
        load: *load,
        sizing: *sizing,
        node,
        needs: sum.needs(),
        limits: nearest_first(sum.limits()),
        costs: sum.costs(network::month_gb(&flows)),
        reaches: sum.reaches(),
        assumed: sum.assumed(),
        basis,
        flows,
    }
}

impl Sum<'_> {
    fn dpus(&self) -> f64 {
        self.load.dpus as f64
    }

    /// How many times the machine that was measured this one is.
    fn machines(&self) -> f64 {
        self.node.cores / self.machine.source.cores
    }

    /// The share of such a machine that queries take.
    fn asked(&self) -> f64 {
        self.load.queries_per_second / self.machine.counts
    }

    /// The share that one DPU takes at the peak: by its posts, and by the crossings in them.
    fn posted(&self) -> f64 {
        self.load.of_a_dpu(self.load.peak_factor).sent() / self.machine.posts
    }

    fn gathered(&self) -> f64 {
        self.load.of_a_dpu(self.load.peak_factor).work() / self.machine.gathered
    }

    fn memory_mb(&self) -> f64 {
        self.machine.idle_mb + self.machine.hung_mb * self.dpus() / self.machine.dpus + self.watched_mb()
    }

    fn watched_mb(&self) -> f64 {
        self.watching.map_or(0.0, |watching| self.load.watchers as f64 * watching.each_mb)
    }

    fn year_bytes(&self) -> f64 {
        self.dpus() * self.load.crossings_per_minute * MINUTES_OF_A_YEAR * self.machine.crossing_bytes
    }

    fn stored_bytes(&self) -> f64 {
        self.year_bytes() * self.load.retention_years
    }

    fn needs(&self) -> Vec<Need> {
        let need = |id, what, amount, unit, because: String| Need { id, what, amount, unit, because };
        let share = self.sizing.share();
        let busy = (self.dpus() * self.posted().max(self.gathered()) + self.asked()) / self.machines();
        vec![
            need("processor", "of what the machine can do, at the peak", 100.0 * busy, "%", format!("{:.0} % may be used", 100.0 * share)),
            need("memory", "memory", self.memory_mb() * 1e6, "B", "DPUs that hang over doorways, and clients that watch".to_owned()),
            need("disk_year", "crossings on disk, a year", self.year_bytes(), "B", {
                format!("{:.1} bytes a crossing", self.machine.crossing_bytes)
            }),
            need("disk_kept", "the same for as long as asked", self.stored_bytes(), "B", format!("{} years", self.load.retention_years)),
            need("disk_store", "disk", self.stored_bytes() / share, "B", format!("{:.0} % of it free", 100.0 * self.sizing.head_room)),
        ]
    }

    fn limits(&self) -> Vec<Limit> {
        const CORES: Option<&str> = Some("more cores, or a cluster");
        const REFUSED: &str = "posts wait, and are refused";
        let limit = |id, what, dpus, raised_by, then| Limit { id, what, dpus: whole_dpus(dpus), raised_by, then };
        let free = self.sizing.share() * self.machines() - self.asked();
        let room_mb = self.node.memory_gb * 1e3 * self.sizing.share() - self.machine.idle_mb - self.watched_mb();
        let mut limits = vec![
            limit("posts", "posts, at the peak", free / self.posted(), CORES, REFUSED),
            limit("crossings", "crossings, at the peak", free / self.gathered(), CORES, REFUSED),
            limit("memory", "memory", room_mb / self.machine.hung_mb * self.machine.dpus, Some("more memory, or a cluster"), {
                "the server is ended"
            }),
        ];
        if let Some(disk_gb) = self.sizing.node_disk_gb {
            let room = disk_gb * 1e9 * self.sizing.share();
            let dpus = room / (self.stored_bytes() / self.dpus());
            limits.push(limit("disk", "disk", dpus, Some("more disk, or a cluster"), "nothing is taken in"));
        }
        limits
    }

    fn costs(&self, month_gb: f64) -> Vec<Cost> {
        let prices = self.sizing.prices;
        let disk_gb = self.stored_bytes() / self.sizing.share() / 1e9;
        vec![
            Cost { id: "nodes", what: "machine".to_owned(), amount: 1.0, flag: "--node-price", price: prices.node },
            Cost { id: "disk", what: "GB of disk, at the end".to_owned(), amount: disk_gb, flag: "--disk-price", price: prices.disk_gb },
            Cost { id: "network", what: "GB sent".to_owned(), amount: month_gb, flag: "--network-price", price: prices.network_gb },
        ]
    }

    fn reaches(&self) -> Vec<Reach> {
        let (machine, dpus, peak) = (self.machine, self.dpus(), self.load.of_a_dpu(self.load.peak_factor));
        let stored = self.year_bytes() / machine.crossing_bytes * self.load.retention_years;
        let reach = |id, what, planned, measured| Reach { id, what, planned, measured };
        let mut reaches = vec![
            reach("dpus", "DPUs", dpus, machine.dpus),
            reach("posts", "posts/s, at the peak", dpus * peak.sent(), machine.posts),
            reach("crossings", "crossings and heartbeats/s, at the peak", dpus * peak.work(), machine.gathered),
            reach("cores", "cores of a machine", self.node.cores, machine.source.cores),
            reach("stored", "crossings stored", stored, machine.stored),
        ];
        if self.load.queries_per_second > 0.0 {
            reaches.push(reach("queries", "counts/s", self.load.queries_per_second, machine.counts));
        }
        if let Some(watching) = self.watching {
            reaches.push(reach("watchers", "clients that watch", self.load.watchers as f64, watching.clients));
        }
        reaches
    }

    fn assumed(&self) -> Vec<String> {
        let cores = self.machine.source.cores;
        vec![
            format!("speed grows with cores; {cores} were measured, shared with the client"),
            "posts arrive over kept connections, 100 at once; a heartbeat is as much work as a post of crossings".to_owned(),
            "queries are counts of rooms with two doorways; those of a campus cost what all its doorways cost".to_owned(),
            "intake and queries share the machine, each in proportion".to_owned(),
            "disk was measured with crossings that came 1,000 of a DPU at once, and the journals included".to_owned(),
            "bytes sent are computed from the format, without TCP, TLS, and answers".to_owned(),
            "there is one copy: backups are yours".to_owned(),
        ]
    }
}
