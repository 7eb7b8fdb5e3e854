//! Which way round a DPU hangs is decided by many days, and only where they tell.

use std::collections::BTreeMap;

use occupancy::flip::{CROSSINGS_LEAST, Doubt, RestDay};

/// A day on which DPU 0 lets `inward[hour]` more people in than out, as it is said to hang, with this many crossings an hour.
fn day(number: usize, inward: [i64; 4], an_hour: u64) -> RestDay {
    let running: Vec<i64> = (1..=4).map(|hours| inward[..hours].iter().sum()).collect();
    let crossings = (1..=4).map(|hours| hours * an_hour).collect();
    let parts = BTreeMap::from([(0, (4 * an_hour, running.clone()))]);
    RestDay { day: number, begins_empty: true, crossings, running, parts }
}

fn week(make: impl Fn(usize) -> RestDay) -> Doubt {
    Doubt::new((0..7).map(make).collect(), [vec![0], vec![1]])
}

#[test]
fn a_room_that_holds_fewer_than_nobody_all_day_has_its_dpu_the_wrong_way_round() {
    let mut upside_down = week(|number| day(number, [-20, -5, 5, 20], 30));
    let [one]: [_; 1] = upside_down.suspects().try_into().unwrap();
    assert_eq!((one.dpu, one.from_day, one.days, one.misfit[1]), (0, None, 7, 0.0));
    let mut upright = week(|number| day(number, [20, 5, -5, -20], 30));
    assert_eq!((upright.suspects(), upright.is_beyond_doubt(0)), (vec![], true));
}

#[test]
fn one_bad_day_suspects_nobody() {
    let bad = [-1000, 0, 0, 1000];
    let mut doubt = week(|number| if number == 3 { day(number, bad, 500) } else { day(number, [0; 4], 30) });
    assert_eq!((doubt.suspects(), doubt.is_beyond_doubt(0)), (vec![], false));
}

#[test]
fn what_may_be_mistakes_or_is_too_little_suspects_nobody() {
    let mut mistakes = week(|number| day(number, [-2, 1, -1, 2], 200));
    assert_eq!(mistakes.suspects(), []);
    let few = CROSSINGS_LEAST / 7 / 4;
    let mut quiet = week(|number| day(number, [-20, 0, 0, 20], few));
    assert_eq!((quiet.suspects(), quiet.crossings(0)), (vec![], 7 * 4 * few));
    let mut never_empty = week(|number| RestDay { begins_empty: false, ..day(number, [-20, -5, 5, 50], 30) });
    assert_eq!((never_empty.suspects(), never_empty.is_ever_empty(0)), (vec![], false));
}

#[test]
fn of_two_dpus_around_a_space_the_one_is_told_that_makes_all_fit() {
    let make = |number| {
        let [comes, goes] = [[-20, -5, 5, 20], [-3, -3, 3, 3]].map(|inward| day(number, inward, 30));
        let sum = |a: &[i64], b: &[i64], sign: i64| a.iter().zip(b).map(|(a, b)| a + sign * b).collect::<Vec<i64>>();
        // Who leaves by the second came by the first.
        let running = sum(&comes.running, &goes.running, 1);
        let parts = BTreeMap::from([(0, comes.parts[&0].clone()), (1, goes.parts[&0].clone())]);
        RestDay { running, parts, crossings: comes.crossings.iter().map(|crossings| 2 * crossings).collect(), ..comes }
    };
    let mut doubt = week(make);
    let found: Vec<usize> = doubt.suspects().iter().map(|one| one.dpu).collect();
    assert_eq!(found, [0]);
}

#[test]
fn two_dpus_of_one_doorway_are_told_together_where_one_alone_fits_worse() {
    let make = |number| {
        let [left, right] = [[-15, -10, 0, 0], [10, 10, 0, 5]].map(|inward| day(number, inward, 30));
        let running = left.running.iter().zip(&right.running).map(|(a, b)| a + b).collect();
        let parts = BTreeMap::from([(0, left.parts[&0].clone()), (1, right.parts[&0].clone())]);
        RestDay { running, parts, ..left }
    };
    let days = || (0..7).map(make).collect();
    assert_eq!(Doubt::new(days(), [vec![0, 1]]).suspects().len(), 2);
    assert_eq!(Doubt::new(days(), []).suspects(), [], "one turned alone makes the net worse by as much as it mends");
}
