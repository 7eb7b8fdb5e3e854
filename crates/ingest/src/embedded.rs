//! The intake without Kafka: a request's reports go straight into lanes, and the answer waits until they are durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use occupancy::id::DpuId;
use occupancy::ledger::{Record, Tally};
use occupancy::time::Clock;
use store::{Ledgers, Quarantined, Source, StoreError};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wire::{Bad, Report};

use crate::access::Shared;
use crate::admit::{Arrival, Policy, admit};
use crate::feed::CountersFeed;
use crate::intake::{Intake, IntakeError, QuarantinedPart, Receipt, Waiting};
use crate::item::{Ack, Item, Outcome};
use crate::lane::{Drained, Lane, LaneConfig};
use crate::metrics::Metrics;

/// The topic of input that came over HTTP, in quarantine rows.
const TOPIC: &str = "http";
/// What a caller is told to wait before it tries again, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// Limits of an embedded intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// How many lanes share the DPUs; at least one.
    pub lanes: usize,
    /// Limits of each.
    pub lane: LaneConfig,
    /// What is admitted.
    pub policy: Policy,
    /// How long a request waits for room in the queues, in ms.
    pub queue_timeout_ms: u64,
    /// How long it waits in all until it is durable, in ms.
    pub timeout_ms: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self { lanes: 1, lane: LaneConfig::default(), policy: Policy::default(), queue_timeout_ms: 500, timeout_ms: 5_000 }
    }
}

/// Lanes over a store, each DPU in one of them.
pub struct EmbeddedIntake {
    config: EmbeddedConfig,
    lanes: Vec<Lane<Reply>>,
    clock: Clock,
    metrics: Metrics,
    /// The last number given to a source, in µs of the clock or beyond.
    numbered: AtomicI64,
    waiting: AtomicUsize,
}

/// Answers the request.
struct Reply(oneshot::Sender<Outcome>);

impl Ack for Reply {
    fn durable(self, outcome: Outcome) {
        // A caller that went away needs no answer.
        let _ = self.0.send(outcome);
    }
}

/// What a request gives one lane.
#[derive(Default)]
struct Share {
    records: Vec<(DpuId, Record)>,
    quarantine: Vec<Quarantined>,
}

