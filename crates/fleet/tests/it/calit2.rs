//! The real door counts in `examples/calit2`, and the example topologies.

use std::collections::BTreeSet;
use std::fs::{File, read_to_string};
use std::io::BufReader;
use std::num::NonZeroU32;

use fleet::replay::{Intervals, Line};
use occupancy::crossing::{Direction, Key};
use occupancy::edit::{Change, Edit};
use occupancy::time::UnixMs;
use occupancy::topology::Document;
use occupancy::world::World;

const HALF_HOUR_MS: NonZeroU32 = NonZeroU32::new(1_800_000).unwrap();

fn example(name: &str) -> String {
    format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn lines() -> Vec<Line> {
    let file = BufReader::new(File::open(example("calit2/counts.csv")).unwrap());
    Intervals::open(file, HALF_HOUR_MS).unwrap().collect::<Result<_, _>>().unwrap()
}

fn topology(name: &str) -> Document {
    let text = read_to_string(example(name)).unwrap();
    wire::document::from_toml(&text).unwrap().into_domain(UnixMs::MAX).unwrap()
}

fn instant(text: &str) -> UnixMs {
    text.parse().unwrap()
}

#[test]
fn the_counts_are_those_of_the_original() {
    let lines = lines();
    let keys: Vec<Key> = lines.iter().flat_map(|line| line.report.crossings.iter().cloned().map(Result::unwrap)).collect();
    let going = |direction| keys.iter().filter(|key| key.direction == direction).count();
    assert_eq!((lines.len(), going(Direction::Plus), going(Direction::Minus)), (5040, 19_597, 18_837));
    assert_eq!(keys.iter().map(|key| key.direction.sign()).sum::<i64>(), 760, "the drift of a real door sensor");
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "every crossing is one of its own");
    assert!(keys.is_sorted());
}

#[test]
fn half_hours_follow_local_time_through_the_end_of_daylight_saving() {
    let lines = lines();
    let end = |line: &Line| line.report.heartbeat.unwrap().at.plus_ms(1);
    assert_eq!(end(&lines[0]), instant("2005-07-24T07:30:00Z"));
    assert_eq!(end(&lines[5039]), instant("2005-11-06T08:00:00Z"));
    let gaps: Vec<_> = lines.windows(2).filter(|two| end(&two[1]).since(end(&two[0])) != 1_800_000).collect();
    assert_eq!(gaps.len(), 1, "only the second hour from 01:00 to 02:00 is left out");
    assert_eq!((end(&gaps[0][0]), end(&gaps[0][1])), (instant("2005-10-30T09:00:00Z"), instant("2005-10-30T10:30:00Z")));
}

#[test]
fn reading_it_again_gives_the_same() {
    assert_eq!(lines(), lines());
}

#[test]
fn the_example_topologies_stand() {
    for (name, root) in [("topology.toml", "campus"), ("calit2/topology.toml", "calit2")] {
        topology(name).check(&root.parse().unwrap()).unwrap();
    }
}

#[test]
fn its_topology_covers_the_data_and_resets_at_four_local() {
    let document = topology("calit2/topology.toml");
    let lines = lines();
    let hung = document.installations[0].clone();
    assert!(lines.iter().all(|line| line.report.dpu == hung.dpu && hung.covers(line.report.heartbeat.unwrap().at.plus_ms(-1_800_000))));
    let mut world = World::default();
    let change = Change::Topology { root: "calit2".parse().unwrap(), document, allow_removal: false };
    world.apply(&Edit { made_at: UnixMs::CLOCK_SET, change }).unwrap();
    let reset = |at: &str| world.baseline("calit2", instant(at)).at.unwrap();
    assert_eq!(reset("2005-07-24T00:00:00-07:00"), instant("2005-07-23T11:00:00Z"), "from before the data");
    assert_eq!(reset("2005-10-30T03:59:59-08:00"), instant("2005-10-29T11:00:00Z"));
    assert_eq!(reset("2005-10-30T04:00:00-08:00"), instant("2005-10-30T12:00:00Z"), "after the clocks went back");
}
