//! Headcount: how many people are in this space, at any instant, and how do we know?

mod args;
mod ask;
mod calit2;
mod campus;
mod clients;
mod clock;
mod config;
mod consume;
mod copy;
mod correct;
mod count;
mod demo;
mod explain;
mod feeding;
mod history;
mod live;
mod log;
#[cfg(feature = "cql")]
mod migrate;
mod mock;
mod opened;
mod outlet;
mod plan;
mod pull;
mod quarantine;
mod replay;
mod run;
mod say;
mod serve;
mod server;
mod simulate;
mod status;
mod store_url;
mod topology;
mod verify;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    match config::parse(std::env::args_os()) {
        Ok(args) => run::run(args),
        Err(error) => error.exit(),
    }
}
