//! `simulate`: a campus whose DPUs report to a server or to Kafka, live.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tokio::time::MissedTickBehavior;

use crate::args::{Simulate, Target};
use crate::ask::Server;
use crate::campus::{Live, Plan};
use crate::outlet::{Outlet, Sent};
use crate::run::told_to_stop;
use crate::say::say;
use crate::{clock, topology};

/// How often it says what it has done.
const SAY_EVERY_TICKS: u32 = 10;

/// Reports until it is told to stop.
pub(crate) async fn simulate(args: Simulate) -> Result<ExitCode> {
    let told = told_to_stop()?;
    let plan = Plan { dpus: args.dpus, crossings_per_hour: args.crossings_per_hour, faults: args.faults, seed: args.seed };
    let mut live = Live::new(plan, clock::now())?;
    let server = match &args.to.to {
        Target::Http(url) => Server::at(url)?,
        Target::Kafka(_) => Server::at(&args.server)?,
    };
    topology::put(&server, &live.topology(), true).await?;
    let outlet = Outlet::open(&args.to).await?;
    say!("{} DPUs in {} spaces report; Ctrl-C stops", args.dpus, live.spaces());
    let stop = async {
        tokio::select! {
            () = told => {}
            () = tokio::time::sleep(args.span.unwrap_or(Duration::MAX)) => {}
        }
    };
    tokio::pin!(stop);
    let mut sent = Sent::default();
    let ended = tokio::select! {
        ended = report(&mut live, &outlet, &mut sent) => ended,
        () = &mut stop => Ok(()),
    };
    say!("{sent}");
    ended.map(|()| ExitCode::SUCCESS)
}

async fn report(live: &mut Live, outlet: &Outlet, sent: &mut Sent) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for ticks in 1u32.. {
        tick.tick().await;
        let reports = live.until(clock::now());
        *sent = sent.plus(outlet.send(&reports).await?);
        if ticks % SAY_EVERY_TICKS == 0 {
            say!("{sent}; {} people on the campus at {}", live.people(), live.at());
        }
    }
    Ok(())
}
