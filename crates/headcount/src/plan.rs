//! `plan`: what a fleet needs, from figures that were measured.

mod figures;
mod json;
mod sizes;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use capacity::load::{Load, Prices, Sizing, StoreKind};
use clap::ValueEnum;

use crate::say::say;

/// Flags of `plan`.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Plan {
    /// How many DPUs report
    #[arg(long, value_name = "NUMBER")]
    pub dpus: u64,
    /// How many crossings each sees in a minute, the mean of all hours of the year
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub crossings_per_minute: f64,
    /// How many times that the busiest time has: in examples/calit2 one half hour in a thousand had some 11 times the mean
    #[arg(long, value_name = "NUMBER", default_value_t = 10.0)]
    pub peak_factor: f64,
    /// How many crossings a DPU gathers in a report
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub crossings_per_report: u32,
    /// How many reports without a crossing each sends in a minute
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    pub heartbeats_per_minute: f64,
    /// For how many years disks are to hold crossings: none is ever deleted
    #[arg(long, value_name = "YEARS", default_value_t = 5.0)]
    pub retention_years: f64,
    /// How many counts are asked for in a second at the busiest time
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0)]
    pub queries_per_second: f64,
    /// How many clients watch counts live
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub watchers: u64,
    #[command(flatten)]
    pub on: On,
    /// Figures to go by instead of those the program comes with: what `headcount-bench --json FILE` wrote (may be repeated; of the same
    /// figure in several files the last counts)
    #[arg(long, env = "HEADCOUNT_FIGURES", value_name = "FILE", value_delimiter = ',')]
    pub figures: Vec<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// On what.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct On {
    /// Where crossings are kept
    #[arg(long, env = "HEADCOUNT_STORE_KIND", value_enum, default_value_t = Kind::Cql)]
    pub store_kind: Kind,
    /// How many copies of everything there are, in the store and in Kafka; an embedded store is one
    #[arg(long, value_name = "COPIES", default_value_t = 3)]
    pub replication: u32,
    /// Which share of what was measured stays free: of speed, memory and disk
    #[arg(long, env = "HEADCOUNT_HEAD_ROOM", value_name = "SHARE", default_value_t = 0.5)]
    pub head_room: f64,
    /// Let crossings show in counts of a cluster promptly at the peak too; else at the mean load, and at the peak a little later
    #[arg(long)]
    pub prompt_at_peak: bool,
    /// For how many hours Kafka keeps reports
    #[arg(long, env = "HEADCOUNT_LOG_RETENTION_HOURS", value_name = "HOURS", default_value_t = 168.0)]
    pub log_retention_hours: f64,
    /// Cores of a machine [default: as many as the measured one]
    #[arg(long, env = "HEADCOUNT_NODE_CORES", value_name = "NUMBER")]
    pub node_cores: Option<u32>,
    /// Memory of a machine [default: as much as the measured one]
    #[arg(long, env = "HEADCOUNT_NODE_MEMORY_GB", value_name = "GB")]
    pub node_memory_gb: Option<f64>,
    /// Disk of a machine of the store or of Kafka; without it, disk is told but does not decide how many there are
    #[arg(long, env = "HEADCOUNT_NODE_DISK_GB", value_name = "GB")]
    pub node_disk_gb: Option<f64>,
    /// What a machine costs a month, in any currency; what has no price is left out of the cost
    #[arg(long, env = "HEADCOUNT_NODE_PRICE", value_name = "PRICE")]
    pub node_price: Option<f64>,
    /// What a GB of disk costs a month
    #[arg(long, env = "HEADCOUNT_DISK_PRICE", value_name = "PRICE")]
    pub disk_price: Option<f64>,
    /// What a GB sent costs
    #[arg(long, env = "HEADCOUNT_NETWORK_PRICE", value_name = "PRICE")]
    pub network_price: Option<f64>,
}

/// Where crossings are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// On a cluster of ScyllaDB or Cassandra, fed from Kafka
    Cql,
    /// By one process, on one machine
    Embedded,
}

/// Prints the plan.
pub(crate) fn plan(args: &Plan) -> Result<ExitCode> {
    let load = load(args);
    let measured = figures::measured(&args.figures)?;
    let plan = capacity::plan(&load, &sizing(&args.on), &sizes::of(load.crossings_per_report)?, &measured)?;
    if args.json {
        say!("{:#}", json::of(&plan));
    } else {
        say!("{}", capacity::text::table(&plan).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &Plan) -> Load {
    Load {
        dpus: args.dpus,
        crossings_per_minute: args.crossings_per_minute,
        heartbeats_per_minute: args.heartbeats_per_minute,
        crossings_per_report: args.crossings_per_report,
        peak_factor: args.peak_factor,
        retention_years: args.retention_years,
        queries_per_second: args.queries_per_second,
        watchers: args.watchers,
    }
}

fn sizing(on: &On) -> Sizing {
    Sizing {
        store: match on.store_kind {
            Kind::Cql => StoreKind::Cql,
            Kind::Embedded => StoreKind::Embedded,
        },
        replication: on.replication,
        head_room: on.head_room,
        prompt_at_peak: on.prompt_at_peak,
        log_retention_hours: on.log_retention_hours,
        node_cores: on.node_cores,
        node_memory_gb: on.node_memory_gb,
        node_disk_gb: on.node_disk_gb,
        prices: Prices { node: on.node_price, disk_gb: on.disk_price, network_gb: on.network_price },
    }
}
