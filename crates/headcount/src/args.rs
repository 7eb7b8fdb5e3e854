//! The command line. Flag docs are the help text.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use occupancy::id::SpaceId;

use crate::clients::Clients;
use crate::copy::Copy;
use crate::correct::Correct;
use crate::count::Count;
use crate::explain::Explain;
use crate::history::History;
use crate::log::Log;
#[cfg(feature = "cql")]
use crate::migrate::Migrate;
use crate::plan::Plan;
use crate::pull::Pull;
use crate::quarantine::Quarantine;
use crate::status::Status;
use crate::store_url::{Login, StoreUrl};
use crate::watch::Watch;

/// How many people are in this space, at any instant, and how do we know?
///
/// Door sensors report each person who crosses a doorway; Headcount keeps every crossing and answers for any space at
/// any point in time.
#[derive(Debug, Parser)]
#[command(name = "headcount", version, max_term_width = 100)]
pub(crate) struct Args {
    /// A TOML file that sets what flags set: `listen = "127.0.0.1:8080"`. Flags and HEADCOUNT_* variables win
    #[arg(long, global = true, env = "HEADCOUNT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log on standard error: error, warn, info, debug, or per module; info, and warn for `demo`
    #[arg(long, global = true, env = "HEADCOUNT_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Show it all in one process: real door counts of 2005, then a simulated campus, live
    Demo(Demo),
    /// Answer over HTTP, and take crossings in over HTTP or from Kafka
    Serve(Serve),
    /// Consume crossings from Kafka into the store, and nothing else
    Ingest(Ingest),
    /// Let a simulated campus report to a server or to Kafka
    Simulate(Simulate),
    /// Send a file of crossings, reports or interval counts
    Replay(Replay),
    /// Fetch crossings or interval counts from somebody else's HTTP API, again and again
    Pull(Pull),
    /// Show or change spaces, doorways and installations
    #[command(subcommand)]
    Topology(Topology),
    /// Say how many people are in a space
    Count(Count),
    /// Say how a count comes about: its baseline, and what was seen at each doorway since
    Explain(Explain),
    /// Say how many people there were in a space: its count starts anew from there
    Correct(Correct),
    /// Say what happened in a space in each minute, hour, day, week or month
    History(History),
    /// Tell how many people are in spaces as it changes
    Watch(Watch),
    /// Look at what was kept out of the ledgers, and take it in after all
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Recompute every ledger from its crossings and compare; exit status 1 if anything differs
    Verify(Verify),
    /// Copy a store into an empty one of another kind, and compare the two
    Copy(Copy),
    /// Say how a running server is doing, or how far the consumers are behind
    Status(Status),
    /// Say what a fleet of DPUs needs: machines, partitions, disk, memory, money
    Plan(Plan),
    /// Say something about the log the store is fed from
    #[command(subcommand)]
    Log(Log),
    /// Bring a cql: store to the schema of this program; creates the keyspace where there is none
    #[cfg(feature = "cql")]
    Migrate(Migrate),
}

/// Where the store is and what counts as a plausible time.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Keep {
    /// Where crossings are kept: fjall:FOLDER (durable), memory: (gone at the end) or cql://HOST,HOST/KEYSPACE (ScyllaDB or Cassandra)
    #[arg(long, env = "HEADCOUNT_STORE", value_name = "URL", default_value = "fjall:./data")]
    pub store: StoreUrl,
    /// Keep this much of the volume of a fjall: store free, in MiB: below it nothing is taken in, so that nothing is spoilt
    #[arg(long, env = "HEADCOUNT_RESERVE_MIB", value_name = "MIB", default_value_t = 64)]
    pub reserve_mib: u64,
    #[command(flatten)]
    pub login: Login,
}

