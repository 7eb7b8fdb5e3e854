//! The way in for crossings: lanes over the store, or Kafka.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use api::Feed;
use ingest::{CountersFeed, Drained, EmbeddedConfig, EmbeddedIntake, Intake, LaneConfig, Metrics, Policy};
use ingest_kafka::KafkaIntake;
use prometheus::Registry;
use store::Store;

use crate::args::Times;
use crate::clock;
use crate::consume::Consuming;

/// How long the lanes may take to finish what they hold.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How many records a commit holds at most where requests wait for it: a larger one spares few syncs, and leaves the senders
/// of all with nothing to do meanwhile; what it asked for in memory is hard to give back.
const BATCH_RECORDS: usize = 2_000;

/// How crossings come in.
pub(crate) enum Feeding {
    /// Over HTTP, straight into lanes.
    Embedded(Arc<EmbeddedIntake>),
    /// From Kafka; what comes over HTTP is handed to it.
    Kafka(Consuming),
    /// Other processes consume; what comes over HTTP is handed to Kafka.
    Gateway(Arc<KafkaIntake>),
}

impl Feeding {
    /// Lanes in this process.
    pub(crate) async fn embedded(
        store: Arc<dyn Store>,
        feed: Arc<dyn CountersFeed>,
        times: Times,
        lanes: u16,
        registry: &Registry,
    ) -> Result<Self> {
        let lane = LaneConfig { batch_records: BATCH_RECORDS, ..LaneConfig::default() };
        let config = EmbeddedConfig { lanes: lanes.into(), lane, policy: policy(times), ..EmbeddedConfig::default() };
        let intake = EmbeddedIntake::start(config, store, Some(feed), clock::system(), Metrics::new(registry)?).await?;
        Ok(Self::Embedded(Arc::new(intake)))
    }

    /// Where HTTP hands crossings.
    pub(crate) fn intake(&self) -> Arc<dyn Intake> {
        match self {
            Self::Embedded(intake) => intake.clone(),
            Self::Kafka(consuming) => consuming.intake(),
            Self::Gateway(intake) => intake.clone(),
        }
    }

    /// How it stands, whenever asked.
    pub(crate) fn feed(&self) -> Arc<dyn Fn() -> Feed + Send + Sync> {
        match self {
            Self::Embedded(intake) => {
                let intake = intake.clone();
                Arc::new(move || Feed {
                    not_ready: intake.failure().map(|error| format!("a lane has stopped: {error}")).or_else(|| intake.trouble()),
                    queued: intake.depth() as u64,
                    lag: None,
                })
            }
            Self::Kafka(consuming) => consuming.feed(),
            Self::Gateway(_) => Arc::new(Feed::default),
        }
    }

    /// Completes when it has failed for good.
    pub(crate) async fn failed(&self) -> anyhow::Error {
        match self {
            // Only a new start helps. A ledger that cannot be read shows in /readyz instead: all else goes on.
            Self::Embedded(intake) => intake.halted().await.into(),
            Self::Kafka(consuming) => consuming.failed().await,
            Self::Gateway(_) => std::future::pending().await,
        }
    }

    /// Finishes what it holds.
    pub(crate) async fn stop(self) -> Result<()> {
        match self {
            Self::Embedded(intake) => match intake.stop(DRAIN).await {
                Drained::Finished => Ok(()),
                Drained::Abandoned => {
                    bail!("the lanes did not finish within {} s: what was not acknowledged must be sent again", DRAIN.as_secs())
                }
                Drained::Failed(error) => bail!("a lane has stopped: {error}"),
            },
            Self::Kafka(consuming) => consuming.stop().await,
            // Requests under way were answered before.
            Self::Gateway(_) => Ok(()),
        }
    }
}

/// What is admitted.
pub(crate) fn policy(times: Times) -> Policy {
    Policy { max_clock_ahead_ms: times.max_clock_ahead_ms, max_lateness_ms: times.max_lateness_ms }
}
