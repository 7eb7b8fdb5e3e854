//! What to measure, and how much of it.

use std::path::PathBuf;

use clap::Parser;
use serde_json::{Value, json};

/// Measures a release build of headcount: what it takes in, answers and needs
#[derive(Debug, Parser)]
#[command(name = "headcount-bench", version)]
pub(crate) struct Args {
    /// A smaller run, in half a minute: to see that it works, not for figures
    #[arg(long)]
    pub quick: bool,
    /// Write the figures here too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Crossings in the large store, in bodies of one DPU [default: 10000000, quick: 500000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(200_000..=1_000_000_000))]
    pub crossings: Option<u64>,
    /// DPUs that report once each while memory is watched [default: 100000, quick: 10000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1_000..=200_000))]
    pub reporting_dpus: Option<u64>,
    /// Connections that post batches, and those that read
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub connections: u16,
    /// Lanes of the server
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub lanes: u16,
    /// The program [default: headcount beside this one]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Where temporary stores go; on a disk, not in memory [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// How much of each scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Connections that post batches, and those that read.
    pub connections: usize,
    /// Lanes of the server.
    pub lanes: usize,
    /// Crossings in the large store.
    pub large: usize,
    /// Crossings in the small store.
    pub small: usize,
    /// Crossings sent in bodies of many DPUs.
    pub spread: usize,
    /// Posts of one crossing.
    pub singles: usize,
    /// DPUs that report once each.
    pub reporting_dpus: usize,
    /// Rounds of reads at each size.
    pub rounds: usize,
    /// Reads a round.
    pub reads: usize,
}

impl Plan {
    pub(crate) fn of(args: &Args) -> Self {
        let size = |told: Option<u64>, full: usize, quick: usize| {
            let default = if args.quick { quick } else { full };
            told.and_then(|told| usize::try_from(told).ok()).unwrap_or(default)
        };
        Self {
            connections: args.connections.into(),
            lanes: args.lanes.into(),
            large: size(args.crossings, 10_000_000, 500_000),
            small: 10_000,
            spread: size(None, 2_000_000, 200_000),
            singles: size(None, 100_000, 10_000),
            reporting_dpus: size(args.reporting_dpus, 100_000, 10_000),
            rounds: size(None, 10, 4),
            reads: size(None, 10_000, 2_000),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { connections, lanes, large, small, spread, singles, reporting_dpus, rounds, reads } = self;
        format!(
            "settings: {connections} connections, {lanes} lanes; {large} crossings in bodies of one DPU, {spread} in bodies of 1,000 DPUs, \
             {singles} one by one;\n  {rounds} rounds of {reads} reads at {small} and {large} crossings; {reporting_dpus} DPUs for memory"
        )
    }

    pub(crate) fn to_json(self) -> Value {
        let Self { connections, lanes, large, small, spread, singles, reporting_dpus, rounds, reads } = self;
        json!({
            "connections": connections, "lanes": lanes, "large": large, "small": small, "spread": spread, "singles": singles,
            "reporting_dpus": reporting_dpus, "rounds": rounds, "reads": reads,
        })
    }
}
