//! Bringing a keyspace to the schema this program knows, and finding out whether it is there.
//!
//! The table `migrations` is one partition: a row for each migration, and beside them, as static columns, the number of
//! slots, the replication and who is migrating right now. Whoever migrates holds that place by a lightweight transaction;
//! it falls free by itself where its holder is gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use scylla::client::session::Session;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use store::StoreError;
use uuid::Uuid;

use crate::CqlOptions;
use crate::error::{Meaning, OpenError};
use crate::migrations::{ALL, Migration, Recorded, pending};
use crate::replication::{Kept, Replication};
use crate::session::{self, Readable, applied};

/// How many slots a keyspace has where nothing else is said: about 25 DPUs each when there are 100,000.
pub const DEFAULT_SLOTS: u32 = 4096;

/// How long a place is held after its holder was last heard of, in seconds.
const HELD_S: i32 = 120;
/// How long to wait for the place, in seconds: longer than one that is gone holds it.
const WAIT_S: u64 = 180;
/// How often to ask for it, in ms.
const ASK_EVERY_MS: u64 = 250;
/// How long a change of the schema may take, in ms: every node has to learn of it.
const SCHEMA_TIMEOUT_MS: u64 = 60_000;

const MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS {ks}.migrations (log int, number bigint, name text, sha256 text, applied_at timestamp, \
    slots int STATIC, replication text STATIC, holder uuid STATIC, PRIMARY KEY ((log), number))";

/// What a keyspace should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// How many slots; those it has, or [`DEFAULT_SLOTS`], where `None`.
    pub slots: Option<u32>,
    /// Which replication; the one it has, or [`Replication::default`], where `None`.
    pub replication: Option<Replication>,
}

/// What a keyspace has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The migrations that were applied just now, by name.
    pub applied: Vec<String>,
    /// How many slots it has.
    pub slots: u32,
    /// Its replication, as the cluster writes it.
    pub replication: String,
}

/// What is recorded in a keyspace.
#[derive(Debug, Default)]
struct Record {
    slots: Option<u32>,
    replication: Option<String>,
    migrations: Vec<Recorded>,
}

/// A keyspace as it was found.
struct Found {
    replication: Option<Kept>,
    tables: Vec<String>,
}

/// Brings the keyspace of a URL to the schema this program knows; creates it where there is none.
///
/// Several may do so at once, and it may be repeated.
///
/// # Errors
/// Nothing answers, or the keyspace is not one this program can migrate; see [`OpenError`].
pub async fn migrate(options: &CqlOptions, plan: &Plan) -> Result<Migrated, OpenError> {
    let session = session::connect(options).await?;
    let keyspace = Keyspace { session: &session, options };
    let mut found = keyspace.look().await?;
    if found.replication.is_none() {
        keyspace.create(plan.replication.clone().unwrap_or_default()).await?;
        found = keyspace.look().await?;
    }
    let kept = found.replication.as_ref().map(Kept::to_string).unwrap_or_default();
    if let (Some(asked), Some(kept)) = (&plan.replication, &found.replication)
        && !asked.is(kept)
    {
        let (asked, found) = (asked.to_string(), kept.to_string());
        return Err(OpenError::OtherReplication { keyspace: keyspace.name(), asked, found });
    }
    // Also where it is there: a table shows in the system's tables a moment before it can be used.
    keyspace.change(MIGRATIONS).await?;
    keyspace.agree().await?;
    let record = keyspace.made().await?;
    let missing = keyspace.check(&record, plan, &kept)?;
    let slots = record.slots.or(plan.slots).unwrap_or(DEFAULT_SLOTS);
    if missing.is_empty() && record.slots.is_some() && record.replication.as_ref() == Some(&kept) {
        return Ok(Migrated { applied: Vec::new(), slots, replication: kept });
    }
    keyspace.enter().await?;
    let me = Uuid::new_v4();
    keyspace.hold(me).await?;
    let outcome = keyspace.apply(me, plan, &kept).await;
    let released = keyspace.transact("UPDATE {ks}.migrations SET holder = null WHERE log = 0 IF holder = ?", (me,)).await;
    let migrated = outcome?;
    released.map(|_| migrated)
}

