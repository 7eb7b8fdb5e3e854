//! What was measured, and where: the files that `headcount-bench --json` writes, read into numbers with names.

use std::collections::BTreeMap;

use crate::CapacityError;
use crate::load::StoreKind;

/// What measures the embedded store.
pub const EMBEDDED: &str = "headcount-bench --json FILE";
/// What measures a cluster.
pub const ON_ENGINES: &str = "make bench-engines BENCH='--json FILE'";

/// One file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source {
    /// What it is called.
    pub name: String,
    /// Cores, of server, engines and client together.
    pub cores: f64,
    /// Memory.
    pub memory_gib: f64,
    /// The system.
    pub kernel: String,
    /// Of Headcount.
    pub version: String,
    /// The day.
    pub date: String,
    /// How much was measured of what.
    pub settings: BTreeMap<String, f64>,
    /// What came out, by id.
    pub figures: BTreeMap<String, f64>,
}

/// All files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured(pub Vec<Source>);

/// A number of a file: what it is found by, what it is, and what measures it.
#[derive(Clone, Copy)]
struct Wanted {
    id: &'static str,
    what: &'static str,
    command: &'static str,
}

const fn wanted(id: &'static str, what: &'static str, command: &'static str) -> Wanted {
    Wanted { id, what, command }
}

impl Measured {
    /// A figure and the file it stands in; of several files the last counts.
    fn find(&self, wanted: Wanted) -> Result<(f64, &Source), CapacityError> {
        let Wanted { id, what, command } = wanted;
        let found = self.0.iter().rev().find_map(|source| Some((*source.figures.get(id)?, source)));
        let (found, source) = found.ok_or(CapacityError::Missing { id, what, command })?;
        // Cores may well have had no rest; everything else takes something.
        let least = if id == STEADY_IDLE.id { 0.0 } else { f64::MIN_POSITIVE };
        if (least..1e15).contains(&found) { Ok((found, source)) } else { Err(CapacityError::Impossible { id, found, command }) }
    }

    fn number(&self, wanted: Wanted) -> Result<f64, CapacityError> {
        Ok(self.find(wanted)?.0)
    }
}

impl Source {
    /// A setting of the very run a figure comes from.
    fn setting(&self, wanted: Wanted) -> Result<f64, CapacityError> {
        let Wanted { id, what, command } = wanted;
        let found = *self.settings.get(id).ok_or(CapacityError::Missing { id, what, command })?;
        if (1.0..1e15).contains(&found) { Ok(found) } else { Err(CapacityError::Impossible { id, found, command }) }
    }

    /// What the machine is, in a line.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { name, cores, memory_gib, kernel, version, date, .. } = self;
        format!("{name}: {version}, {date}, {cores} cores shared by all, {memory_gib:.0} GiB, Linux {kernel}")
    }
}

const STEADY: Wanted = wanted("steady", "a steady load on a cluster, in crossings/s", ON_ENGINES);
const STEADY_P99: Wanted = wanted("steady_p99", "how soon crossings of the steady load showed, in ms", ON_ENGINES);
const STEADY_IDLE: Wanted = wanted("steady_idle", "what the steady load left idle of all cores, in %", ON_ENGINES);
const STEADY_CONSUMER: Wanted = wanted("steady_consumer", "what the consumer took of a core, in %", ON_ENGINES);
const STEADY_API: Wanted = wanted("steady_api", "what the API process took of a core, in %", ON_ENGINES);
const BACKLOG: Wanted = wanted("backlog", "a backlog into a cluster, in crossings/s", ON_ENGINES);
const BACKLOG_ALONE: Wanted = wanted("backlog_alone", "a backlog with a slot for each DPU, in crossings/s", ON_ENGINES);
const CONSUMER_PROCESSOR: Wanted = wanted("consumer_processor", "the consumer's processor time for a million crossings, in s", ON_ENGINES);
const CONSUMER_MEMORY: Wanted = wanted("consumer_memory", "the consumer's memory after a backlog, in MB", ON_ENGINES);
const API_MEMORY: Wanted = wanted("api_memory", "the API process's memory under the steady load, in MB", ON_ENGINES);
const COUNT_P50: Wanted = wanted("count_p50", "how long a count at a random instant takes on a cluster, in ms", ON_ENGINES);
const STORE_DISK: Wanted = wanted("store_disk", "disk of one copy on a cluster, in bytes/crossing", ON_ENGINES);
const BROKERS: Wanted = wanted("brokers", "how many brokers were measured", ON_ENGINES);
const NODES: Wanted = wanted("nodes", "how many nodes were measured", ON_ENGINES);

