//! The store for several processes: ScyllaDB or Apache Cassandra, over CQL.
//!
//! # Guarantees
//!
//! Those of [`store`], and how they come about here:
//!
//! - Every row of a DPU is written with the stamp of its [`store::LedgerWrite`] as its timestamp, and never deleted: so
//!   a newer stamp wins in every cell, and the same commit again writes the same cells. Counters are one cell.
//! - A commit's openings are durable at a quorum before its first crossing is sent, the crossings before the counters.
//!   The rows of one partition travel in batches, each one atomic mutation.
//! - Reads and writes ask a quorum of the local datacenter, so what was written is read by whoever names the same one.
//! - Edits and settings change by lightweight transactions. Where the answer is lost, the writer looks for its own token
//!   with a serial read: so an edit is in the log once, or its writer is told that it is not.
//! - Each write is attempted once; an answer that does not come, or tells of too few nodes, is
//!   [`store::StoreError::Unavailable`], and whoever owns the DPUs tries again. Reads may go to a second node.
//!
//! [`store::Ledgers::totals`] is "as of one moment" only for each DPU by itself: no read spans partitions.

mod edits;
mod error;
mod migrate;
mod migrations;
mod quarantine;
mod read;
mod replication;
mod session;
mod statements;
mod tls;
mod totals;
mod url;
mod value;
mod write;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use occupancy::crossing::Key;
use occupancy::edit::Edit;
use occupancy::id::DpuId;
use occupancy::ledger::{Counters, Row, Tail, Totals};
use occupancy::time::{Day, UnixMs};
use store::{AppendError, Commit, Edits, Ledgers, Part, Quarantined, Settings, Source, Stamped, Store, StoreError};

use crate::session::Db;
use crate::statements::Statements;
use crate::totals::Waited;

pub use error::OpenError;
pub use migrate::{DEFAULT_SLOTS, Migrated, Plan, migrate};
pub use replication::{Replication, ReplicationError};
pub use url::{CqlUrl, UrlError};

/// How long an answer may take, in ms, where nothing else is said: longer than a node waits for the others.
pub const TIMEOUT_MS: u64 = 10_000;

/// How to reach a keyspace.
#[derive(Clone, PartialEq, Eq)]
pub struct CqlOptions {
    /// Which one.
    pub url: CqlUrl,
    /// User and password, where the cluster asks for them.
    pub login: Option<(String, String)>,
    /// The local datacenter; needed where the cluster has several.
    pub datacenter: Option<String>,
    /// Speak TLS, and trust the authorities of this PEM file alone; plain where `None`.
    pub ca_file: Option<PathBuf>,
    /// How long an answer may take, in ms.
    pub timeout_ms: u64,
}

impl CqlOptions {
    /// Without a login and TLS, in the only datacenter.
    #[must_use]
    pub fn new(url: CqlUrl) -> Self {
        Self { url, login: None, datacenter: None, ca_file: None, timeout_ms: TIMEOUT_MS }
    }
}

impl std::fmt::Debug for CqlOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, login, datacenter, ca_file, timeout_ms } = self;
        let user = login.as_ref().map(|(user, _)| user);
        write!(f, "CqlOptions {{ url: {url}, user: {user:?}, datacenter: {datacenter:?}, ca_file: {ca_file:?}, timeout_ms: {timeout_ms} }}")
    }
}

/// A keyspace of a cluster.
#[derive(Debug)]
pub struct CqlStore {
    db: Db,
    statements: Statements,
    /// How many hash buckets the DPUs are in.
    slots: u32,
    /// DPUs this process has entered into the directory: as many as it owns.
    entered: Mutex<HashSet<DpuId>>,
    waited: Waited,
}

impl CqlStore {
    /// Connects to a keyspace that has been migrated.
    ///
    /// # Errors
    /// Nothing answers, or the keyspace is not one this program can use; see [`OpenError`].
    pub async fn connect(options: &CqlOptions) -> Result<Self, OpenError> {
        let (session, slots) = migrate::migrated(options).await?;
        let db = Db::new(session);
        let failed = |error| OpenError::Store { keyspace: options.url.keyspace.clone(), error };
        let statements = Statements::prepare(&db, &options.url.keyspace);
        let statements = session::in_time(options, async { statements.await.map_err(failed) }).await?;
        Ok(Self { db, statements, slots, entered: Mutex::default(), waited: Waited::default() })
    }

    /// How many hash buckets the DPUs are in.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// The bucket of a DPU.
    fn slot(&self, dpu: &DpuId) -> i32 {
        // Below the number of slots, which is an i32.
        dpu.murmur2().checked_rem(self.slots).unwrap_or(0).cast_signed()
    }
}

#[async_trait]
impl Ledgers for CqlStore {
    async fn counters(&self, dpus: &[DpuId]) -> Result<Vec<Option<Counters>>, StoreError> {
        let found = self.read_counters(dpus).await?;
        Ok(dpus.iter().map(|dpu| found.get(dpu).copied()).collect())
    }

    async fn tail(&self, dpu: &DpuId, from: &[Key]) -> Result<Tail, StoreError> {
        self.read_tail(dpu, from).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), StoreError> {
        self.write(&commit).await
    }

    async fn totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.read_totals(before, |_| Part::Whole).await
    }

    async fn relative_totals(&self, before: &[(DpuId, UnixMs)]) -> Result<Vec<Totals>, StoreError> {
        self.read_totals(before, Part::between).await
    }

    async fn stamped(&self, before: &[(DpuId, UnixMs, Part)]) -> Result<Vec<Stamped>, StoreError> {
        self.read_stamped(before).await
    }

    async fn crossings(&self, dpu: &DpuId, from: Key, until: UnixMs, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.read_crossings(dpu, from, until, limit).await
    }

    async fn openings(&self, dpu: &DpuId) -> Result<Vec<(Day, Totals)>, StoreError> {
        self.read_openings(dpu, Day(i32::MIN), Day(i32::MAX)).await?.try_collect().await
    }

    async fn dpus(&self, after: Option<&DpuId>, limit: usize) -> Result<Vec<(DpuId, Counters)>, StoreError> {
        self.read_dpus(after, limit).await
    }

    async fn quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        self.read_quarantined(after, limit).await
    }
}

#[async_trait]
impl Edits for CqlStore {
    async fn since(&self, revision: u64) -> Result<Vec<Edit>, StoreError> {
        self.edits_since(revision).await
    }

    async fn append(&self, expected: u64, edit: &Edit) -> Result<(), AppendError> {
        self.append_edit(expected, edit).await
    }

    async fn settings(&self) -> Result<Settings, StoreError> {
        self.read_settings().await
    }

    async fn put_settings(&self, expected: &Settings, new: &Settings) -> Result<bool, StoreError> {
        self.compare_and_set(expected, new).await
    }
}

impl Store for CqlStore {
    fn size_bytes(&self) -> Option<u64> {
        None
    }
}