/// What counts as a plausible time.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Times {
    /// Quarantine crossings further ahead of their arrival than this, in ms
    #[arg(long, env = "HEADCOUNT_MAX_CLOCK_AHEAD_MS", value_name = "MS", default_value_t = 300_000, value_parser = ms())]
    pub max_clock_ahead_ms: i64,
    /// Quarantine crossings that arrive later than this, in ms; without it, no crossing is too late
    #[arg(long, env = "HEADCOUNT_MAX_LATENESS_MS", value_name = "MS", value_parser = ms())]
    pub max_lateness_ms: Option<i64>,
    /// Call a DPU silent that was last heard longer ago than this, in ms
    #[arg(long, env = "HEADCOUNT_SILENT_AFTER_MS", value_name = "MS", default_value_t = occupancy::count::SILENT_AFTER_MS, value_parser = ms())]
    pub silent_after_ms: i64,
}

/// What consumers go by.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Names {
    /// The topic of crossings
    #[arg(long, env = "HEADCOUNT_TOPIC", default_value = "headcount.crossings")]
    pub topic: String,
    /// The consumer group
    #[arg(long, env = "HEADCOUNT_GROUP", default_value = "headcount")]
    pub group: String,
    /// More settings for the Kafka client: `sasl.username=...;ssl.ca.location=...` (may be repeated)
    #[arg(long, env = "HEADCOUNT_KAFKA_SETTING", value_name = "KEY=VALUE", value_parser = key_value, value_delimiter = ';')]
    pub kafka_setting: Vec<(String, String)>,
}

/// The log, and how its topics are made.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Topic {
    #[command(flatten)]
    pub names: Names,
    /// How many partitions the topics have; topics that are not there are created, with 16 unless said here
    #[arg(long, env = "HEADCOUNT_PARTITIONS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,
    /// How many replicas a topic is created with: 3 unless said here, or as many as there are brokers
    #[arg(long, env = "HEADCOUNT_REPLICAS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub replicas: Option<u16>,
}

/// `demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Stop by itself after this long (30s, 5m) with a summary; without it, Ctrl-C stops it
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub span: Option<Duration>,
    /// Where to answer
    #[arg(long, env = "HEADCOUNT_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Keep the store here afterwards; without it, a temporary folder
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Seeds the simulated campus
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

/// `serve`
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where to answer
    #[arg(long, env = "HEADCOUNT_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where to show metrics to Prometheus; keep it private
    #[arg(long, env = "HEADCOUNT_METRICS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub metrics_listen: SocketAddr,
    #[command(flatten)]
    pub keep: Keep,
    #[command(flatten)]
    pub times: Times,
    /// How many lanes commit side by side, without Kafka: one gathers most in each sync, more use more cores
    #[arg(long, env = "HEADCOUNT_LANES", value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub lanes: u16,
    #[command(flatten)]
    pub clients: Clients,
    /// Take crossings from this Kafka cluster, and hand those that come over HTTP to it
    #[arg(long, env = "HEADCOUNT_KAFKA", value_name = "HOST:PORT,...")]
    pub kafka: Option<String>,
    /// Whether to consume from Kafka; with false it only hands crossings to it and answers, and `ingest` consumes
    #[arg(long, env = "HEADCOUNT_CONSUME", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub consume: bool,
    #[command(flatten)]
    pub topic: Topic,
}

/// `ingest`
#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// The Kafka cluster
    #[arg(long, env = "HEADCOUNT_KAFKA", value_name = "HOST:PORT,...")]
    pub kafka: String,
    /// Where to show metrics to Prometheus; keep it private
    #[arg(long, env = "HEADCOUNT_METRICS_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub metrics_listen: SocketAddr,
    #[command(flatten)]
    pub keep: Keep,
    #[command(flatten)]
    pub times: Times,
    #[command(flatten)]
    pub topic: Topic,
}

/// Where reports are sent.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct To {
    /// A server, http://HOST:PORT, or a Kafka cluster, kafka://HOST:PORT
    #[arg(long, env = "HEADCOUNT_TO", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub to: Target,
    #[command(flatten)]
    pub topic: Topic,
}