const POSTS: Wanted = wanted("posts", "single posts, in posts/s", EMBEDDED);
const GATHERED: Wanted = wanted("gathered", "crossings of many DPUs in bodies of 1,000, in crossings/s", EMBEDDED);
const COUNTS: Wanted = wanted("counts", "counts of a room from a large store, in reads/s", EMBEDDED);
const DISK: Wanted = wanted("disk", "disk of the embedded store, in bytes/crossing", EMBEDDED);
const IDLE_MEMORY: Wanted = wanted("idle_memory", "memory, idle, in MB", EMBEDDED);
const HUNG_MEMORY: Wanted = wanted("hung_memory", "memory over idle of DPUs that hang over doorways, in MB", EMBEDDED);
const WATCHER_MEMORY: Wanted = wanted("watcher_memory", "memory of a client that watches, in KiB", EMBEDDED);

const REPORTING_DPUS: Wanted = wanted("reporting_dpus", "how many DPUs reported", ON_ENGINES);
const PARTITIONS: Wanted = wanted("partitions", "how many partitions there were", ON_ENGINES);
const SLOTS: Wanted = wanted("slots", "how many slots there were", ON_ENGINES);
const WALK: Wanted = wanted("walk", "how many crossings were stored on the cluster", ON_ENGINES);
const LARGE: Wanted = wanted("large", "how many crossings were stored", EMBEDDED);
const WATCHERS: Wanted = wanted("watchers", "how many clients watched", EMBEDDED);

const OF_CLUSTER: [Wanted; 14] = [
    STEADY,
    STEADY_P99,
    STEADY_IDLE,
    STEADY_CONSUMER,
    STEADY_API,
    BACKLOG,
    BACKLOG_ALONE,
    CONSUMER_PROCESSOR,
    CONSUMER_MEMORY,
    API_MEMORY,
    COUNT_P50,
    STORE_DISK,
    BROKERS,
    NODES,
];
const OF_EMBEDDED: [Wanted; 6] = [POSTS, GATHERED, COUNTS, DISK, IDLE_MEMORY, HUNG_MEMORY];

/// The ids of all figures a plan may ask for.
#[must_use]
pub fn ids() -> Vec<&'static str> {
    OF_CLUSTER.iter().chain(&OF_EMBEDDED).chain(&[WATCHER_MEMORY]).map(|wanted| wanted.id).collect()
}

/// A figure a plan goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is found by.
    pub id: &'static str,
    /// What it is.
    pub what: &'static str,
    /// How much.
    pub value: f64,
    /// The file it stands in.
    pub from: String,
}

/// What a plan goes by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Basis {
    /// The figures.
    pub figures: Vec<Figure>,
    /// The files they stand in.
    pub sources: Vec<Source>,
}

impl Measured {
    /// All that a plan for such a store goes by.
    pub(crate) fn basis(&self, store: StoreKind, watched: bool) -> Result<Basis, CapacityError> {
        let wanted = match store {
            StoreKind::Cql => &OF_CLUSTER[..],
            StoreKind::Embedded => &OF_EMBEDDED[..],
        };
        let mut basis = Basis::default();
        for one in wanted.iter().chain([WATCHER_MEMORY].iter().filter(|_| watched)) {
            let (value, source) = self.find(*one)?;
            basis.figures.push(Figure { id: one.id, what: one.what, value, from: source.name.clone() });
            if !basis.sources.iter().any(|known| known.name == source.name) {
                basis.sources.push(source.clone());
            }
        }
        Ok(basis)
    }
}

/// What a cluster of one node and one broker did, with everything on the same cores.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) source: Source,
    pub(crate) steady: f64,
    pub(crate) steady_p99_ms: f64,
    pub(crate) backlog: f64,
    pub(crate) brokers: f64,
    /// Processor time of a crossing, in s: of the consumer, of an API process that follows, of the store and Kafka.
    pub(crate) consumer: Costs,
    pub(crate) follow_s: f64,
    pub(crate) store: Costs,
    /// Of the store in a backlog with a slot for each DPU.
    pub(crate) store_alone_s: f64,
    pub(crate) count_s: f64,
    pub(crate) consumer_mb: f64,
    pub(crate) api_mb: f64,
    pub(crate) crossing_bytes: f64,
    pub(crate) dpus: f64,
    pub(crate) partitions: f64,
    pub(crate) slots: f64,
    pub(crate) stored: f64,
}

