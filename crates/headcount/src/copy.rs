//! `copy`: move a store into an empty one of whatever kind.

use std::cell::Cell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use store::{Compared, CopyError, Copying, StoreError};

use crate::opened;
use crate::say::say;
use crate::store_url::{Login, StoreUrl};

/// How often a store that does not answer is asked again, without getting on, before the copy is given up.
const ATTEMPTS: u32 = 10;
/// The pause before each.
const PAUSE: Duration = Duration::from_secs(1);
/// How many differences are shown.
const SHOWN: u64 = 20;

/// Flags of `copy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    /// The store to copy; nothing may write to it meanwhile
    #[arg(long, value_name = "URL")]
    pub from: StoreUrl,
    /// An empty store, or an unfinished copy of the same one; a fjall: store is made where there is none, a cql: one by `migrate`
    #[arg(long, value_name = "URL")]
    pub to: StoreUrl,
    #[command(flatten)]
    pub login: Login,
}

/// Copies, compares, recomputes every ledger of the copy, and only then lets it be used. Exit status 1 if anything differs.
pub(crate) async fn copy(args: Copy) -> Result<ExitCode> {
    let begun = Instant::now();
    let name = args.from.absolute()?;
    let to = args.to.absolute()?;
    anyhow::ensure!(name != to, "{name} cannot be copied into itself");
    let source = opened::to_read(&args.from, &args.login, "stop the server that uses it, then try again").await?;
    let target = opened::to_fill(&args.to, &args.login, "stop the process that uses it, then try again").await?;
    let copying = Copying::new(&*source, &*target);
    copying.begin(&name).await?;
    let (dpus, crossings) = copying.survey().await?;
    say!("copying {dpus} DPUs with {crossings} crossings from {name} to {to}; cut off, the same command goes on");
    let bar = progress("copied", crossings);
    run(copying, &bar).await?;
    bar.finish_and_clear();
    let bar = progress("compared", crossings);
    let compared = compare(copying, &bar).await?;
    bar.finish_and_clear();
    if compared.mismatches > 0 {
        bail!(
            "the copy and {name} differ in {} places, as the source has changed meanwhile: stop whatever writes to it, and copy into an \
             empty store",
            compared.mismatches
        );
    }
    let verified = query::verify(&*target, |difference| say!("{difference}")).await?;
    if verified.differences > 0 {
        bail!(
            "{} totals of the copy are not what its crossings make, and stand so in {name}: let its consumers reach the end of the log and \
             stop, see what `headcount verify` says of it, and copy into an empty store",
            verified.differences
        );
    }
    copying.finish(&name).await?;
    let Compared { dpus, crossings, edits, quarantined, mismatches: _ } = compared;
    say!("copied {dpus} DPUs, {crossings} crossings, {edits} edits, {quarantined} quarantined in {:.1} s", begun.elapsed().as_secs_f64());
    say!("both walked and compared, every total of the copy recomputed: 0 differences");
    Ok(ExitCode::SUCCESS)
}

/// Copies; where a store does not answer, from where it stopped.
async fn run(copying: Copying<'_>, bar: &ProgressBar) -> Result<()> {
    let (mut attempts, mut furthest) = (1, 0);
    loop {
        bar.reset();
        match copying.run(&|crossings| bar.inc(crossings)).await {
            Err(CopyError::Store(StoreError::Unavailable(why))) if attempts < ATTEMPTS => {
                tracing::warn!(why, attempts, "a store is unavailable, trying again");
                attempts = if bar.position() > furthest { 1 } else { attempts + 1 };
                furthest = furthest.max(bar.position());
                tokio::time::sleep(PAUSE).await;
            }
            Err(CopyError::Store(error)) => bail!("{error}; the same command goes on where this stopped"),
            done => return Ok(done?),
        }
    }
}

/// Compares, and shows what differs.
async fn compare(copying: Copying<'_>, bar: &ProgressBar) -> Result<Compared> {
    let shown = Cell::new(0);
    let differs = |mismatch| {
        shown.set(shown.get() + 1);
        if shown.get() <= SHOWN {
            bar.suspend(|| say!("{mismatch}"));
        }
    };
    Ok(copying.compare(&differs, &|crossings| bar.inc(crossings)).await?)
}

fn progress(verb: &str, crossings: u64) -> ProgressBar {
    let bar = ProgressBar::new(crossings);
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} crossings {msg}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(verb.to_owned())
}