/// Connects to a keyspace that has been migrated; its number of slots.
pub(crate) async fn migrated(options: &CqlOptions) -> Result<(Session, u32), OpenError> {
    let session = session::connect(options).await?;
    let keyspace = Keyspace { session: &session, options };
    let lacks = |missing| {
        let known = u32::try_from(ALL.len()).unwrap_or(u32::MAX);
        OpenError::NotMigrated { url: options.url.to_string(), missing, known }
    };
    let found = keyspace.look().await?;
    let Some(kept) = found.replication.filter(|_| !found.tables.is_empty()) else {
        return Err(lacks(1));
    };
    let record = match keyspace.record().await {
        Err(error) if is_of_no_table(&error) => return Err(lacks(1)),
        record => record?,
    };
    if let Some(first) = pending(&options.url.keyspace, &record.migrations)?.first() {
        return Err(lacks(first.number));
    }
    let (Some(slots), Some(recorded)) = (record.slots, record.replication) else {
        return Err(lacks(1));
    };
    let found = kept.to_string();
    if recorded != found {
        return Err(OpenError::ReplicationChanged { url: options.url.to_string(), recorded, found });
    }
    Ok((session, slots))
}

/// A keyspace at hand, through a connection not used for anything else.
struct Keyspace<'a> {
    session: &'a Session,
    options: &'a CqlOptions,
}

