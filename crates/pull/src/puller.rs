//! Rounds: page after page until there is no other, each published, then done with.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use occupancy::time::Clock;

use crate::batch::{self, Batch};
use crate::config::{ConfigError, Provider};
use crate::fetch::{Fetcher, Trouble};
use crate::pace::{Backoff, Pace};
use crate::page::Page;
use crate::state::{State, StateError};
use crate::wait::Wait;

/// How much of a rejected item is logged.
const ITEM_CHARS: usize = 200;

/// Where batches go.
pub trait Outlet {
    /// What became of a batch.
    type Published: Display + Send;
    /// Why it is not known to be durable.
    type Error: Display + Send;

    /// Publishes a batch; durable when `Ok`. It may be called again with the same.
    fn publish(&mut self, batch: &Batch) -> impl Future<Output = Result<Self::Published, Self::Error>> + Send;
}

/// Why pulling ended.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// The provider gave no page, as often as it was to be tried.
    #[error("no page from the provider after {attempts} attempts: {trouble}")]
    NoPage {
        /// How often it was tried.
        attempts: u32,
        /// What was wrong the last time.
        trouble: Trouble,
    },
    /// What was read could not be published, as often as it was to be tried.
    #[error("not published after {attempts} attempts: {why}")]
    NotPublished {
        /// How often it was tried.
        attempts: u32,
        /// What was wrong the last time.
        why: String,
    },
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Pages read.
    pub pages: u64,
    /// Items in them.
    pub items: u64,
    /// Items that went to quarantine.
    pub rejected: u64,
    /// Whether it ended at `max_pages_per_round` or in a circle, and not at the last page.
    pub cut_short: bool,
}

/// Reads one provider into an outlet.
pub struct Puller<O> {
    provider: Provider,
    fetcher: Fetcher,
    pace: Pace,
    state: State,
    outlet: O,
    clock: Clock,
    wait: Wait,
}

impl<O: Outlet> Puller<O> {
    /// Goes on from a state. Files the provider names are relative to `folder`.
    ///
    /// # Errors
    /// A secret or certificate that the provider names is not there.
    pub fn new(provider: Provider, folder: &Path, state: State, outlet: O, clock: Clock) -> Result<Self, ConfigError> {
        let fetcher = Fetcher::new(&provider, folder)?;
        Ok(Self { pace: Pace::new(&provider.limits), provider, fetcher, state, outlet, clock, wait: Wait::default() })
    }

    /// Where its batches go.
    pub fn outlet(&self) -> &O {
        &self.outlet
    }

    /// Reads and publishes pages until there is no other. What fails is tried again without end, or `once_attempts` times.
    ///
    /// # Errors
    /// It was tried often enough, or the state cannot be kept.
    pub async fn round(&mut self, once: bool) -> Result<Round, PullError> {
        let attempts = once.then_some(self.provider.limits.once_attempts);
        let mut round = Round::default();
        let mut seen = BTreeSet::from([self.state.cursor.clone()]);
        loop {
            let page = self.page(attempts).await?;
            let batch = self.take(&page)?;
            self.publish(&batch, attempts).await?;
            self.state.memory.note_rejected(&batch.rejected_names, &self.provider.limits);
            round.pages += 1;
            round.items += batch.items as u64;
            round.rejected += batch.rejected.len() as u64;
            if !self.advance(&page, &batch)? {
                return Ok(round);
            }
            if !seen.insert(self.state.cursor.clone()) {
                tracing::warn!(provider = self.provider.name, "the cursor came back to where it was in this round: the round ends");
                return Ok(Round { cut_short: true, ..round });
            }
            if round.pages >= u64::from(self.provider.limits.max_pages_per_round) {
                tracing::warn!(provider = self.provider.name, round.pages, "max_pages_per_round: the next round goes on");
                return Ok(Round { cut_short: true, ..round });
            }
        }
    }

    /// The page at the cursor.
    async fn page(&mut self, attempts: Option<u32>) -> Result<Page, PullError> {
        let mut backoff = Backoff::new(&self.provider.limits);
        loop {
            self.pace.turn().await;
            let trouble = match self.fetcher.page(&self.provider, self.state.cursor.as_deref(), (self.clock)()).await {
                Ok(page) => return Ok(page),
                Err(trouble) => trouble,
            };
            let pause_ms = backoff.failed(trouble.retry_after_ms());
            let failures = backoff.failures();
            if attempts.is_some_and(|attempts| failures >= attempts || trouble.lasts()) {
                return Err(PullError::NoPage { attempts: failures, trouble });
            }
            tracing::warn!(provider = self.provider.name, cursor = self.state.cursor, failures, pause_ms, "no page: {trouble}");
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Reads a page's items. What intervals say is durable before anybody publishes it: a crash in between must not hide
    /// that they are lowered later.
    fn take(&mut self, page: &Page) -> Result<Batch, StateError> {
        let mut memory = self.state.memory.clone();
        let batch = batch::take(&self.provider, &page.items, &mut memory, (self.clock)());
        if memory != self.state.memory {
            self.state.memory = memory;
            self.state.save(&self.provider)?;
        }
        if let Some(first) = batch.rejected.first() {
            let (rejected, item) = (batch.rejected.len(), first.item.chars().take(ITEM_CHARS).collect::<String>());
            tracing::warn!(provider = self.provider.name, rejected, item, "to the quarantine, the first because {}", first.why);
        }
        if batch.forgotten > 0 {
            let intervals = batch.forgotten;
            let why = "too old to know whether they were lowered since they were read before: raise remember_intervals";
            tracing::warn!(provider = self.provider.name, intervals, "{why}");
        }
        Ok(batch)
    }

    async fn publish(&mut self, batch: &Batch, attempts: Option<u32>) -> Result<(), PullError> {
        if batch.reports.is_empty() && batch.rejected.is_empty() {
            return Ok(());
        }
        let mut backoff = Backoff::new(&self.provider.limits);
        loop {
            let why = match self.outlet.publish(batch).await {
                Ok(published) => {
                    tracing::info!(provider = self.provider.name, items = batch.items, "{published}");
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
            let pause_ms = backoff.failed(None);
            let failures = backoff.failures();
            if attempts.is_some_and(|attempts| failures >= attempts) {
                return Err(PullError::NotPublished { attempts: failures, why });
            }
            tracing::warn!(provider = self.provider.name, failures, pause_ms, "not published: {why}");
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Moves the cursor past a page that was published; whether to go on at once.
    fn advance(&mut self, page: &Page, batch: &Batch) -> Result<bool, StateError> {
        let another = page.next.is_some() && page.next != self.state.cursor;
        if let Some(until) = batch.not_yet {
            tracing::info!(provider = self.provider.name, %until, "an interval is not over yet: its page is read again later");
        }
        let waits = another && batch.not_yet.is_some();
        if let (Some(minutes), Some(until)) = (self.wait.long(waits, (self.clock)()), batch.not_yet) {
            let (provider, cursor) = (&self.provider.name, &self.state.cursor);
            let why = "the cursor waits for an interval of this page to be over, and with it all that comes after";
            tracing::warn!(provider, cursor, minutes, %until, "{why}: is its end wrong? longest_interval_s keeps such out");
        }
        let moves = another && !waits;
        if moves {
            self.state.cursor.clone_from(&page.next);
        }
        if moves || !batch.rejected.is_empty() {
            self.state.save(&self.provider)?;
        }
        Ok(moves && page.more.unwrap_or(!page.items.is_empty()))
    }
}
