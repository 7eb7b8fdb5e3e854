//! Opening the store a URL names, with what to do when it cannot be.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use store::{FjallStore, MemoryStore, OpenError, Options, Store};

use crate::args::Keep;
use crate::store_url::{Login, StoreUrl};

/// Opens the store to serve from; creates it where there is none.
pub(crate) async fn to_serve(keep: &Keep) -> Result<Arc<dyn Store>> {
    if keep.store == StoreUrl::Memory {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let options = Options { reserve_bytes: keep.reserve_mib.saturating_mul(1024 * 1024), ..Options::default() };
    let advice = "give each server a store of its own: --store fjall:FOLDER";
    whole(&keep.store, open(&keep.store, &options, &keep.login, advice).await?).await
}

/// Opens an existing store for a command that reads it by itself.
pub(crate) async fn to_read(url: &StoreUrl, login: &Login, advice_when_locked: &str) -> Result<Arc<dyn Store>> {
    let options = Options { create: false, ..Options::default() };
    whole(url, open(url, &options, login, advice_when_locked).await?).await
}

/// Opens the target of a copy, which may be unfinished; creates it where there is none.
pub(crate) async fn to_fill(url: &StoreUrl, login: &Login, advice_when_locked: &str) -> Result<Arc<dyn Store>> {
    open(url, &Options::default(), login, advice_when_locked).await
}

async fn open(
    url: &StoreUrl,
    options: &Options,
    #[cfg_attr(not(feature = "cql"), expect(unused_variables, reason = "only a cql: store is logged in to"))] login: &Login,
    advice_when_locked: &str,
) -> Result<Arc<dyn Store>> {
    match url {
        StoreUrl::Memory => bail!("memory: is empty, and gone when this ends: name a store as fjall:FOLDER"),
        StoreUrl::Fjall(folder) => Ok(Arc::new(advised(FjallStore::open_with(folder, options), folder, advice_when_locked)?)),
        #[cfg(feature = "cql")]
        StoreUrl::Cql(url) => Ok(Arc::new(store_cql::CqlStore::connect(&login.options(url)).await?)),
    }
}

/// Refuses the target of a copy that was not finished: what it says would be wrong.
async fn whole(url: &StoreUrl, store: Arc<dyn Store>) -> Result<Arc<dyn Store>> {
    if let Some(from) = store.settings().await?.copying_from {
        bail!("{url} is an unfinished copy of {from}: finish it with `headcount copy --from {from} --to {url}`");
    }
    Ok(store)
}

fn advised(opened: Result<FjallStore, OpenError>, folder: &Path, advice_when_locked: &str) -> Result<FjallStore> {
    match opened {
        Err(OpenError::Locked { .. }) => bail!("{} is open in another process: {advice_when_locked}", folder.display()),
        other => other.context("the store cannot be opened"),
    }
}
