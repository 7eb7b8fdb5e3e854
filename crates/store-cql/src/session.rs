//! A connection to a cluster: how requests are sent, and how many at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use store::StoreError;
use tokio::sync::Semaphore;

use crate::error::{Meaning, OpenError};
use crate::{CqlOptions, tls};

/// How many requests are on their way at once: more only queue up in the cluster.
pub(crate) const AT_ONCE: usize = 256;
/// How many rows a page of a long answer has.
const PAGE_ROWS: i32 = 2000;

/// How many times as long as for one answer it may take to connect.
const CONNECTING_TIMEOUTS: u64 = 3;

/// A row read into owned values.
pub(crate) trait Readable: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static {}

impl<T: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static> Readable for T {}

/// A connection that sends prepared statements, a bounded number at once, and each of them once. Reads do not wait for a
/// commit's writes.
#[derive(Debug)]
pub(crate) struct Db {
    session: Session,
    reads: Semaphore,
    writes: Semaphore,
}

/// Runs futures, at most so many at once, and gives their outcomes in order.
///
/// They come as a vector, as a closure that borrows its argument could not be kept in a future that moves between threads.
pub(crate) async fn all_of<T>(futures: Vec<impl Future<Output = Result<T, StoreError>>>, at_once: usize) -> Result<Vec<T>, StoreError> {
    stream::iter(futures).buffered(at_once).try_collect().await
}

/// The first items of pages, at most `limit`; the pages after them are not asked for.
pub(crate) async fn first_of<T>(pages: impl Stream<Item = Result<Vec<T>, StoreError>>, limit: usize) -> Result<Vec<T>, StoreError> {
    let mut pages = std::pin::pin!(pages);
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(page) = pages.try_next().await? else { break };
        found.extend(page);
    }
    found.truncate(limit);
    Ok(found)
}

/// Connects to the cluster, not yet to the keyspace.
pub(crate) async fn connect(options: &CqlOptions) -> Result<Session, OpenError> {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &options.datacenter {
        policy = policy.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(Duration::from_millis(options.timeout_ms)))
        // Whoever owns what is written tries again, with the same values and stamp.
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .load_balancing_policy(policy.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.url.nodes)
        .connection_timeout(Duration::from_millis(options.timeout_ms))
        .default_execution_profile_handle(profile.into_handle());
    if let Some((user, password)) = &options.login {
        builder = builder.user(user, password);
    }
    if let Some(ca_file) = &options.ca_file {
        builder = builder.tls_context(Some(tls::context(ca_file)?));
    }
    let unreachable = |error| OpenError::Unreachable { url: options.url.to_string(), why: format!("{error}") };
    let session = in_time(options, async { builder.build().await.map_err(unreachable) }).await?;
    check_datacenter(&session, options)?;
    Ok(session)
}

/// Gives up on what takes too long: the driver waits without end for the first answers on a new connection, and for
/// those to statements it prepares.
pub(crate) async fn in_time<T>(options: &CqlOptions, opening: impl Future<Output = Result<T, OpenError>>) -> Result<T, OpenError> {
    let patience_ms = options.timeout_ms.saturating_mul(CONNECTING_TIMEOUTS);
    tokio::time::timeout(Duration::from_millis(patience_ms), opening).await.unwrap_or_else(|_| {
        Err(OpenError::Unreachable {
            url: options.url.to_string(),
            why: format!("a node took the connection, and nothing came within {patience_ms} ms"),
        })
    })
}

/// LOCAL_QUORUM means the datacenter of whichever node is asked, so with several somebody has to say which.
fn check_datacenter(session: &Session, options: &CqlOptions) -> Result<(), OpenError> {
    let cluster = session.get_cluster_state();
    let there: BTreeSet<&String> = cluster.get_nodes_info().iter().filter_map(|node| node.datacenter.as_ref()).collect();
    let there: Vec<String> = there.into_iter().cloned().collect();
    match &options.datacenter {
        Some(asked) if !there.contains(asked) => Err(OpenError::NoDatacenter { asked: asked.clone(), there }),
        None if there.len() > 1 => Err(OpenError::Datacenters(there)),
        _ => Ok(()),
    }
}

