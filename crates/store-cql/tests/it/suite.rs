//! The conformance suite.

use async_trait::async_trait;
use store::Store;
use store::conformance::Subject;
use store_cql::{CqlOptions, CqlStore};

use crate::cluster;

struct Connected {
    options: CqlOptions,
    store: CqlStore,
}

impl Connected {
    async fn new() -> Self {
        let options = cluster::keyspace().await;
        let store = CqlStore::connect(&options).await.unwrap();
        Self { options, store }
    }
}

#[async_trait]
impl Subject for Connected {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn restart(&mut self) {
        self.store = CqlStore::connect(&self.options).await.unwrap();
    }
}

store::conformance_tests!(Connected::new());
