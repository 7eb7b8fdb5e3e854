//! A cluster, and what a keyspace of it holds.

use anyhow::{Context, Result};
use futures_util::TryStreamExt as _;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;

/// The nodes of `cql://HOST,HOST/...`, with commas between.
pub(crate) fn hosts(url: &str) -> Result<&str> {
    let hosts = url.strip_prefix("cql://").with_context(|| format!("{url} is no cql:// URL"))?;
    Ok(hosts.split('/').next().unwrap_or_default())
}

pub(crate) async fn connect(nodes: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Session> {
    SessionBuilder::new().known_nodes(nodes).build().await.context("the cluster cannot be reached")
}

/// All rows of an answer.
pub(crate) async fn all<R>(session: &Session, text: &str) -> Result<Vec<R>>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + 'static,
{
    Ok(session.query_iter(text, ()).await?.rows_stream::<R>()?.try_collect().await?)
}

/// The first value of an answer of one column.
pub(crate) async fn first(session: &Session, text: &str) -> Result<Option<String>> {
    Ok(all::<(String,)>(session, text).await?.into_iter().next().map(|(value,)| value))
}

/// By its counters, how many entered and exited at each DPU whose id is `prefix` and a number, by that.
pub(crate) async fn totals(session: &Session, keyspace: &str, prefix: &str) -> Result<Vec<(usize, i64, i64)>> {
    let text = format!(
        "SELECT dpu_id, counters.opening.entered, counters.day.entered, counters.opening.exited, counters.day.exited FROM {keyspace}.dpu_counters"
    );
    let rows = all::<(String, i64, i64, i64, i64)>(session, &text).await?;
    let totals = rows.into_iter().filter_map(|(dpu, entered_before, entered, exited_before, exited)| {
        Some((dpu.strip_prefix(prefix)?.parse().ok()?, entered_before + entered, exited_before + exited))
    });
    Ok(totals.collect())
}
