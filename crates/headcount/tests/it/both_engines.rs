//! Trouble on real Kafka and real Cassandra at once, with the real program between them, while a campus reports to it:
//! what goes in comes out, once, and every count is right.
//!
//! `HEADCOUNT_SEED` sets what is random, `HEADCOUNT_KILLS` how often consumers are killed (other faults come along), and
//! `HEADCOUNT_SILENCE_S` how long a store does not answer.

mod group;
mod load;
mod member;
mod refusals;
mod rig;

use std::time::{Duration, Instant};

use rig::{Rig, Wish};

/// How long anything may take before a test gives up, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A number from the environment.
fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

/// How often something happens that is to happen once for so many kills, at least once.
fn one_in(kills: u64) -> u64 {
    (asked("HEADCOUNT_KILLS", 5) / kills).max(1)
}

/// A consumer outlives its membership: it was thrown out with something in its hands.
fn outlives(rig: &mut Rig) {
    let outlived = (0..10).any(|_| {
        rig.goes_on();
        rig.outlives()
    });
    assert!(outlived, "never was a member thrown out that had partitions");
}

#[test]
fn consumers_are_killed_while_others_join_and_leave() {
    let Some(mut rig) = Rig::new("killed", 11, &Wish::default()) else { return };
    for _ in 0..one_in(1) {
        rig.goes_on();
        match rig.random.below(3) {
            0 => rig.join(),
            1 => rig.leave(),
            _ => {}
        }
        rig.kill();
    }
    rig.ends_well();
}

#[test]
fn consumers_outlive_their_membership() {
    let Some(mut rig) = Rig::new("outlived", 12, &Wish::default()) else { return };
    for _ in 0..2 * one_in(5) {
        outlives(&mut rig);
    }
    rig.ends_well();
}

#[test]
fn kafka_and_cassandra_are_killed() {
    let Some(mut rig) = Rig::new("felled", 13, &Wish::default()) else { return };
    for _ in 0..one_in(10) {
        rig.goes_on();
        rig.kafka().kill();
        rig.kafka().start_again().unwrap();
        rig.goes_on();
        let complaints = rig.complaints();
        rig.cassandra().kill();
        rig.until("a member notices", |rig| rig.complaints() > complaints);
        // One that was in the middle of it goes too, and Kafka: it comes back once both are there.
        rig.kill();
        rig.kafka().kill();
        rig.cassandra().start_again().unwrap();
        rig.kafka().start_again().unwrap();
        rig.goes_on();
    }
    rig.ends_well();
}

#[test]
fn a_store_hears_and_does_not_answer() {
    let Some(mut rig) = Rig::new("silent", 14, &Wish { proxied: true, ..Wish::default() }) else { return };
    let silence = Duration::from_secs(asked("HEADCOUNT_SILENCE_S", 30));
    for _ in 0..one_in(50) {
        rig.goes_on();
        let (proxy, complaints, begun) = (rig.proxy.clone().unwrap(), rig.complaints(), Instant::now());
        proxy.mute(true);
        rig.until("a member notices", |rig| rig.complaints() > complaints);
        // Whoever complains may do so of the silence before: what was acknowledged before this one has its offsets by then.
        rig.until("offsets settle", |_| begun.elapsed() >= silence / 3);
        let done = rig.done();
        rig.until("it was silent for long", |_| begun.elapsed() >= silence);
        assert_eq!(rig.done(), done, "offsets were committed that no store acknowledged");
        assert!(proxy.unanswered() > 0);
        // Whoever takes its place finds what was written unanswered.
        rig.kill();
        proxy.mute(false);
    }
    rig.ends_well();
}

#[test]
fn one_node_of_three_is_down_throughout() {
    let Some(mut rig) = Rig::new("two_of_three", 15, &Wish { three_nodes: true, ..Wish::default() }) else { return };
    for _ in 0..one_in(5) {
        rig.goes_on();
        rig.kill();
        outlives(&mut rig);
    }
    rig.ends_well();
}