impl Db {
    /// Sends through a session.
    pub(crate) fn new(session: Session) -> Self {
        Self { session, reads: Semaphore::new(AT_ONCE), writes: Semaphore::new(AT_ONCE) }
    }

    /// Prepares a statement that writes.
    pub(crate) async fn prepare(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        self.session.prepare(text).await.map_err(|error| StoreError::Unavailable(format!("{text} cannot be prepared: {error}")))
    }

    /// Prepares a statement that reads: another node may be asked where one fails.
    pub(crate) async fn prepare_read(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        let mut statement = self.prepare(text).await?;
        statement.set_is_idempotent(true);
        statement.set_retry_policy(Some(Arc::new(DefaultRetryPolicy::new())));
        statement.set_page_size(PAGE_ROWS);
        Ok(statement)
    }

    /// In its turn; that is never refused, as no semaphore is closed.
    async fn execute(
        &self,
        turns: &Semaphore,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, StoreError> {
        let _turn = turns.acquire().await;
        self.session.execute_unpaged(statement, values).await.map_err(Meaning::meaning)
    }

    /// The rows of an answer of few.
    pub(crate) async fn few<R: Readable>(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<Vec<R>, StoreError> {
        let answer = self.execute(&self.reads, statement, values).await?;
        let rows = answer.into_rows_result().map_err(Meaning::meaning)?;
        rows.rows::<R>().map_err(Meaning::meaning)?.map(|row| row.map_err(Meaning::meaning)).collect()
    }

    /// The first row of an answer of few.
    pub(crate) async fn first<R: Readable>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>, StoreError> {
        Ok(self.few(statement, values).await?.into_iter().next())
    }

    /// The rows of an answer, page by page.
    pub(crate) async fn rows<R: Readable>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<impl Stream<Item = Result<R, StoreError>> + Send + 'static, StoreError> {
        let _turn = self.reads.acquire().await;
        let pages = self.session.execute_iter(statement.clone(), values).await.map_err(Meaning::meaning)?;
        Ok(pages.rows_stream::<R>().map_err(Meaning::meaning)?.map_err(Meaning::meaning))
    }

    /// All rows of an answer.
    pub(crate) async fn all<R: Readable>(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<Vec<R>, StoreError> {
        self.rows(statement, values).await?.try_collect().await
    }

    /// Writes one row.
    pub(crate) async fn write(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<(), StoreError> {
        self.execute(&self.writes, statement, values).await.map(drop)
    }

    /// Writes rows of one partition: one atomic mutation.
    pub(crate) async fn write_all<V: SerializeRow>(&self, statement: &PreparedStatement, rows: &[V]) -> Result<(), StoreError> {
        if let [row] = rows {
            return self.write(statement, row).await;
        }
        let statements = rows.iter().map(|_| BatchStatement::PreparedStatement(statement.clone())).collect();
        let batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        let _turn = self.writes.acquire().await;
        self.session.batch(&batch, rows).await.map(drop).map_err(Meaning::meaning)
    }

    /// Runs a conditional statement; whether its condition held.
    pub(crate) async fn applied(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<bool, StoreError> {
        applied(self.execute(&self.writes, statement, values).await?)
    }
}

/// The first column of the answer to a conditional statement; the others differ between databases.
pub(crate) fn applied(answer: QueryResult) -> Result<bool, StoreError> {
    let rows = answer.into_rows_result().map_err(Meaning::meaning)?;
    let row: scylla::value::Row = rows.first_row().map_err(Meaning::meaning)?;
    let first = row.columns.first().and_then(Option::as_ref).and_then(scylla::value::CqlValue::as_boolean);
    first.ok_or_else(|| StoreError::Corrupt("a conditional statement was not answered with whether it applied".to_owned()))
}
