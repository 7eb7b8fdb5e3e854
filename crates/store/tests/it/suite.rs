//! The conformance suite on each store of this crate.

use async_trait::async_trait;
use store::conformance::Subject;
use store::{FjallStore, MemoryStore, Store};
use tempfile::TempDir;

struct InMemory(MemoryStore);

#[async_trait]
impl Subject for InMemory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    async fn restart(&mut self) {}
}

struct OnDisk {
    folder: TempDir,
    store: Option<FjallStore>,
}

impl OnDisk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Some(FjallStore::open(folder.path()).unwrap());
        Self { folder, store }
    }
}

#[async_trait]
impl Subject for OnDisk {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    async fn restart(&mut self) {
        self.store = None;
        self.store = Some(FjallStore::open_existing(self.folder.path()).unwrap());
    }
}

mod memory {
    use super::{InMemory, MemoryStore};

    store::conformance_tests!(async { InMemory(MemoryStore::new()) });
}

mod fjall {
    use super::OnDisk;

    store::conformance_tests!(async { OnDisk::new() });
}
