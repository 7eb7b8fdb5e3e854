//! A backlog from Kafka through decoding and ledgers into a store in memory, beside a bare consume loop over the same topic:
//! what the way in costs, whatever stands behind it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{Engines, LOOK, drain_rate, send_all};
use crate::args::Plan;
use crate::figure::{Aim, Figure};
use crate::fleet::Fleet;
use crate::kafka::PARTITIONS;
use crate::served::{Served, busy_s};

/// Each is so often before the other, and so often after it.
const ROUNDS: usize = 2;
/// When a backlog must be done.
const PATIENCE: Duration = Duration::from_secs(300);

/// How fast a backlog went, and the time it kept processors busy.
#[derive(Clone, Copy, Default)]
struct Went {
    per_s: f64,
    busy_s: f64,
}

pub(super) async fn folded(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let fleet = Fleet::new(plan.reporting_dpus, plan.fold.div_ceil(plan.reporting_dpus));
    let crossings = fleet.crossings();
    println!("{crossings} crossings of {} DPUs, in {PARTITIONS} partitions, into memory", fleet.dpus);
    let topic = engines.topic("fold").await?;
    send_all(engines, &topic, &fleet)?;
    let (mut bare, mut ours) = (Went::default(), Went::default());
    for round in 0..ROUNDS {
        let group = format!("{topic}.{round}");
        let (brokers, to, records) = (engines.brokers.clone(), topic.clone(), crossings);
        bare = bare.plus(tokio::task::spawn_blocking(move || consume(&brokers, &to, &format!("{group}.bare"), records)).await??);
        ours = ours.plus(fold(engines, &topic, &format!("{topic}.{round}"), &fleet, round + 1 == ROUNDS).await?);
    }
    let (bare, ours) = (bare.of(ROUNDS), ours.of(ROUNDS));
    let for_a_million = |went: Went| went.busy_s * 1e6 / crossings as f64;
    Ok(vec![
        Figure::new("from Kafka through ledgers into memory", ours.per_s, "crossings/s")
            .beside("a bare consume loop over the same topic", bare.per_s)
            .aim(Aim::AtLeast(700_000.0)),
        Figure::new("the same, as a share of the bare loop", ours.per_s / bare.per_s, "times").aim(Aim::AtLeast(0.8)),
        Figure::new("the same: processor time for a million crossings", for_a_million(ours), "s")
            .beside("the bare loop, for a million records", for_a_million(bare)),
    ])
}

impl Went {
    fn plus(self, other: Self) -> Self {
        Self { per_s: self.per_s + other.per_s, busy_s: self.busy_s + other.busy_s }
    }

    /// The mean of so many.
    fn of(self, rounds: usize) -> Self {
        Self { per_s: self.per_s / rounds as f64, busy_s: self.busy_s / rounds as f64 }
    }
}

/// The limit: every record polled and nothing done with it, by a client set up as the program's is.
fn consume(brokers: &str, topic: &str, group: &str, records: usize) -> Result<Went> {
    let consumer: BaseConsumer = super::consumer(brokers, group).create()?;
    consumer.subscribe(&[topic])?;
    let (mut seen, mut bytes, begun, mut first) = (0, 0, Instant::now(), None);
    let busy_before_s = busy_s("self")?;
    while seen < records {
        if let Some(message) = consumer.poll(LOOK) {
            bytes += message?.payload_len();
            seen += 1;
            first.get_or_insert_with(Instant::now);
        } else if begun.elapsed() > PATIENCE {
            bail!("{seen} of {records} records came in {PATIENCE:?}");
        }
    }
    let took_s = first.unwrap_or(begun).elapsed().as_secs_f64();
    if bytes < records {
        bail!("{records} records hold {bytes} bytes");
    }
    Ok(Went { per_s: records as f64 / took_s, busy_s: busy_s("self")? - busy_before_s })
}

/// The program over a store in memory, which afterwards must count right.
async fn fold(engines: &Engines<'_>, topic: &str, group: &str, fleet: &Fleet, check: bool) -> Result<Went> {
    let words = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", "memory:", "--kafka", &engines.brokers];
    let served = Served::run(engines.program, &[&words[..], &["--topic", topic, "--group", group]].concat())?;
    let went = Went { per_s: drain_rate(&served, fleet.crossings(), PATIENCE).await?, busy_s: served.busy_s()? };
    if check {
        served.hang(fleet).await?;
        served.check(fleet).await?;
    }
    served.stop()?;
    Ok(went)
}