impl Keyspace<'_> {
    fn name(&self) -> String {
        self.options.url.keyspace.clone()
    }

    fn failed(&self, error: impl Meaning) -> OpenError {
        self.broken(error.meaning())
    }

    fn broken(&self, error: StoreError) -> OpenError {
        OpenError::Store { keyspace: self.name(), error }
    }

    /// A statement, which names the keyspace as `{ks}`.
    fn statement(&self, text: &str) -> Statement {
        Statement::new(text.replace("{ks}", &self.options.url.keyspace))
    }

    async fn read<R: Readable>(&self, text: &str, values: impl SerializeRow) -> Result<Vec<R>, OpenError> {
        self.read_at(Consistency::LocalQuorum, text, values).await
    }

    async fn read_at<R: Readable>(&self, consistency: Consistency, text: &str, values: impl SerializeRow) -> Result<Vec<R>, OpenError> {
        let mut statement = self.statement(text);
        statement.set_consistency(consistency);
        let pages = self.session.query_iter(statement, values).await.map_err(|error| self.failed(error))?;
        let rows = pages.rows_stream::<R>().map_err(|error| self.failed(error))?;
        rows.try_collect().await.map_err(|error| self.failed(error))
    }

    /// Runs a lightweight transaction; whether its condition held.
    async fn transact(&self, text: &str, values: impl SerializeRow) -> Result<bool, OpenError> {
        let answer = self.session.query_unpaged(self.statement(text), values).await.map_err(|error| self.failed(error))?;
        applied(answer).map_err(|error| self.broken(error))
    }

    /// Changes the schema. All who do so ask the same node, as Cassandra puts changes in order only within a node.
    async fn change(&self, text: &str) -> Result<(), OpenError> {
        let cluster = self.session.get_cluster_state();
        let nodes = cluster.get_nodes_info().iter().filter(|node| node.is_connected());
        let mut statement = self.statement(text);
        statement.set_request_timeout(Some(Duration::from_millis(SCHEMA_TIMEOUT_MS)));
        if let Some(first) = nodes.min_by_key(|node| node.host_id) {
            let node = NodeIdentifier::Node(Arc::clone(first));
            statement.set_load_balancing_policy(Some(SingleTargetLoadBalancingPolicy::new(node, None)));
        }
        self.session.query_unpaged(statement, ()).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Waits until every node knows the same schema.
    async fn agree(&self) -> Result<(), OpenError> {
        let unknown = |error| self.broken(StoreError::Unavailable(format!("the nodes do not agree on the schema: {error}")));
        self.session.await_schema_agreement().await.map(drop).map_err(unknown)
    }

    /// What the cluster knows of it; refused where it is something else.
    async fn look(&self) -> Result<Found, OpenError> {
        let name = self.name();
        let replication: Vec<(HashMap<String, String>,)> =
            self.read("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", (&name,)).await?;
        let tables: Vec<(String,)> = self.read("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", (&name,)).await?;
        let tables: Vec<String> = tables.into_iter().map(|(table,)| table).collect();
        match tables.first() {
            Some(table) if !tables.iter().any(|table| table == "migrations") => {
                Err(OpenError::Foreign { keyspace: name, table: table.clone() })
            }
            _ => Ok(Found { replication: replication.into_iter().next().map(|(map,)| Kept::from(map)), tables }),
        }
    }

    async fn create(&self, replication: Replication) -> Result<(), OpenError> {
        let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
        for node in self.session.get_cluster_state().get_nodes_info() {
            *nodes.entry(node.datacenter.clone().unwrap_or_default()).or_default() += 1;
        }
        if let Some((datacenter, copies, nodes)) = replication.lacking(&nodes) {
            return Err(OpenError::FewNodes { datacenter, nodes, copies });
        }
        // ScyllaDB's tablets took no lightweight transactions before 2025.4; Cassandra does not know the word.
        let tablets: Vec<(String,)> = self
            .read(
                "SELECT column_name FROM system_schema.columns \
                 WHERE keyspace_name = 'system_schema' AND table_name = 'scylla_keyspaces' AND column_name = 'initial_tablets'",
                (),
            )
            .await?;
        let tablets = if tablets.is_empty() { "" } else { " AND tablets = {'enabled': false}" };
        let text = format!("CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {}{tablets}", self.name(), replication.cql());
        self.change(&text).await
    }

    /// From here on the statements of migrations, which name no keyspace, mean its tables.
    async fn enter(&self) -> Result<(), OpenError> {
        let unusable = |error| self.broken(StoreError::Unavailable(format!("{error}")));
        self.session.use_keyspace(self.name(), false).await.map_err(unusable)
    }

    /// What is recorded, as soon as the table that was just made can be used.
    async fn made(&self) -> Result<Record, OpenError> {
        let asking = async {
            loop {
                match self.record().await {
                    Err(error) if is_of_no_table(&error) => tokio::time::sleep(Duration::from_millis(ASK_EVERY_MS)).await,
                    record => return record,
                }
            }
        };
        let patience = tokio::time::timeout(Duration::from_millis(SCHEMA_TIMEOUT_MS), asking).await;
        patience.unwrap_or_else(|_| {
            let why = format!("its table migrations was made, and cannot be used after {SCHEMA_TIMEOUT_MS} ms");
            Err(self.broken(StoreError::Unavailable(why)))
        })
    }

    async fn record(&self) -> Result<Record, OpenError> {
        type Columns = (Option<i32>, Option<String>, Option<i64>, Option<String>, Option<String>);
        let rows: Vec<Columns> =
            self.read("SELECT slots, replication, number, name, sha256 FROM {ks}.migrations WHERE log = 0", ()).await?;
        let mut record = Record::default();
        for (slots, replication, number, name, sha256) in rows {
            record.slots = slots.and_then(|slots| u32::try_from(slots).ok()).filter(|slots| *slots > 0);
            record.replication = replication;
            record.migrations.extend(number.map(|number| (number, name.unwrap_or_default(), sha256.unwrap_or_default())));
        }
        Ok(record)
    }

    /// The migrations it lacks, if it can become what is planned.
    fn check(&self, record: &Record, plan: &Plan, kept: &str) -> Result<&'static [Migration], OpenError> {
        let missing = pending(&self.options.url.keyspace, &record.migrations)?;
        if let (Some(found), Some(asked)) = (record.slots, plan.slots)
            && found != asked
        {
            return Err(OpenError::Slots { keyspace: self.name(), asked, found });
        }
        match &record.replication {
            Some(recorded) if recorded != kept && plan.replication.is_none() => {
                Err(OpenError::ReplicationChanged { url: self.options.url.to_string(), recorded: recorded.clone(), found: kept.to_owned() })
            }
            _ => Ok(missing),
        }
    }

    /// Takes the place of whoever migrates, as soon as nobody else has it.
    async fn hold(&self, me: Uuid) -> Result<(), OpenError> {
        let holder = "SELECT holder FROM {ks}.migrations WHERE log = 0 LIMIT 1";
        let take = format!("UPDATE {{ks}}.migrations USING TTL {HELD_S} SET holder = ? WHERE log = 0 IF holder = null");
        let waiting = async {
            loop {
                // Of two that ask at once, one may be told of nothing; the place itself tells.
                let taken = self.transact(&take, (me,)).await;
                let held: Vec<(Option<Uuid>,)> = self.read_at(Consistency::Serial, holder, ()).await?;
                if held.first() == Some(&(Some(me),)) {
                    return Ok(());
                }
                taken.map(drop).or_else(|error| if unknown(&error) { Ok(()) } else { Err(error) })?;
                tokio::time::sleep(Duration::from_millis(ASK_EVERY_MS)).await;
            }
        };
        let patience = tokio::time::timeout(Duration::from_secs(WAIT_S), waiting).await;
        patience.unwrap_or_else(|_| Err(OpenError::Locked { keyspace: self.name(), waited_s: WAIT_S }))
    }

    /// Applies what is missing; only the holder of the place writes.
    async fn apply(&self, me: Uuid, plan: &Plan, kept: &str) -> Result<Migrated, OpenError> {
        // Somebody else may have been here since.
        let record = self.record().await?;
        let missing = self.check(&record, plan, kept)?;
        let slots = record.slots.or(plan.slots).unwrap_or(DEFAULT_SLOTS);
        let facts = "UPDATE {ks}.migrations SET slots = ?, replication = ? WHERE log = 0 IF holder = ?";
        self.still(self.transact(facts, (slots.cast_signed(), kept, me)).await?, 0)?;
        for migration in missing {
            for statement in migration.statements() {
                let hold_on = format!("UPDATE {{ks}}.migrations USING TTL {HELD_S} SET holder = ? WHERE log = 0 IF holder = ?");
                self.still(self.transact(&hold_on, (me, me)).await?, migration.number)?;
                self.change(&statement).await?;
            }
            let done = "BEGIN BATCH \
                UPDATE {ks}.migrations SET slots = ? WHERE log = 0 IF holder = ?; \
                INSERT INTO {ks}.migrations (log, number, name, sha256, applied_at) VALUES (0, ?, ?, ?, toTimestamp(now())); \
                APPLY BATCH";
            let values = (slots.cast_signed(), me, i64::from(migration.number), migration.name, migration.sha256());
            self.still(self.transact(done, values).await?, migration.number)?;
        }
        let applied = missing.iter().map(|one| format!("{:04}_{}", one.number, one.name)).collect();
        Ok(Migrated { applied, slots, replication: kept.to_owned() })
    }

    fn still(&self, mine: bool, number: u32) -> Result<(), OpenError> {
        if mine { Ok(()) } else { Err(OpenError::LostLock { number }) }
    }
}

/// Whether a failure says that there is no table, or not yet: one that is being made shows in the system's tables a moment
/// before it can be used. In Cassandra's words, in those of ScyllaDB and older Cassandras, and in Cassandra's in that moment.
fn is_of_no_table(error: &OpenError) -> bool {
    let OpenError::Store { error: StoreError::Halted(why) | StoreError::Unavailable(why), .. } = error else { return false };
    ["table migrations does not exist", "unconfigured table migrations", "Unknown CF"].iter().any(|words| why.contains(words))
}

/// Whether it may have happened.
fn unknown(error: &OpenError) -> bool {
    matches!(error, OpenError::Store { error: StoreError::Unavailable(_), .. })
}
