//! The way in for HTTP: reports go straight into lanes, or to Kafka, and a receipt comes back.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use store::Reason;
use wire::{Bad, Report};

/// Takes reports in.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Takes in the reports of one request, in order; those that could not be read are quarantined with the rest.
    /// `Ok` means durable: the sender may forget.
    async fn submit(&self, reports: Vec<Result<Report, Bad>>) -> Result<Receipt, IntakeError>;
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// In the ledgers.
    Stored {
        /// Crossings new to their ledgers.
        accepted: u64,
        /// Crossings that were there already.
        duplicate: u64,
        /// What was kept out.
        quarantined: Vec<QuarantinedPart>,
    },
    /// In the log; this many reports.
    Queued {
        /// Reports produced.
        reports: u64,
    },
}

/// A report or crossing that was kept out of the ledgers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedPart {
    /// Which report of the request, from 0.
    pub report: usize,
    /// Which crossing of the report, from 0; `None` for the whole report.
    pub crossing: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// What exactly was wrong.
    pub detail: String,
}

/// Why a request was not taken in; sending it again unchanged is always safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The store cannot be written to just now.
    #[error("not taken in, the store is unavailable: {why}; send it again unchanged after {retry_after_s} s")]
    Unavailable {
        /// What the store says.
        why: String,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The queues are full or the store is slow.
    #[error("not taken in: {waiting} requests wait already; send it again unchanged after {retry_after_s} s")]
    Busy {
        /// How many wait.
        waiting: usize,
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// The server is stopping; part of it may be durable.
    #[error("the server is stopping: send it again unchanged")]
    Stopping,
    /// Sending it again unchanged does not help: the store is corrupt, or Kafka does not take it.
    #[error("not taken in: {0}")]
    Failed(String),
}

/// Counts a request while it waits, however it ends.
#[derive(Debug)]
pub struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// One more waits, until this is dropped.
    #[must_use]
    pub fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
