//! A cluster for all tests of this binary, and a keyspace for each.

use std::sync::atomic::{AtomicU32, Ordering};

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use store_cql::{CqlOptions, CqlStore, Plan, Replication, migrate};

static KEYSPACES: AtomicU32 = AtomicU32::new(0);

/// The address of its only node.
pub(crate) fn node() -> String {
    std::env::var("HEADCOUNT_TEST_CQL").unwrap()
}

/// How to reach a keyspace that is not there yet.
pub(crate) fn fresh() -> CqlOptions {
    let n = KEYSPACES.fetch_add(1, Ordering::Relaxed);
    CqlOptions::new(format!("cql://{}/t{}_{n}", node(), std::process::id()).parse().unwrap())
}

/// What the keyspaces of tests are: on one node, with slots that several DPUs share.
pub(crate) fn plan() -> Plan {
    Plan { slots: Some(4), replication: Some(Replication::Everywhere(1)) }
}

/// A keyspace of its own, migrated.
pub(crate) async fn keyspace() -> CqlOptions {
    let options = fresh();
    migrate(&options, &plan()).await.unwrap();
    options
}

/// An empty store.
pub(crate) async fn store() -> CqlStore {
    CqlStore::connect(&keyspace().await).await.unwrap()
}

/// A connection beside the store's.
pub(crate) async fn session(options: &CqlOptions) -> Session {
    SessionBuilder::new().known_node(node()).use_keyspace(&options.url.keyspace, false).build().await.unwrap()
}
