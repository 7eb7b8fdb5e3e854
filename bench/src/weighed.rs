//! What the tables of a keyspace take on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use scylla::client::session::Session;
use tokio::time::{Instant, sleep};

use crate::cql;

/// With whatever is written out next, all that a table holds goes into one file, as days that are over do.
pub(crate) const SETTLING: &str = "memtable_flush_period_in_ms = 500 AND compaction = {'class': 'SizeTieredCompactionStrategy', \
                        'min_threshold': 2, 'min_sstable_size': 1099511627776}";
/// What is on disk has settled once it is the same this long after; and when it must have.
const SETTLES: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(180);

/// Has all that the tables of a keyspace hold written out and joined, from now on.
pub(crate) async fn settle(session: &Session, keyspace: &str) -> Result<()> {
    let tables = format!("SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}'");
    // Without the cluster's own tools nothing else has it write out what is in memory.
    for (table,) in cql::all::<(String,)>(session, &tables).await? {
        session.query_unpaged(format!("ALTER TABLE {keyspace}.{table} WITH {SETTLING}"), ()).await?;
    }
    Ok(())
}

/// By table, the bytes that a node's files of it hold once tables that [`settle`] have; on a cluster of another machine, the MiB
/// begun.
pub(crate) async fn on_disk(session: &Session, keyspace: &str) -> Result<BTreeMap<String, u64>> {
    let folders = cql::first(session, "SELECT value FROM system_views.settings WHERE name = 'data_file_directories'").await?;
    let folders = folders.context("the cluster does not tell its folders")?;
    let folders: Vec<_> = folders.trim_matches(['[', ']']).split(", ").map(|folder| Path::new(folder).join(keyspace)).collect();
    let (mut before, begun) = (BTreeMap::new(), Instant::now());
    while begun.elapsed() < PATIENCE {
        sleep(SETTLES).await;
        let now = if folders.iter().any(|folder| folder.is_dir()) { files(&folders)? } else { told(session, keyspace).await? };
        if now == before && now.values().any(|bytes| *bytes > 0) {
            return Ok(now);
        }
        before = now;
    }
    bail!("what {keyspace} takes on disk does not settle")
}

/// A table's files lie in a folder named after it and its id.
fn files(folders: &[impl AsRef<Path>]) -> Result<BTreeMap<String, u64>> {
    let mut tables = BTreeMap::new();
    for folder in folders.iter().filter(|folder| folder.as_ref().is_dir()) {
        for table in std::fs::read_dir(folder)? {
            let table = table?;
            let name = table.file_name().to_string_lossy().rsplit_once('-').map(|(name, _)| name.to_owned());
            let Some(name) = name else { continue };
            let mut bytes = 0;
            for file in std::fs::read_dir(table.path())? {
                // One that was joined into another since may be gone.
                bytes += file?.metadata().ok().filter(std::fs::Metadata::is_file).map_or(0, |file| file.len());
            }
            *tables.entry(name).or_default() += bytes;
        }
    }
    Ok(tables)
}

/// What the cluster tells itself.
async fn told(session: &Session, keyspace: &str) -> Result<BTreeMap<String, u64>> {
    let usage = format!("SELECT table_name, mebibytes FROM system_views.disk_usage WHERE keyspace_name = '{keyspace}'");
    let tables = cql::all::<(String, i64)>(session, &usage).await?.into_iter();
    tables.map(|(table, mebibytes)| Ok((table, u64::try_from(mebibytes)? << 20))).collect()
}
