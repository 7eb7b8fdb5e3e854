//! What to measure, and how much of it.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use crate::engines::SLOTS;
use crate::kafka::PARTITIONS;

/// Measures a release build of headcount: what it takes in, answers and needs
#[derive(Debug, Parser)]
#[command(name = "headcount-bench", version)]
pub(crate) struct Args {
    /// A smaller run, in half a minute: to see that it works, not for figures
    #[arg(long)]
    pub quick: bool,
    /// Measure at three sizes, each ten times the one before, and print how each figure grows
    #[arg(long)]
    pub growth: bool,
    /// Measure only this; may be given several times
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Vec<Part>,
    /// Write the figures here too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Crossings in the large store, in bodies of one DPU [default: 10000000, quick: 500000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(200_000..=1_000_000_000))]
    pub crossings: Option<u64>,
    /// DPUs that report once each while memory is watched [default: 100000, quick: 10000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1_000..=200_000))]
    pub reporting_dpus: Option<u64>,
    /// Clients that watch a count; each needs a descriptor here and one in the server [default: 10000, on engines or quick: 1000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub watchers: Option<u64>,
    /// Connections that post batches, and those that read
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub connections: u16,
    /// Lanes of the server
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub lanes: u16,
    /// The program [default: headcount beside this one]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Measure on this Kafka instead of the embedded store; needs --store too
    #[arg(long, env = "HEADCOUNT_KAFKA", value_name = "HOST:PORT,...", requires = "store")]
    pub kafka: Option<String>,
    /// Measure on this cluster; keyspaces and topics of their own are made there, and left there
    #[arg(long, env = "HEADCOUNT_STORE", value_name = "cql://HOST,...", requires = "kafka")]
    pub store: Option<String>,
    /// Answer every request with this, and do nothing else
    #[arg(long, hide = true, value_name = "TEXT")]
    pub bare_http: Option<String>,
    /// Where temporary stores go; on a disk, not in memory [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Posts of one crossing: as many as get through, then at a fixed rate
    Singles,
    /// Bodies of 1,000 crossings of as many DPUs
    Spread,
    /// Memory when 100,000 DPUs have reported
    Memory,
    /// Disk that crossings take which are not sealed yet
    Disk,
    /// Clients that watch a count; on engines from Kafka to its event
    Watchers,
    /// Counts of now, and bare HTTP
    Now,
    /// Posts and counts of now, yesterday and any instant at once; on engines crossings from Kafka and such counts
    Mixed,
    /// Bodies of 1,000 crossings of one DPU, what they take sealed, and counts at two sizes
    Reads,
    /// On engines: a backlog of 100,000 DPUs, and the same rows by the bare driver
    Backlog,
    /// On engines: a backlog from Kafka into memory, and a bare consume loop
    Fold,
    /// On engines: a steady 1,700 crossings a second, from Kafka to an answer
    Steady,
    /// On engines: counts of spaces with one doorway, and one row by the bare driver
    Lookups,
    /// On engines: a page of history over two million crossings, and the same rows by the bare driver
    Walk,
    /// On engines: what each column takes on disk
    Columns,
}

impl Args {
    /// Whether to measure a part.
    pub(crate) fn wants(&self, part: Part) -> bool {
        let on_engines = match part {
            Part::Watchers | Part::Mixed => None,
            Part::Backlog | Part::Fold | Part::Steady | Part::Lookups | Part::Walk | Part::Columns => Some(true),
            Part::Singles | Part::Spread | Part::Memory | Part::Disk | Part::Now | Part::Reads => Some(false),
        };
        on_engines.is_none_or(|on_engines| on_engines == self.kafka.is_some()) && (self.only.is_empty() || self.only.contains(&part))
    }
}

/// How much of each scenario.
#[derive(Debug, Clone, Copy, Serialize)]
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
    /// Rooms that are counted now.
    pub now_rooms: usize,
    /// How long half of the load lasts, in s.
    pub half_load_s: usize,
    /// How long posts come at a fixed rate, and then counts beside them, in s.
    pub mixed_s: usize,
    /// Clients that watch a count.
    pub watchers: usize,
    /// Crossings of the backlog on engines.
    pub backlog: usize,
    /// Crossings of the backlog that goes into memory.
    pub fold: usize,
    /// How long the steady load on engines lasts, in s.
    pub steady_s: usize,
    /// Counts a round on engines.
    pub lookups: usize,
    /// Crossings among which counts on engines look.
    pub looked_up: usize,
    /// Crossings that a page of history on engines walks.
    pub walk: usize,
    /// Crossings whose columns are weighed on engines, of a fleet of each shape.
    pub columns: usize,
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
            now_rooms: 50,
            half_load_s: size(None, 10, 2),
            mixed_s: size(None, 20, 3),
            watchers: size(args.watchers, if args.kafka.is_some() { 1_000 } else { 10_000 }, 1_000),
            backlog: size(None, 1_000_000, 50_000),
            fold: size(None, 5_000_000, 200_000),
            steady_s: size(None, 60, 5),
            lookups: size(None, 2_000, 200),
            looked_up: 100_000,
            walk: size(None, 2_000_000, 100_000),
            columns: size(None, 200_000, 20_000),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            connections,
            lanes,
            large,
            small,
            spread,
            singles,
            reporting_dpus,
            rounds,
            reads,
            now_rooms,
            half_load_s,
            mixed_s,
            watchers,
            backlog,
            fold,
            steady_s,
            lookups,
            looked_up,
            walk,
            columns,
        } = self;
        format!(
            "settings: {connections} connections, {lanes} lanes; {large} crossings in bodies of one DPU, {spread} in bodies of 1,000 DPUs, \
             {singles} one by one;\n  {rounds} rounds of {reads} reads at {small} and {large} crossings, of {now_rooms} rooms now; {half_load_s} s at half of a load, {mixed_s} s of posts at a fixed rate, and of all at once; \
             {reporting_dpus} DPUs for memory; {watchers} clients watch;\n  on engines: \
             backlogs of {backlog} and {fold}, {steady_s} s of a steady load, {rounds} rounds of {lookups} counts at {looked_up} crossings, \
             a history of {walk}, columns of {columns}"
        )
    }

    pub(crate) fn to_json(self) -> Value {
        #[derive(Serialize)]
        struct Settings {
            #[serde(flatten)]
            plan: Plan,
            partitions: i32,
            slots: u32,
        }
        json!(Settings { plan: self, partitions: PARTITIONS, slots: SLOTS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn nothing_has_to_be_told() {
        Args::command().debug_assert();
        let plan = Plan::of(&Args::try_parse_from(["headcount-bench"]).unwrap());
        assert_eq!((plan.lanes, plan.connections, plan.backlog), (1, 10, 1_000_000));
    }
    #[test]
    fn a_part_belongs_to_the_embedded_store_to_engines_or_to_both() {
        let of = |words: &[&str]| {
            let args = Args::try_parse_from([&["headcount-bench"], words].concat()).unwrap();
            [Part::Reads, Part::Watchers, Part::Mixed, Part::Steady].map(|part| args.wants(part))
        };
        assert_eq!(of(&["--kafka", "", "--store", ""]), [false, true, true, true]);
        assert_eq!(of(&["--kafka", "", "--store", "", "--only", "mixed"]), [false, false, true, false]);
    }
}
