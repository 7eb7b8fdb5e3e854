//! `log`: what an operator has to say about the log the store is fed from.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use store::Settings;

use crate::opened;
use crate::say::say;
use crate::store_url::{Login, StoreUrl};

/// What can be said about the log.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Declare that the log starts anew: a topic created again, another number of partitions, another cluster
    NewEpoch(NewEpoch),
}

/// Flags of `log new-epoch`.
#[derive(Debug, clap::Args)]
pub(crate) struct NewEpoch {
    /// The store
    #[arg(long, env = "HEADCOUNT_STORE", value_name = "URL", default_value = "fjall:./data")]
    pub store: StoreUrl,
    #[command(flatten)]
    pub login: Login,
    /// All of the old log was consumed, and no consumer runs
    #[arg(long)]
    pub drained: bool,
}

/// Runs what was asked for.
pub(crate) async fn log(args: Log) -> Result<ExitCode> {
    match args {
        Log::NewEpoch(args) => new_epoch(args).await,
    }
}

/// Declares that the log starts anew: positions of the old one say nothing about the next.
async fn new_epoch(args: NewEpoch) -> Result<ExitCode> {
    let store = opened::to_read(&args.store, &args.login, "stop the server and every consumer, then try again").await?;
    let known = store.settings().await?;
    let Some(cluster) = known.cluster_id.as_ref().filter(|_| known.epoch > 0) else {
        bail!("the store remembers no log: the first consumer that starts takes the one it finds");
    };
    let partitions = known.partitions.unwrap_or_default();
    say!("the store stands at epoch {}: cluster {cluster}, {partitions} partitions", known.epoch);
    if !args.drained {
        bail!(
            "a new epoch skips whatever of the old log was not consumed: stop the DPUs' producers, let the consumers reach the end of \
             every partition, stop them, and say so with --drained"
        );
    }
    let next = Settings { epoch: known.epoch.saturating_add(1), ..Settings::default() };
    if !store.put_settings(&known, &next).await? {
        bail!("somebody else changed the store's settings meanwhile: stop every consumer, then try again");
    }
    say!("epoch {} begins with the log that the next consumer finds", next.epoch);
    Ok(ExitCode::SUCCESS)
}
