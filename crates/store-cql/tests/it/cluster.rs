//! A cluster for all tests of this binary, and a keyspace for each.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use engines::Cassandra;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use store_cql::{CqlOptions, CqlStore, Plan, Replication, migrate};

static KEYSPACES: AtomicU32 = AtomicU32::new(0);

/// Its only node; `None` where Java or Maven is missing.
fn started() -> Option<&'static Cassandra> {
    engines::or_skip(Cassandra::shared()).unwrap()
}

/// The address of its only node.
pub(crate) fn node() -> SocketAddr {
    started().unwrap().nodes()[0].address()
}

/// How to reach a keyspace that is not there yet; `None` where there can be no cluster.
pub(crate) fn fresh() -> Option<CqlOptions> {
    let node = started()?.nodes()[0].address();
    let n = KEYSPACES.fetch_add(1, Ordering::Relaxed);
    Some(CqlOptions::new(format!("cql://{node}/test_{n}").parse().unwrap()))
}

/// What the keyspaces of tests are: on one node, with slots that several DPUs share.
pub(crate) fn plan() -> Plan {
    Plan { slots: Some(4), replication: Some(Replication::Everywhere(1)) }
}

/// A keyspace of its own, migrated.
pub(crate) async fn keyspace() -> Option<CqlOptions> {
    let options = fresh()?;
    migrate(&options, &plan()).await.unwrap();
    Some(options)
}

/// An empty store.
pub(crate) async fn store() -> Option<CqlStore> {
    Some(CqlStore::connect(&keyspace().await?).await.unwrap())
}

/// A connection beside the store's.
pub(crate) async fn session(options: &CqlOptions) -> Session {
    SessionBuilder::new().known_node_addr(node()).use_keyspace(&options.url.keyspace, false).build().await.unwrap()
}
