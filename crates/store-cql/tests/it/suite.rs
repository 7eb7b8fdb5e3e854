//! The conformance suite.

use async_trait::async_trait;
use store::conformance::Subject;
use store::{MemoryStore, Store};
use store_cql::{CqlOptions, CqlStore};

use crate::cluster;

/// A keyspace; where there can be no cluster, which is said, the suite runs on a store in memory.
enum Tested {
    Keyspace(CqlOptions, Box<CqlStore>),
    Memory(MemoryStore),
}

impl Tested {
    async fn new() -> Self {
        let Some(options) = cluster::keyspace().await else { return Self::Memory(MemoryStore::new()) };
        let store = CqlStore::connect(&options).await.unwrap();
        Self::Keyspace(options, Box::new(store))
    }
}

#[async_trait]
impl Subject for Tested {
    fn store(&self) -> &dyn Store {
        match self {
            Self::Keyspace(_, store) => &**store,
            Self::Memory(store) => store,
        }
    }

    async fn restart(&mut self) {
        if let Self::Keyspace(options, store) = self {
            **store = CqlStore::connect(options).await.unwrap();
        }
    }
}

store::conformance_tests!(Tested::new());
