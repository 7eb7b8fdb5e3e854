//! A simulation that passes proves something only if it fails where it should.

use simulation::Bug;

/// How many seeds a bug may take to be found.
const SEEDS: u64 = 3_000;

/// The first seed in which a bug is found.
fn found(bug: Bug) -> Option<(u64, Vec<String>)> {
    (0..SEEDS).map(|seed| (seed, simulation::run(seed, Some(bug)).unwrap().wrong)).find(|(_, wrong)| !wrong.is_empty())
}

#[test]
fn every_bug_of_the_commit_protocol_is_found() {
    for bug in Bug::ALL {
        let (seed, wrong) = found(bug).unwrap_or_else(|| panic!("{bug:?} went unnoticed in {SEEDS} seeds"));
        println!("{bug:?}: seed {seed}: {}", wrong[0]);
    }
}
