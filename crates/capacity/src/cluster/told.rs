//! What a plan for a cluster tells: needs, limits, costs, how far it reaches, what it assumes.

use super::{Bought, PARTITIONS_MOST, Pace, ROWS_OF_A_SLOT, Sum};
use crate::measured::Cluster;
use crate::plan::{Cost, Limit, Need, Reach, whole_dpus};
use crate::text::count;

impl Sum<'_> {
    pub(super) fn needs(&self, bought: &Bought) -> Vec<Need> {
        let Bought { partitions, consumers, apis, store_nodes, brokers, hosts } = *bought;
        let (share, copies) = (self.sizing.share(), f64::from(self.sizing.replication));
        let need = |id, what, amount, unit, because: String| Need { id, what, amount, unit, because };
        let pace = |pace: Pace| if pace.promptly >= pace.at_the_peak { "counts that are prompt" } else { "the peak" };
        let nodes_for = if self.by_disk() > self.by_processor().max(copies) {
            "disk".to_owned()
        } else if self.by_processor() > copies {
            format!("processor time, for {}", pace(self.store()))
        } else {
            format!("{copies} copies, each on a node of its own")
        };
        let rows = self.rows() / self.slots;
        let cores = self.node.cores;
        vec![
            need("partitions", "Kafka partitions", partitions, "", {
                format!("`--partitions`, a power of two; {} crossings/s each", count(self.of_a_partition()))
            }),
            need("brokers", "Kafka brokers", brokers, "", format!("{cores} cores each; what the measured one carried; {copies} copies")),
            need("consumers", "consumer processes", consumers, "", format!("a core each, for {}", pace(self.consumer()))),
            need("api_processes", "API processes", apis, "", "a core to answer, one to follow what changes".to_owned()),
            need("process_nodes", "machines for these processes", hosts, "", format!("{cores} cores each")),
            need("store_nodes", "store nodes", store_nodes, "", format!("{cores} cores each; {nodes_for}")),
            need(
                "slots",
                "slots of the keyspace",
                self.slots,
                "",
                format!("`migrate --slots`, for good; {} rows in a slot and day", count(rows)),
            ),
            need("consumer_memory", "memory of all consumers", self.consumers_mb(consumers) * 1e6, "B", {
                format!("{:.0} MB each", self.consumers_mb(consumers) / consumers)
            }),
            need("api_memory", "memory of an API process", self.api_mb(apis) * 1e6, "B", "it holds every DPU".to_owned()),
            need("disk_year", "crossings on disk, a year, one copy", self.year_bytes(), "B", {
                format!("{:.1} bytes a crossing", self.cluster.crossing_bytes)
            }),
            need("disk_kept", "the same for as long as asked, all copies", self.stored_bytes(), "B", {
                format!("{} years, {copies} copies", self.load.retention_years)
            }),
            need("disk_store", "disk of the store", self.stored_bytes() / share, "B", {
                format!(
                    "{} GB a node, {:.0} % of it free",
                    count(self.stored_bytes() / share / store_nodes / 1e9),
                    100.0 * self.sizing.head_room
                )
            }),
            need("disk_log", "disk of Kafka", self.log_bytes() / share, "B", {
                format!("reports of {} hours, {copies} copies", self.sizing.log_retention_hours)
            }),
        ]
    }

    pub(super) fn limits(&self, bought: &Bought) -> Vec<Limit> {
        const NODES: Option<&str> = Some("more store nodes");
        const CONSUMERS: Option<&str> = Some("more consumers");
        let (share, memory_mb, (_, peak)) = (self.sizing.share(), self.memory_mb(), self.work());
        let limit = |id, what, dpus, raised_by, then| Limit { id, what, dpus: whole_dpus(dpus), raised_by, then };
        let cores = bought.store_nodes * self.node.cores * share - self.asked();
        let (store, consumer) = (self.store(), self.consumer());
        // What a process holds at least it holds with no DPU too.
        let held = |mb: f64, room_mb: f64| if mb > room_mb { 0.0 } else { room_mb / mb * self.cluster.dpus };
        let api_room_mb = memory_mb - self.watched_mb(bought.apis);
        let mut limits = vec![
            limit("store_prompt", "store nodes, promptly", cores / store.promptly, NODES, "counts show crossings later"),
            limit("store_peak", "store nodes, at the peak", cores / store.at_the_peak, NODES, "consumers fall behind"),
            limit("consumers_prompt", "consumers, promptly", bought.consumers * share / consumer.promptly, CONSUMERS, {
                "counts show crossings later"
            }),
            limit("consumers_peak", "consumers, at the peak", bought.consumers * share / consumer.at_the_peak, CONSUMERS, {
                "consumers fall behind"
            }),
            limit(
                "consumer_memory",
                "memory of consumers",
                bought.consumers * held(self.cluster.consumer_mb, memory_mb),
                CONSUMERS,
                "consumers are ended",
            ),
            limit(
                "partitions",
                "partitions, at the peak",
                bought.partitions * self.of_a_partition() / peak,
                (bought.partitions < PARTITIONS_MOST).then_some("more partitions, once the log is drained"),
                "consumers fall behind",
            ),
            limit("brokers", "Kafka brokers, at the peak", bought.brokers * self.of_a_broker() / peak, Some("more brokers"), {
                "DPUs have to keep reports back"
            }),
            limit("follow", "an API process follows every change", share / (self.prompt() * self.cluster.follow_s), None, {
                "counts of now are read from the store"
            }),
            limit("api_memory", "memory of an API process", held(self.cluster.api_mb, api_room_mb), Some("more memory in a machine"), {
                "API processes are ended"
            }),
        ];
        if let Some(disk_gb) = self.sizing.node_disk_gb {
            let room = disk_gb * 1e9 * share * self.dpus();
            let (store, log) = (bought.store_nodes * room / self.stored_bytes(), bought.brokers * room / self.log_bytes());
            limits.push(limit("disk", "disk of store nodes", store, NODES, "nothing is taken in"));
            limits.push(limit("log_disk", "disk of Kafka brokers", log, Some("more brokers"), "DPUs have to keep reports back"));
        }
        limits
    }

    pub(super) fn costs(&self, bought: &Bought, month_gb: f64) -> Vec<Cost> {
        let prices = self.sizing.prices;
        let disk_gb = (self.stored_bytes() + self.log_bytes()) / self.sizing.share() / 1e9;
        let Bought { store_nodes, brokers, hosts, .. } = *bought;
        let (nodes, each) = (store_nodes + brokers + hosts, [store_nodes, brokers, hosts].map(count));
        let what = format!("machines: {}", each.join(" + "));
        vec![
            Cost { id: "nodes", what, amount: nodes, flag: "--node-price", price: prices.node },
            Cost { id: "disk", what: "GB of disk, at the end".to_owned(), amount: disk_gb, flag: "--disk-price", price: prices.disk_gb },
            Cost { id: "network", what: "GB sent".to_owned(), amount: month_gb, flag: "--network-price", price: prices.network_gb },
        ]
    }

    pub(super) fn reaches(&self, bought: &Bought) -> Vec<Reach> {
        let (cluster, dpus, (_, peak)) = (self.cluster, self.dpus(), self.work());
        let stored = self.year_bytes() / cluster.crossing_bytes * self.load.retention_years;
        let reach = |id, what, planned, measured| Reach { id, what, planned, measured };
        let mut reaches = vec![
            reach("dpus", "DPUs", dpus, cluster.dpus),
            reach("prompt", "crossings and heartbeats/s, promptly", dpus * self.prompt(), cluster.steady),
            reach("peak", "crossings and heartbeats/s, at the peak", dpus * peak, cluster.backlog),
            reach("store_nodes", "store nodes", bought.store_nodes, 1.0),
            reach("cores", "cores of a machine", self.node.cores, cluster.source.cores),
            reach("brokers", "Kafka brokers", bought.brokers, cluster.brokers),
            reach("partitions", "Kafka partitions", bought.partitions, cluster.partitions),
            reach("stored", "crossings stored", stored, cluster.stored),
        ];
        if let Some(watching) = self.watching {
            reaches.push(reach("watchers", "clients that watch an API process", self.load.watchers as f64 / bought.apis, watching.clients));
        }
        reaches
    }

    pub(super) fn assumed(&self) -> Vec<String> {
        let Cluster { steady, steady_p99_ms, backlog, brokers, source, .. } = self.cluster;
        let mut assumed = vec![
            format!(
                "prompt is what was measured at {} crossings/s: 99 of 100 showed within {steady_p99_ms:.0} ms. Between that and {} \
                 crossings/s nobody measured how late a count is",
                count(*steady),
                count(*backlog)
            ),
            format!(
                "speed grows with nodes, brokers and cores. One node was measured, and brokers: {brokers}, on {} cores shared with the load, \
                 the consumer and the API process",
                source.cores
            ),
            "each copy costs a cluster as much as the only copy did that was measured".to_owned(),
            "what Kafka and the load took of the cores is counted as the store's; brokers carry what the measured one did, and no more"
                .to_owned(),
            "a heartbeat without a crossing is as much work as a crossing (it writes one row instead of two)".to_owned(),
            "a query keeps a core busy for all the time it takes, in an API process and in each node of a quorum".to_owned(),
            "DPUs report in even shares to partitions and slots; memory grows with DPUs".to_owned(),
            "bytes sent are computed from the formats, a batch for each report, without TCP, TLS, and answers; disk of Kafka too"
                .to_owned(),
        ];
        let (followed, (_, peak)) = (self.sizing.share() / self.cluster.follow_s, self.work());
        if self.prompt() * self.dpus() <= followed && followed < peak * self.dpus() {
            assumed.push(format!(
                "at the peak of {} crossings and heartbeats/s an API process may fall behind the changes, of which it follows {}: until it has \
                 caught up it reads counts of now from the store, which takes longer and is no less right",
                count(peak * self.dpus()),
                count(followed)
            ));
        }
        if self.slots > self.cluster.slots {
            assumed.push(format!(
                "with more than {} slots statements gather as few rows at the peak as with a slot for each DPU, which was measured",
                count(self.cluster.slots)
            ));
        }
        let rows = self.rows() / self.slots;
        if rows > ROWS_OF_A_SLOT {
            let meant = count(ROWS_OF_A_SLOT);
            assumed.push(format!("a slot may get {} rows a day instead of {meant}: nobody measured reads from slots so full", count(rows)));
        }
        assumed
    }
}
