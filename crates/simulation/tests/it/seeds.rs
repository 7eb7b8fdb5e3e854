//! Whatever happens, what is stored is the pure function of what was accepted; and a seed is a run.

use std::time::{Duration, Instant};

/// How many seeds are run, as far as they fit into the budget.
const SEEDS: u64 = 6_000;
const BUDGET: Duration = Duration::from_secs(45);
/// A slower machine than this proves too little.
const AT_LEAST: u64 = 300;

#[test]
fn whatever_happens_the_store_ends_as_the_log_says() {
    let begun = Instant::now();
    let mut done = 0;
    for seed in 0..SEEDS {
        if begun.elapsed() > BUDGET {
            break;
        }
        let wrong = simulation::run(seed, None).unwrap().wrong;
        assert!(wrong.is_empty(), "seed {seed}, see all that happens with `make simulate SEED={seed}`: {wrong:#?}");
        done += 1;
    }
    println!("{done} seeds in {:?}", begun.elapsed());
    assert!(done >= AT_LEAST, "only {done} seeds in {BUDGET:?}");
}

#[test]
fn one_seed_twice_is_the_same_run_to_the_byte() {
    for seed in 0..200 {
        let (once, again) = (simulation::run(seed, None).unwrap(), simulation::run(seed, None).unwrap());
        assert!(once == again, "seed {seed} ran differently the second time");
        assert!(once.trace.lines().count() > 20, "seed {seed} did next to nothing:\n{}", once.trace);
    }
}

#[test]
fn all_that_can_go_wrong_does() {
    let traces: String = (0..200).map(|seed| simulation::run(seed, None).unwrap().trace).collect();
    let events = [
        "dies after Openings",
        "dies after Crossings",
        "dies after Counters",
        "dies before it publishes",
        " dies\n",
        "stalls",
        "goes on",
        "joins again",
        "is to move",
        "Asked: Finished",
        "Asked: Abandoned",
        "Lost: Abandoned",
        "Leaving: Finished",
        "Leaving: Abandoned",
        "store: lost",
        "sent home",
        "1 quarantined",
        "is set back",
        ": None before",
    ];
    for event in events {
        assert!(traces.contains(event), "{event:?} never happened");
    }
}
