//! What is to be carried, and on what.

use crate::CapacityError;

const MINUTE_S: f64 = 60.0;

/// What comes in, and who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Sensors.
    pub dpus: u64,
    /// Crossings each sees in a minute, the mean of all hours.
    pub crossings_per_minute: f64,
    /// Reports of each in a minute that hold no crossing.
    pub heartbeats_per_minute: f64,
    /// Crossings in a report.
    pub crossings_per_report: u32,
    /// How many times the mean the crossings of the busiest time are.
    pub peak_factor: f64,
    /// For how long disks are to hold crossings.
    pub retention_years: f64,
    /// Counts asked for in a second, at the busiest time.
    pub queries_per_second: f64,
    /// Clients that watch counts live.
    pub watchers: u64,
}

/// Where crossings are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// On a cluster of `ScyllaDB` or Cassandra, fed from Kafka.
    Cql,
    /// In one process, on one machine.
    Embedded,
}

/// On what, and how much of it may be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizing {
    /// Where crossings are kept.
    pub store: StoreKind,
    /// Copies of everything, in the store and in Kafka.
    pub replication: u32,
    /// The share of what was measured that stays free.
    pub head_room: f64,
    /// Whether crossings are to show in counts promptly at the peak too.
    pub prompt_at_peak: bool,
    /// How long Kafka keeps reports.
    pub log_retention_hours: f64,
    /// Cores of a machine, where it is none like the one measured.
    pub node_cores: Option<u32>,
    /// Its memory.
    pub node_memory_gb: Option<f64>,
    /// Its disk; not known, disk never binds.
    pub node_disk_gb: Option<f64>,
    /// What it all costs.
    pub prices: Prices,
}

/// Prices, in whatever currency. What has none is left out of the cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prices {
    /// Of a machine and month.
    pub node: Option<f64>,
    /// Of a GB of disk and month.
    pub disk_gb: Option<f64>,
    /// Of a GB sent.
    pub network_gb: Option<f64>,
}

/// Bytes of what is sent, as the program writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// The id of a DPU, as a record's key.
    pub key: f64,
    /// A report of crossings, as protobuf.
    pub report: f64,
    /// A heartbeat, as protobuf.
    pub heartbeat: f64,
    /// A change of counters, as protobuf.
    pub change: f64,
    /// A report of crossings posted over HTTP.
    pub post: f64,
    /// A heartbeat posted over HTTP.
    pub heartbeat_post: f64,
}

/// What happens in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Crossings.
    pub crossings: f64,
    /// Heartbeats.
    pub heartbeats: f64,
    /// Reports that hold crossings.
    pub reports: f64,
}

impl Rate {
    /// Crossings and heartbeats: each is taken for as much work.
    #[must_use]
    pub fn work(&self) -> f64 {
        self.crossings + self.heartbeats
    }

    /// Reports of either kind.
    #[must_use]
    pub fn sent(&self) -> f64 {
        self.reports + self.heartbeats
    }
}

impl Load {
    /// What the whole fleet does in a second at this many times the mean; heartbeats know no rush.
    #[must_use]
    pub fn rate(&self, factor: f64) -> Rate {
        self.of_a_dpu(factor).times(self.dpus as f64)
    }

    /// What one DPU does in a second at this many times the mean.
    #[must_use]
    pub fn of_a_dpu(&self, factor: f64) -> Rate {
        let crossings = self.crossings_per_minute * factor / MINUTE_S;
        let reports = crossings / f64::from(self.crossings_per_report.max(1));
        Rate { crossings, heartbeats: self.heartbeats_per_minute / MINUTE_S, reports }
    }

    pub(crate) fn check(&self) -> Result<(), CapacityError> {
        within("--dpus", self.dpus as f64, 1.0, 1e10)?;
        within("--crossings-per-minute", self.crossings_per_minute, 1e-6, 6_000.0)?;
        within("--heartbeats-per-minute", self.heartbeats_per_minute, 0.0, 6_000.0)?;
        within("--crossings-per-report", f64::from(self.crossings_per_report), 1.0, 10_000.0)?;
        within("--peak-factor", self.peak_factor, 1.0, 1_000.0)?;
        within("--retention-years", self.retention_years, 0.01, 1_000.0)?;
        within("--queries-per-second", self.queries_per_second, 0.0, 1e9)?;
        within("--watchers", self.watchers as f64, 0.0, 1e9)
    }
}

impl Rate {
    fn times(self, factor: f64) -> Self {
        let Self { crossings, heartbeats, reports } = self;
        Self { crossings: crossings * factor, heartbeats: heartbeats * factor, reports: reports * factor }
    }
}

impl Sizing {
    /// The share of what was measured that is used.
    #[must_use]
    pub fn share(&self) -> f64 {
        1.0 - self.head_room
    }

    pub(crate) fn check(&self) -> Result<(), CapacityError> {
        within("--replication", f64::from(self.replication), 1.0, 9.0)?;
        within("--head-room", self.head_room, 0.0, 0.95)?;
        within("--log-retention-hours", self.log_retention_hours, 1.0, 100_000.0)?;
        let Prices { node, disk_gb, network_gb } = self.prices;
        let given = [
            ("--node-cores", self.node_cores.map(f64::from), 1.0, 1_024.0),
            ("--node-memory-gb", self.node_memory_gb, 1.0, 100_000.0),
            ("--node-disk-gb", self.node_disk_gb, 1.0, 10_000_000.0),
            ("--node-price", node, 0.0, 1e9),
            ("--disk-price", disk_gb, 0.0, 1e9),
            ("--network-price", network_gb, 0.0, 1e9),
        ];
        given.into_iter().try_for_each(|(what, found, least, most)| found.map_or(Ok(()), |found| within(what, found, least, most)))
    }
}

/// What is no number is in no range.
fn within(what: &'static str, found: f64, least: f64, most: f64) -> Result<(), CapacityError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(CapacityError::OutOfRange { what, least, most, found }) }
}