/// `simulate`
#[derive(Debug, clap::Args)]
pub(crate) struct Simulate {
    #[command(flatten)]
    pub to: To,
    /// The server that is told of the campus's spaces and doorways first
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// How many DPUs the campus has
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u32).range(3..=100_000))]
    pub dpus: u32,
    /// How many people each DPU sees an hour
    #[arg(long, value_name = "NUMBER", default_value_t = 60)]
    pub crossings_per_hour: u32,
    /// Seeds the campus and its people: the same seed, the same day
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Stop by itself after this long (30s, 5m)
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub span: Option<Duration>,
    /// Make trouble: duplicates, reordering, delays, outages with retransmission, clocks that run ahead
    #[arg(long)]
    pub faults: bool,
}

/// `replay`
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The file, or - for standard input
    pub file: PathBuf,
    /// What stands in it
    #[arg(long, value_enum, default_value_t = Format::Crossings)]
    pub format: Format,
    /// How long each interval of interval counts is (30m, 1h)
    #[arg(long, value_name = "TIME", value_parser = duration, required_if_eq("format", "intervals"))]
    pub interval: Option<Duration>,
    /// Start at this line: what an interrupted replay prints
    #[arg(long, value_name = "LINE", default_value_t = 1)]
    pub from_line: u64,
    /// How many crossings go into one request
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub batch: u16,
    #[command(flatten)]
    pub to: To,
}

/// What a file to replay holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// CSV: timestamp,direction,dpu_id and, where known, boot,seq
    Crossings,
    /// One JSON report a line
    Reports,
    /// CSV: start,dpu_id,entered,exited, spread over --interval
    Intervals,
}

/// `topology`
#[derive(Debug, Subcommand)]
pub(crate) enum Topology {
    /// Put the spaces, doorways and installations of a TOML file in place of what stands under its root
    Apply(Apply),
    /// Print what stands under a root, as TOML
    Show {
        /// The root
        root: SpaceId,
        /// The server
        #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
        server: String,
    },
}

/// `topology apply`
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// The file, see examples/topology.toml
    pub file: PathBuf,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Let spaces, doorways and installations that the file leaves out vanish, and their part of the past with them
    #[arg(long)]
    pub allow_removal: bool,
    /// The server
    #[arg(long, env = "HEADCOUNT_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
}

/// `verify`
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The store; no server may have a fjall: store open, and nothing should be writing to a cql: one
    #[arg(long, env = "HEADCOUNT_STORE", value_name = "URL", default_value = "fjall:./data")]
    pub store: StoreUrl,
    #[command(flatten)]
    pub login: Login,
}

/// Where reports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `http://HOST:PORT`
    Http(String),
    /// `kafka://HOST:PORT`
    Kafka(String),
}

impl std::str::FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("http", host)) if !host.is_empty() => Ok(Self::Http(text.trim_end_matches('/').to_owned())),
            Some(("kafka", brokers)) if !brokers.is_empty() => Ok(Self::Kafka(brokers.to_owned())),
            _ => Err("reports go to http://HOST:PORT or kafka://HOST:PORT".to_owned()),
        }
    }
}

/// A span of time in ms, at most a century.
fn ms() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(0..=3_155_760_000_000)
}

/// A span of time like 250ms, 30s, 5m or 2h.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|found: char| !found.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" | "" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = number.parse::<u64>().ok().zip(unit_ms).and_then(|(number, unit)| number.checked_mul(unit)).filter(|ms| *ms > 0);
    ms.map(Duration::from_millis).ok_or_else(|| "a time is a number and ms, s, m or h: 30s".to_owned())
}

/// `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a setting is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn spans_of_time_have_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "s", "0s", "3d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn targets_are_named_by_urls() {
        assert_eq!("http://a:1/".parse(), Ok(Target::Http("http://a:1".into())));
        assert_eq!("kafka://a:1,b:2".parse(), Ok(Target::Kafka("a:1,b:2".into())));
        assert!("ftp://a".parse::<Target>().is_err());
    }
}
