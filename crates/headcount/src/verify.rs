//! `verify`: recompute every ledger from its crossings and compare.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Verify;
use crate::opened;
use crate::say::say;

/// Prints what differs; exit status 1 if anything does.
pub(crate) async fn verify(args: Verify) -> Result<ExitCode> {
    let store = opened::to_read(&args.store, &args.login, "verify needs it for itself: stop the server, then try again").await?;
    let verified = query::verify(&*store, |difference| say!("{difference}")).await?;
    say!("{} DPUs, {} crossings: {} differences", verified.dpus, verified.crossings, verified.differences);
    Ok(if verified.differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
