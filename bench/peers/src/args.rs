//! What to compare, and how much of it.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

/// Takes in one backlog with headcount and with others in turn, and asks each for counts
#[derive(Debug, Parser)]
#[command(name = "headcount-peers", version)]
pub(crate) struct Args {
    /// A smaller run, in a minute or two: to see that it works, not for figures
    #[arg(long)]
    pub quick: bool,
    /// Only this one, beside headcount; may be given several times
    #[arg(long, value_enum, value_name = "PEER")]
    pub only: Vec<Peer>,
    /// Write the figures here too, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Crossings of the backlog that are timed; a fifth as many come before them [default: 1000000, quick: 200000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub crossings: Option<u64>,
    /// DPUs that saw them, each over the only doorway of a room [default: 100000, quick: 5000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub dpus: Option<u64>,
    /// Crossings stored for counts over a long past; 0 for none [default: 10000000, quick: 200000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    pub stored: Option<u64>,
    /// Have Cassandra and Kafka Streams take that long past in too, as --quick does; some ten minutes more
    #[arg(long)]
    pub stored_everywhere: bool,
    /// Kafka
    #[arg(long, env = "HEADCOUNT_KAFKA", value_name = "HOST:PORT,...")]
    pub kafka: String,
    /// Cassandra; keyspaces are made there, and left there
    #[arg(long, env = "HEADCOUNT_STORE", value_name = "cql://HOST,...")]
    pub store: String,
    /// The classes of the Kafka Streams peer, its jars in `jars` beside them
    #[arg(long, value_name = "FOLDER")]
    pub streams: PathBuf,
    /// The program [default: headcount beside this one]
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Lanes of the embedded server; with Kafka each partition has its own
    #[arg(long, default_value_t = 1, hide = true)]
    pub lanes: u16,
    /// Where temporary stores go.
    #[arg(skip)]
    pub folder: Option<PathBuf>,
}

/// Whom to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The first design of this kind of system, on `PostgreSQL`
    First,
    /// Our ledgers on `PostgreSQL`
    Ledger,
    /// Kafka Streams
    Streams,
}

impl Args {
    /// Whether to compare with a peer.
    pub(crate) fn wants(&self, peer: Peer) -> bool {
        self.only.is_empty() || self.only.contains(&peer)
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// DPUs of the backlog.
    pub dpus: usize,
    /// Crossings of each that come before the timed ones.
    pub warm_per_dpu: usize,
    /// Crossings of each that are timed.
    pub per_dpu: usize,
    /// Records at the end of the topic that repeat earlier ones.
    pub repeats: usize,
    /// Rooms that are asked for, of those the backlog tells of.
    pub rooms: usize,
    /// Counts asked for, of each store.
    pub lookups: usize,
    /// Crossings stored for counts over a long past.
    pub stored: usize,
    /// Whether Cassandra and Kafka Streams have them too.
    pub everywhere: bool,
    /// The most counts asked of a design that adds up a long past.
    pub sums: usize,
}

impl Plan {
    pub(crate) fn of(args: &Args) -> Self {
        let size = |told: Option<u64>, full: usize, quick: usize| {
            told.and_then(|told| usize::try_from(told).ok()).unwrap_or(if args.quick { quick } else { full })
        };
        let dpus = size(args.dpus, 100_000, 5_000);
        let per_dpu = size(args.crossings, 1_000_000, 200_000).div_ceil(dpus);
        Self {
            dpus,
            warm_per_dpu: per_dpu.div_ceil(5),
            per_dpu,
            repeats: dpus / 10,
            rooms: dpus.min(1_000),
            lookups: size(None, 5_000, 500),
            stored: size(args.stored, 10_000_000, 200_000),
            everywhere: args.quick || args.stored_everywhere,
            sums: size(None, 100, 50),
        }
    }

    /// Crossings of each DPU in the topic.
    pub(crate) fn in_all_per_dpu(&self) -> usize {
        self.warm_per_dpu + self.per_dpu
    }

    /// Crossings that come before the timed ones.
    pub(crate) fn warm(&self) -> usize {
        self.dpus * self.warm_per_dpu
    }

    /// Crossings that are timed.
    pub(crate) fn timed(&self) -> usize {
        self.dpus * self.per_dpu
    }

    pub(crate) fn text(&self) -> String {
        let Self { dpus, repeats, rooms, lookups, stored, everywhere, sums, .. } = self;
        let by = if *everywhere { "by all" } else { "embedded and by PostgreSQL" };
        format!(
            "settings: {dpus} DPUs, {} crossings that are not timed, {} that are, {repeats} repeats; {lookups} counts of {rooms} rooms;\n  \
             {stored} crossings stored {by}, {sums} sums of them; every program has all cores, Kafka and the client on them too",
            self.warm(),
            self.timed(),
        )
    }

    pub(crate) fn to_json(self) -> Value {
        let Self { dpus, repeats, rooms, lookups, stored, everywhere, sums, .. } = self;
        json!({
            "dpus": dpus, "not_timed": self.warm(), "timed": self.timed(), "repeats": repeats, "rooms": rooms, "lookups": lookups,
            "stored": stored, "stored_everywhere": everywhere, "sums": sums,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn a_million_crossings_of_100_000_dpus_unless_told_otherwise() {
        Args::command().debug_assert();
        let args = ["headcount-peers", "--kafka", "a", "--store", "b", "--streams", "c"];
        let plan = Plan::of(&Args::try_parse_from(args).unwrap());
        assert_eq!((plan.dpus, plan.timed(), plan.warm(), plan.stored), (100_000, 1_000_000, 200_000, 10_000_000));
    }
}
