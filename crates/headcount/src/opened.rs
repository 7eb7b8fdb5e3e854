//! Opening the store a URL names, with what to do when it cannot be.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use store::{FjallStore, MemoryStore, OpenError, Options, Store};

use crate::args::Keep;
use crate::store_url::{Login, StoreUrl};

/// Opens the store to serve from; creates it where there is none.
pub(crate) async fn to_serve(keep: &Keep) -> Result<Arc<dyn Store>> {
    match &keep.store {
        StoreUrl::Memory => Ok(Arc::new(MemoryStore::new())),
        StoreUrl::Fjall(folder) => {
            let options = Options { reserve_bytes: keep.reserve_mib.saturating_mul(1024 * 1024), ..Options::default() };
            let advice = "give each server a store of its own: --store fjall:FOLDER";
            Ok(Arc::new(advised(FjallStore::open_with(folder, &options), folder, advice)?))
        }
        #[cfg(feature = "cql")]
        StoreUrl::Cql(url) => connected(url, &keep.login).await,
    }
}

/// Opens an existing store for a command that reads it by itself.
pub(crate) async fn to_read(
    url: &StoreUrl,
    #[cfg_attr(not(feature = "cql"), expect(unused_variables, reason = "only a cql: store is logged in to"))] login: &Login,
    advice_when_locked: &str,
) -> Result<Arc<dyn Store>> {
    match url {
        StoreUrl::Memory => anyhow::bail!("memory: is empty: name a store as fjall:FOLDER"),
        StoreUrl::Fjall(folder) => Ok(Arc::new(advised(FjallStore::open_existing(folder), folder, advice_when_locked)?)),
        #[cfg(feature = "cql")]
        StoreUrl::Cql(url) => connected(url, login).await,
    }
}

#[cfg(feature = "cql")]
async fn connected(url: &store_cql::CqlUrl, login: &Login) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(store_cql::CqlStore::connect(&login.options(url)).await?))
}

fn advised(opened: Result<FjallStore, OpenError>, folder: &Path, advice_when_locked: &str) -> Result<FjallStore> {
    match opened {
        Err(OpenError::Locked { .. }) => anyhow::bail!("{} is open in another process: {advice_when_locked}", folder.display()),
        other => other.context("the store cannot be opened"),
    }
}