impl EmbeddedIntake {
    /// Starts the lanes on the current runtime; they publish to `feed`, where somebody follows. No other process may write to the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(
        config: EmbeddedConfig,
        store: Arc<dyn Ledgers>,
        feed: Option<Arc<dyn CountersFeed>>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Handle::current();
        let numbered = last_number(&*store, clock().ms() * 1000).await?;
        // As much as comes: here it is the disk that gathers commits.
        let shared = Shared::new(store, feed, metrics.clone(), u32::MAX);
        let spawn = |_| Lane::spawn(&runtime, config.lane, shared.clone());
        let lanes = (0..config.lanes.max(1)).map(spawn).collect();
        Ok(Self { config, lanes, clock, metrics, numbered: AtomicI64::new(numbered), waiting: AtomicUsize::new(0) })
    }

    /// Takes no more requests and makes durable what is queued, as far as patience goes.
    pub async fn stop(&self, patience: Duration) -> Drained {
        // All at once: patience is for the slowest, not for each in turn.
        self.lanes.iter().for_each(Lane::close);
        let deadline = tokio::time::Instant::now() + patience;
        let mut worst = Drained::Finished;
        for lane in &self.lanes {
            match lane.drain(deadline.duration_since(tokio::time::Instant::now())).await {
                Drained::Finished => {}
                other => worst = other,
            }
        }
        worst
    }

    /// How many records wait in the queues.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.lanes.iter().map(Lane::depth).sum()
    }

    /// Why a lane stopped by itself, if one did.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        self.lanes.iter().find_map(Lane::failure)
    }

    /// Why the store is being asked again and again just now, if it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.lanes.iter().find_map(Lane::trouble)
    }

    /// Waits until the store takes nothing more before a new start; without end while it does.
    pub async fn halted(&self) -> StoreError {
        let mut lanes: JoinSet<StoreError> = self.lanes.iter().map(Lane::halted).collect();
        match lanes.join_next().await {
            Some(Ok(error)) => error,
            _ => std::future::pending().await,
        }
    }

    /// Numbers for `count` sources, never given before: returns the first.
    fn number(&self, count: i64) -> i64 {
        let now_us = (self.clock)().ms() * 1000;
        let next = |last: i64| Some(last.max(now_us - 1) + count);
        // The closure never gives up, so the update always happens; it returns the previous value.
        let last = self.numbered.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_else(|last| last);
        last.max(now_us - 1) + 1
    }

    /// Judges the reports: each lane's share, and what is kept out in the order of the request.
    fn admit(&self, reports: Vec<Result<Report, Bad>>) -> (BTreeMap<usize, Share>, Vec<QuarantinedPart>) {
        let count = i64::try_from(reports.len()).unwrap_or(i64::MAX);
        let first = self.number(count);
        let mut arrival = Arrival { appended_at: (self.clock)(), position: None, topic: TOPIC, partition: 0, offset: first };
        let mut shares: BTreeMap<usize, Share> = BTreeMap::new();
        let mut parts = Vec::new();
        for (i, report) in reports.into_iter().enumerate() {
            let admission = admit(report, &arrival, &self.config.policy);
            arrival.offset += 1;
            self.metrics.admitted(&admission);
            parts.extend(admission.quarantine.iter().map(|row| QuarantinedPart {
                report: i,
                crossing: usize::try_from(row.source.index).ok().filter(|_| row.source.index != Source::WHOLE),
                reason: row.reason,
                detail: row.detail.clone(),
            }));
            let lane = admission.record.as_ref().map_or(0, |(dpu, _)| dpu.murmur2() as usize % self.lanes.len());
            let share = shares.entry(lane).or_default();
            share.records.extend(admission.record);
            share.quarantine.extend(admission.quarantine);
        }
        (shares, parts)
    }

    /// Hands each lane its share and waits until all are durable.
    async fn commit(&self, shares: BTreeMap<usize, Share>) -> Result<Tally, IntakeError> {
        let mut answers = Vec::with_capacity(shares.len());
        let queueing = async {
            for (lane, Share { records, quarantine }) in shares {
                let (reply, answer) = oneshot::channel();
                let Some(lane) = self.lanes.get(lane) else { return Err(self.closed()) };
                lane.submit(Item { records, quarantine, ack: Reply(reply) }).await.map_err(|_| self.closed())?;
                answers.push(answer);
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_millis(self.config.queue_timeout_ms), queueing).await.map_err(|_| self.busy())??;
        let mut sum = Tally::default();
        for answer in answers {
            let outcome = answer.await.map_err(|_| self.closed())?;
            sum = outcome.tallies.into_iter().fold(sum, Tally::plus);
        }
        Ok(sum)
    }

    fn busy(&self) -> IntakeError {
        match self.trouble() {
            Some(why) => IntakeError::Unavailable { why, retry_after_s: RETRY_AFTER_S },
            None => IntakeError::Busy { waiting: self.waiting.load(Ordering::Relaxed), retry_after_s: RETRY_AFTER_S },
        }
    }

    fn closed(&self) -> IntakeError {
        match self.failure() {
            None => IntakeError::Stopping,
            Some(StoreError::Corrupt(why)) => IntakeError::Failed(why),
            Some(error) => IntakeError::Unavailable { why: error.to_string(), retry_after_s: RETRY_AFTER_S },
        }
    }
}

#[async_trait]
impl Intake for EmbeddedIntake {
    async fn submit(&self, reports: Vec<Result<Report, Bad>>) -> Result<Receipt, IntakeError> {
        let _waiting = Waiting::new(&self.waiting);
        let (shares, quarantined) = self.admit(reports);
        let timeout = Duration::from_millis(self.config.timeout_ms);
        let Tally { accepted, duplicate } = tokio::time::timeout(timeout, self.commit(shares)).await.map_err(|_| self.busy())??;
        Ok(Receipt::Stored { accepted, duplicate, quarantined })
    }
}

/// The last number in use at or after `from_us`: beyond it, where the clock was set back since the last run.
async fn last_number(store: &dyn Ledgers, from_us: i64) -> Result<i64, StoreError> {
    let mut last = Source { topic: TOPIC.to_owned(), partition: 0, offset: from_us - 1, index: Source::WHOLE };
    loop {
        let page = store.quarantined(Some(&last), 1000).await?;
        match page.into_iter().map(|row| row.source).rfind(|source| source.topic == TOPIC) {
            Some(source) => last = source,
            None => return Ok(last.offset),
        }
    }
}