/// What a crossing takes of a core, in s: in a trickle and in a backlog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) promptly_s: f64,
    pub(crate) gathered_s: f64,
}

impl Cluster {
    pub(crate) fn of(measured: &Measured) -> Result<Self, CapacityError> {
        let (steady, source) = measured.find(STEADY)?;
        let ((backlog, beside), alone) = (measured.find(BACKLOG)?, measured.number(BACKLOG_ALONE)?);
        if (source.cores - beside.cores).abs() > f64::EPSILON {
            return Err(CapacityError::Apart("the steady load and the backlog come from machines with different numbers of cores"));
        }
        if measured.number(NODES)? > 1.0 {
            return Err(CapacityError::Apart("there was more than one node, and what each took is not known"));
        }
        let share = |wanted| Ok::<_, CapacityError>(measured.number(wanted)? / 100.0);
        let (idle, consumer, api) = (share(STEADY_IDLE)?, share(STEADY_CONSUMER)?, share(STEADY_API)?);
        let consumer_s = measured.number(CONSUMER_PROCESSOR)? / 1e6;
        let store =
            Costs { promptly_s: (source.cores * (1.0 - idle) - consumer - api) / steady, gathered_s: source.cores / backlog - consumer_s };
        let store_alone_s = source.cores / alone - consumer_s;
        if [store.promptly_s, store.gathered_s, store_alone_s].iter().any(|cost| *cost <= 0.0) {
            return Err(CapacityError::Apart("they leave no processor time to the store"));
        }
        Ok(Self {
            steady,
            steady_p99_ms: measured.number(STEADY_P99)?,
            backlog,
            brokers: measured.number(BROKERS)?,
            consumer: Costs { promptly_s: consumer / steady, gathered_s: consumer_s },
            follow_s: api / steady,
            store,
            store_alone_s,
            count_s: measured.number(COUNT_P50)? / 1_000.0,
            consumer_mb: measured.number(CONSUMER_MEMORY)?,
            api_mb: measured.number(API_MEMORY)?,
            crossing_bytes: measured.number(STORE_DISK)?,
            dpus: beside.setting(REPORTING_DPUS)?,
            partitions: beside.setting(PARTITIONS)?,
            slots: beside.setting(SLOTS)?,
            stored: measured.find(STORE_DISK)?.1.setting(WALK)?,
            source: source.clone(),
        })
    }
}

/// What one machine did with the embedded store.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    pub(crate) source: Source,
    pub(crate) posts: f64,
    pub(crate) gathered: f64,
    pub(crate) counts: f64,
    pub(crate) crossing_bytes: f64,
    pub(crate) idle_mb: f64,
    pub(crate) hung_mb: f64,
    pub(crate) dpus: f64,
    pub(crate) stored: f64,
}

impl Embedded {
    pub(crate) fn of(measured: &Measured) -> Result<Self, CapacityError> {
        let (posts, source) = measured.find(POSTS)?;
        let (hung_mb, weighed) = measured.find(HUNG_MEMORY)?;
        let (crossing_bytes, filled) = measured.find(DISK)?;
        Ok(Self {
            posts,
            gathered: measured.number(GATHERED)?,
            counts: measured.number(COUNTS)?,
            crossing_bytes,
            idle_mb: measured.number(IDLE_MEMORY)?,
            hung_mb,
            dpus: weighed.setting(REPORTING_DPUS)?,
            stored: filled.setting(LARGE)?,
            source: source.clone(),
        })
    }
}

/// What clients that watch take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watching {
    /// How many were measured on one process.
    pub(crate) clients: f64,
    pub(crate) each_mb: f64,
}

impl Watching {
    pub(crate) fn of(measured: &Measured) -> Result<Self, CapacityError> {
        let (kib, source) = measured.find(WATCHER_MEMORY)?;
        Ok(Self { clients: source.setting(WATCHERS)?, each_mb: kib * 1024.0 / 1e6 })
    }
}
