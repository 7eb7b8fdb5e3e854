//! `demo`: the whole path in one process, with nothing installed. Real door counts of 2005 first, then a live campus.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use api::Manners;
use ingest_kafka::{Producer, TopicPolicy};
use occupancy::id::SpaceId;
use prometheus::Registry;
use query::Query;
use tokio::time::MissedTickBehavior;
use wire::Report;

use crate::args::{Demo, Keep, Names, Times, Topic};
use crate::ask::Server;
use crate::campus::{self, Live, Plan};
use crate::consume;
use crate::feeding::Feeding;
use crate::live::{Answers, WATCHERS_MOST};
use crate::mock::Mock;
use crate::run::told_to_stop;
use crate::say::say;
use crate::server::{Answering, listen};
use crate::store_url::{Login, StoreUrl};
use crate::{calit2, clock, opened, serve, topology};

const PARTITIONS: i32 = 4;
/// A campus that is lively enough to watch.
const DPUS: u32 = 60;
const CROSSINGS_PER_HOUR: u32 = 300;
/// Reports under way at once in the replay: the in-process Kafka keeps only 5 MiB a partition.
const IN_FLIGHT: usize = 500;
/// How long the consumer may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(60);
const TIMES: Times = Times { max_clock_ahead_ms: 300_000, max_lateness_ms: None, silent_after_ms: occupancy::count::SILENT_AFTER_MS };

/// Shows it until the time is up or it is told to stop.
pub(crate) async fn demo(args: Demo) -> Result<ExitCode> {
    let begun = Instant::now();
    let told = told_to_stop()?;
    let listener = listen(args.listen, "--listen").await?;
    let temporary = tempfile::Builder::new().prefix("headcount-demo-").tempdir()?;
    let folder = args.keep.clone().unwrap_or_else(|| temporary.path().join("store"));
    let store = opened::to_serve(&Keep { store: StoreUrl::Fjall(folder.clone()), reserve_mib: 64, login: Login::default() }).await?;
    let (topic, group) = ("headcount.crossings".to_owned(), "headcount".to_owned());
    let topic = Topic { names: Names { topic, group, kafka_setting: Vec::new() }, partitions: None, replicas: None };
    let mock = Mock::start(&topic.names.topic, PARTITIONS)?;
    let registry = Registry::new();
    say!("in-process Kafka at {}, store in {}", mock.brokers, folder.display());
    let answers = Answers::over(store.clone(), false, TIMES, WATCHERS_MOST, &registry)?;
    let feed = Some(answers.feed());
    let consuming = consume::start_with(TopicPolicy::Trusted, store.clone(), feed, &mock.brokers, &topic, TIMES, &registry).await?;
    let producer = consume::producer(&mock.brokers, &topic)?;
    let lanes = consuming.lanes().clone();
    let feeding = Feeding::Kafka(consuming);
    let answering = Answering::on(listener, api::app(serve::app(&answers, &feeding, Manners::default(), &registry)?))?;
    let Answers { query, watch, .. } = answers;
    let mut show = Show { query, producer, lanes, produced: 0, url: format!("http://{}", answering.address) };
    let server = Server::at(&show.url)?;
    let span = args.span.unwrap_or(Duration::MAX).saturating_sub(begun.elapsed());
    let stop = async {
        tokio::select! {
            () = told => {}
            () = tokio::time::sleep(span) => {}
        }
    };
    let shown = tokio::select! {
        shown = show.run(&server, args.seed) => shown,
        error = feeding.failed() => Err(error),
        () = stop => Ok(()),
        never = watch.run() => match never {},
    };
    watch.close();
    answering.stop().await;
    feeding.stop().await?;
    shown?;
    let verified = query::verify(&*store, |difference| say!("{difference}")).await?;
    say!();
    say!(
        "{} DPUs, {} crossings; every total recomputed from its crossings: {} differences",
        verified.dpus,
        verified.crossings,
        verified.differences
    );
    if args.keep.is_some() {
        say!("kept: headcount serve --store fjall:{}", folder.display());
    }
    Ok(if verified.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the demo shows, and with what.
struct Show {
    query: Arc<Query>,
    producer: Producer,
    lanes: ingest::Metrics,
    /// Crossings sent so far.
    produced: u64,
    url: String,
}

impl Show {
    /// The past, then the present.
    async fn run(&mut self, server: &Server, seed: u64) -> Result<()> {
        self.past(server).await?;
        self.present(server, seed).await
    }

    /// Replays 15 weeks of real door counts through Kafka.
    async fn past(&mut self, server: &Server) -> Result<()> {
        topology::put(server, &calit2::topology()?, false).await?;
        let reports = calit2::reports()?;
        let begun = Instant::now();
        for some in reports.chunks(IN_FLIGHT) {
            self.send(some).await?;
        }
        self.stored().await?;
        let crossings = self.produced;
        say!("CalIt2, 15 weeks of 2005: {crossings} crossings through Kafka in {:.1} s", begun.elapsed().as_secs_f64());
        say!("  at noon of Monday, 2005-10-03:  curl '{}/v1/spaces/{}/count?at=2005-10-03T12:00:00-07:00'", self.url, calit2::ROOT);
        Ok(())
    }

    /// A campus reports live; its own people say how many they are.
    async fn present(&mut self, server: &Server, seed: u64) -> Result<()> {
        let plan = Plan { dpus: DPUS, crossings_per_hour: CROSSINGS_PER_HOUR, faults: false, seed };
        let mut live = Live::new(plan, clock::now())?;
        topology::put(server, &live.topology(), true).await?;
        say!("a campus of {} spaces and {DPUS} DPUs reports live:", live.spaces());
        say!("  now:         curl '{}/v1/spaces/{}/count'", self.url, campus::ROOT);
        say!("  as it goes:  curl -N '{}/v1/live?space={}'", self.url, campus::ROOT);
        say!("  every route: {}/docs", self.url);
        let root: SpaceId = campus::ROOT.parse()?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for second in 1u64.. {
            tick.tick().await;
            let before = self.produced;
            self.send(&live.until(clock::now())).await?;
            self.stored().await?;
            // Two ways to the same number: adding up crossings, and asking the simulated people where they are.
            let count = self.query.count(&root, Some(live.at())).await?;
            let (crossings, people) = (self.produced - before, live.people());
            let line = format!(
                "{crossings:>4} crossings/s, {} spaces, {:>4} people inside by the crossings, {people:>4} by the people themselves",
                live.spaces(),
                count.count()
            );
            show(second, &line);
        }
        Ok(())
    }

    /// Produces reports and waits until Kafka has them.
    async fn send(&mut self, reports: &[Report]) -> Result<()> {
        consume::produce(&self.producer, reports).await?;
        self.produced += reports.iter().map(|report| report.crossings.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Waits until all that was sent is in the ledgers.
    async fn stored(&self) -> Result<()> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while self.lanes.crossings() < self.produced {
            anyhow::ensure!(begun.elapsed() < CATCH_UP, "the consumer did not catch up within {} s", CATCH_UP.as_secs());
            tick.tick().await;
        }
        Ok(())
    }
}

/// A line that stays in its place on a terminal; elsewhere, one every few seconds.
fn show(second: u64, line: &str) {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
    } else if second.is_multiple_of(5) {
        say!("{line}");
    }
}
