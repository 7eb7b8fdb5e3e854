//! Each stage by itself, from the bytes of a report to the event that tells a count: what it does in a second.
//!
//! What stands in one group does the same work and is to be compared: its throughput says how many crossings (or
//! answers, or events) a second.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that goes wrong is to stop")]

mod commit;
mod count;
mod decode;
mod fan_out;
mod fold;
mod lane;
mod site;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    let short = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let mut criterion = short.configure_from_args();
    for stage in [decode::bench, fold::bench, lane::bench, commit::bench, count::bench, fan_out::bench] {
        stage(&mut criterion);
    }
    criterion.final_summary();
}
