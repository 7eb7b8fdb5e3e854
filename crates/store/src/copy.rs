//! Copying a store into an empty one of any kind.
//!
//! # Guarantees
//!
//! - A copy may be cut off at any moment and gone on with. Until it is finished the target says so in its settings
//!   ([`Settings::copying_from`]), and must not be used for anything else.
//! - A ledger is written in parts, in key order, each one commit. The counters of a part say how far it goes and which
//!   state of the source it is of, so the target itself tells where to go on. Their stamps grow by one from part to part,
//!   up to that of the source: a part that was given up and arrives late loses.
//! - What was begun from a state the source is no longer in is not mixed with the new one, but refused.
//! - Rows carry the stamp of the source's counters or one shortly before: later folds have newer ones.
//!
//! Memory: [`Copying::at_once`] parts, the openings of as many DPUs, and the log of edits.

mod compare;
mod ledgers;

use occupancy::id::DpuId;

use crate::{AppendError, Commit, Settings, Store, StoreError};

pub use compare::{Compared, Mismatch};

/// DPUs asked for at once.
const PAGE: usize = 1000;
/// Quarantined rows read at once: each holds a payload.
const QUARANTINE_PAGE: usize = 32;

/// Why a copy cannot be begun, gone on with or finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The source is itself the target of a copy that was not finished.
    #[error("the source is an unfinished copy of {0}: finish that first")]
    SourceUnfinished(String),
    /// The target holds something already.
    #[error("the target holds {0} already: copy into an empty one")]
    NotEmpty(&'static str),
    /// The target is an unfinished copy of something else.
    #[error("the target is an unfinished copy of {0}: finish that, or copy into an empty one")]
    OtherSource(String),
    /// Somebody else changed the target's settings.
    #[error("the target is in use: its settings changed meanwhile; stop whatever uses it, and copy into an empty one")]
    InUse,
    /// The edits of the target are not the first ones of the source.
    #[error("edit {revision} of the target is not that of the source: copy into an empty one")]
    OtherEdit {
        /// The first revision that differs.
        revision: u64,
    },
    /// The source is no longer in the state the copy was begun from.
    #[error(
        "the ledger of DPU {0} was begun from another state of the source: stop whatever writes to the source, and copy into an empty one"
    )]
    Changed(DpuId),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A copy under way.
#[derive(Clone, Copy)]
pub struct Copying<'a> {
    /// What is copied; nothing else may write to it meanwhile.
    pub source: &'a dyn Store,
    /// Where to.
    pub target: &'a dyn Store,
    /// How many DPUs are copied at once.
    pub at_once: usize,
    /// How many crossings are written at once, of each.
    pub part_rows: usize,
}

impl<'a> Copying<'a> {
    /// From one store to another, 16 DPUs at once, each in parts of 4,096 crossings.
    #[must_use]
    pub fn new(source: &'a dyn Store, target: &'a dyn Store) -> Self {
        Self { source, target, at_once: 16, part_rows: 4096 }
    }

    /// Marks the target, if it is empty or an unfinished copy of the same source, known by its name.
    ///
    /// # Errors
    /// It is neither, or the source is itself unfinished. Nothing was written.
    pub async fn begin(&self, source_name: &str) -> Result<(), CopyError> {
        if let Some(from) = self.source.settings().await?.copying_from {
            return Err(CopyError::SourceUnfinished(from));
        }
        match self.target.settings().await?.copying_from {
            Some(from) if from == source_name => return Ok(()),
            Some(from) => return Err(CopyError::OtherSource(from)),
            None => {}
        }
        self.check_empty().await?;
        let marked = Settings { copying_from: Some(source_name.to_owned()), ..Settings::default() };
        if self.target.put_settings(&Settings::default(), &marked).await? { Ok(()) } else { Err(CopyError::InUse) }
    }

    async fn check_empty(&self) -> Result<(), CopyError> {
        let target = self.target;
        let holds = if !target.dpus(None, 1).await?.is_empty() {
            "crossings"
        } else if !target.since(0).await?.is_empty() {
            "edits"
        } else if !target.quarantined(None, 1).await?.is_empty() {
            "quarantined input"
        } else if target.settings().await? != Settings::default() {
            "positions in a log"
        } else {
            return Ok(());
        };
        Err(CopyError::NotEmpty(holds))
    }

    /// How many DPUs and crossings there are to copy, by the counters.
    ///
    /// # Errors
    /// The source fails.
    pub async fn survey(&self) -> Result<(u64, u64), StoreError> {
        let (mut dpus, mut crossings, mut after) = (0, 0_u64, None);
        loop {
            let page = self.source.dpus(after.as_ref(), PAGE).await?;
            dpus += page.len() as u64;
            crossings = page.iter().fold(crossings, |sum, (_, counters)| sum.saturating_add(ledgers::crossings(counters)));
            match page.into_iter().nth(PAGE - 1) {
                None => return Ok((dpus, crossings)),
                Some((last, _)) => after = Some(last),
            }
        }
    }

    /// Copies what the target does not have yet; tells how many more crossings are there, as they come.
    ///
    /// # Errors
    /// The source has changed, or a store fails: after [`StoreError::Unavailable`] it can be called again.
    pub async fn run(&self, told: &dyn Fn(u64)) -> Result<(), CopyError> {
        self.copy_edits().await?;
        self.copy_ledgers(told).await?;
        self.copy_quarantine().await
    }

    async fn copy_edits(&self) -> Result<(), CopyError> {
        let (edits, there) = (self.source.since(0).await?, self.target.since(0).await?);
        let other = |revision| CopyError::OtherEdit { revision };
        if let Some(revision) = compare::first_other_edit(edits.get(..there.len()).unwrap_or(&edits), &there) {
            return Err(other(revision));
        }
        for (revision, edit) in (0..).zip(&edits).skip(there.len()) {
            match self.target.append(revision, edit).await {
                Ok(()) => {}
                Err(AppendError::Behind { expected, .. }) => return Err(other(expected + 1)),
                Err(AppendError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// All of it each time: it is little, and written again it stays as it is.
    async fn copy_quarantine(&self) -> Result<(), CopyError> {
        let mut after = None;
        loop {
            let quarantine = self.source.quarantined(after.as_ref(), QUARANTINE_PAGE).await?;
            let Some(last) = quarantine.last().map(|one| one.source.clone()) else {
                return Ok(());
            };
            self.target.commit(Commit { ledgers: Vec::new(), quarantine }.into()).await?;
            after = Some(last);
        }
    }

    /// Makes the target a store like any other, with what the source knows of its log. Only after [`Self::compare`]
    /// found nothing that differs.
    ///
    /// # Errors
    /// Its settings were changed by somebody else, or a store fails.
    pub async fn finish(&self, source_name: &str) -> Result<(), CopyError> {
        let settings = self.source.settings().await?;
        let marked = Settings { copying_from: Some(source_name.to_owned()), ..Settings::default() };
        if self.target.put_settings(&marked, &settings).await? { Ok(()) } else { Err(CopyError::InUse) }
    }
}
