//! `migrate`: bring a keyspace to the schema of this program.

use std::process::ExitCode;

use anyhow::{Result, bail};
use store_cql::Plan;

use crate::say::say;
use crate::store_url::{Login, StoreUrl};

/// Flags of `migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// The store: cql://HOST,HOST/KEYSPACE
    #[arg(long, env = "HEADCOUNT_STORE", value_name = "URL")]
    pub store: StoreUrl,
    /// How many copies of everything a new keyspace keeps: a number, or DATACENTER:NUMBER,...; 3 where left out
    #[arg(long, value_name = "COPIES")]
    pub replication: Option<store_cql::Replication>,
    /// Into how many slots a new keyspace divides the DPUs, for good; 4096 where left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub slots: Option<u32>,
    #[command(flatten)]
    pub login: Login,
}

/// Migrates and says what was done.
pub(crate) async fn migrate(args: Migrate) -> Result<ExitCode> {
    let StoreUrl::Cql(url) = &args.store else {
        bail!("only a store named cql://HOST,HOST/KEYSPACE is migrated; `serve` makes the others by itself");
    };
    let plan = Plan { slots: args.slots, replication: args.replication };
    let done = store_cql::migrate(&args.login.options(url), &plan).await?;
    for name in &done.applied {
        say!("applied {name}");
    }
    say!("{} is ready: {} slots, {}", url.keyspace, done.slots, done.replication);
    Ok(ExitCode::SUCCESS)
}
