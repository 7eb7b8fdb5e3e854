//! `pull`: fetch crossings or interval counts from somebody else's HTTP API. Fetching a page twice changes nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use pull::{Batch, Provider, Puller, Round, State};

use crate::args::To;
use crate::clock;
use crate::outlet::{Outlet, Sent};
use crate::run::told_to_stop;
use crate::say::say;

/// Flags of `pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Pull {
    /// The provider: where its pages are, what stands in them, how often to ask; see examples/pull/provider.toml
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to keep how far it was read; without it, beside the configuration: provider.toml, provider.state.json
    #[arg(long, env = "HEADCOUNT_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Stop after the last page; exit status 1 if it was not reached or something was kept out of the ledgers
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub to: To,
}

/// An outlet, and what became of all that went there.
struct Publisher {
    outlet: Outlet,
    sent: Sent,
}

impl pull::Outlet for Publisher {
    type Published = Sent;
    type Error = String;

    async fn publish(&mut self, batch: &Batch) -> Result<Sent, String> {
        let rejected: Vec<Vec<u8>> = batch.rejected.iter().map(pull::Rejected::payload).collect();
        let sent = self.outlet.send_all(&batch.reports, &rejected).await.map_err(|error| format!("{error:#}"))?;
        self.sent = self.sent.plus(sent);
        Ok(sent)
    }
}

/// Reads the provider until told to stop, or once.
pub(crate) async fn pull(args: Pull) -> Result<ExitCode> {
    let shown = args.config.display();
    let text = std::fs::read_to_string(&args.config).with_context(|| format!("cannot read {shown}"))?;
    let provider = Provider::parse(&text).with_context(|| format!("{shown} describes no provider"))?;
    let state = State::open(&args.state.unwrap_or_else(|| args.config.with_extension("state.json")), &provider)?;
    let publisher = Publisher { outlet: Outlet::open(&args.to).await?, sent: Sent::default() };
    let folder = args.config.parent().unwrap_or(Path::new(""));
    let pause = Duration::from_secs(provider.poll_s());
    let mut puller = Puller::new(provider, folder, state, publisher, clock::system()).with_context(|| format!("in {shown}"))?;
    let stop = told_to_stop()?;
    tokio::pin!(stop);
    let ended = tokio::select! {
        ended = rounds(&mut puller, pause, args.once) => Some(ended?),
        // What was under way is fetched again, and counts once.
        () = &mut stop => None,
    };
    let sent = puller.outlet().sent;
    let Some(round) = ended else {
        say!("{sent}; stopped, and goes on from there");
        return Ok(ExitCode::SUCCESS);
    };
    say!("{} pages, {} items, {} of them to quarantine; {sent}", round.pages, round.items, round.rejected);
    let all = !round.cut_short && round.rejected + sent.quarantined == 0;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One round, or rounds without end.
async fn rounds(puller: &mut Puller<Publisher>, pause: Duration, once: bool) -> Result<Round, pull::PullError> {
    loop {
        let round = puller.round(once).await?;
        if once {
            return Ok(round);
        }
        tokio::time::sleep(pause).await;
    }
}
