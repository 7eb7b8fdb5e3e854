//! The whole of ingest and store under one seeded scheduler: an in-process log, a consumer group of processes with the
//! real lanes, a store behind a network, and all that can go wrong between them. Time is virtual: a run of days takes
//! milliseconds, and the same seed gives the same run, to the byte.
//!
//! # What is checked
//!
//! - No offset is committed before all that its record holds is durable, and published to those who follow the counters.
//! - A process that has given a partition up sends no write for its DPUs.
//! - Once nothing goes wrong any more, everything is consumed within a minute.
//! - A change reaches back to every crossing that its followers did not know of; in the end the newest change of each DPU
//!   is what is stored.
//! - In the end the store holds what the log adds up to the naive way, and every crossing a DPU was told is taken.

mod bug;
mod dpu;
mod feed;
mod gate;
mod group;
mod log;
mod oracle;
mod plan;
mod process;
mod remote;
mod scenario;
mod torn;
mod world;

use std::sync::Arc;
use std::time::Duration;

use store::faults::Rng;
use tokio::time::timeout;

pub use bug::Bug;

use crate::plan::Plan;
use crate::world::World;

/// No run takes longer, by its own clock.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// All that happened, a line each: virtual ms, and what.
    pub trace: String,
    /// What must never be, as it was found; empty in a run that is right.
    pub wrong: Vec<String>,
}

/// Runs a seed, with a bug built in or without.
///
/// # Errors
/// The runtime cannot be made.
pub fn run(seed: u64, bug: Option<Bug>) -> std::io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let (trace, wrong) = runtime.block_on(async {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let world = Arc::new(World::new(plan, bug, rng));
        if timeout(LONGEST, scenario::run(&world, seed)).await.is_err() {
            world.wrong(format!("it did not end within {LONGEST:?}"));
        }
        world.close()
    });
    Ok(Outcome { trace, wrong })
}
