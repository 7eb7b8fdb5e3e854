//! `migrate`: bring a keyspace to the schema of this program.

use std::process::ExitCode;

use anyhow::{Result, bail};
use store_cql::Plan;

use crate::args::Migrate;
use crate::store_url::StoreUrl;

/// Migrates and says what was done.
pub(crate) async fn migrate(args: Migrate) -> Result<ExitCode> {
    let StoreUrl::Cql(url) = &args.store else {
        bail!("only a store named cql://HOST,HOST/KEYSPACE is migrated; `serve` makes the others by itself");
    };
    let plan = Plan { slots: args.slots, replication: args.replication };
    let done = store_cql::migrate(&args.login.options(url), &plan).await?;
    for name in &done.applied {
        println!("applied {name}");
    }
    println!("{} is ready: {} slots, {}", url.keyspace, done.slots, done.replication);
    Ok(ExitCode::SUCCESS)
}
