//! Both designs on a real server.

use super::*;
use crate::cluster::{Cluster, programs};
use crate::counts::compare;
use crate::fleet::{Fleet, mix};
use crate::stored::{crossing, fill_first};
use engines::Folder;

/// A few hundred crossings over two days, in two orders, with repeats: what is counted is each of them once.
fn counts_each_crossing_once<D: Design>(cluster: &Cluster) {
    // One crossing of each DPU falls in each half minute.
    let fleet = Fleet::new(3, 300);
    let database = cluster.database(D::GROUP).unwrap();
    create::<D>(&database, fleet.dpus).unwrap();
    let mut client = database.connect().unwrap();
    let mut sent: Vec<Crossing> = (0..fleet.per_dpu).flat_map(|k| (0..fleet.dpus).map(move |dpu| crossing(dpu, k).unwrap())).collect();
    // Days apart, as merges go over days.
    for crossing in &mut sent {
        crossing.key.at = apart(crossing.key.at);
    }
    // The last third comes first, then all, some of it twice in one batch; by somebody who remembers nothing.
    let late = sent.split_off(sent.len() * 2 / 3);
    let mut design = D::new(&mut client).unwrap();
    design.take(&mut client, &late).unwrap();
    let mut all = [sent, late].concat();
    all.sort_by_key(|crossing| mix(crossing.key.at.ms().unsigned_abs()));
    all.extend_from_within(..100);
    let mut design = D::new(&mut client).unwrap();
    for batch in all.chunks(97) {
        design.take(&mut client, batch).unwrap();
    }
    compare(D::NAME, &fleet, D::totals(&mut client).unwrap()).unwrap();
    let statement = client.prepare(D::COUNT).unwrap();
    for n in 0..200 {
        let (dpu, after_ms) = (mix(n) as usize % fleet.dpus, (mix(n + 1_000) % fleet.span_ms().unsigned_abs()).cast_signed());
        let at = apart(Fleet::instant(after_ms).unwrap());
        let row = client.query_opt(&statement, &[&i32::try_from(dpu).unwrap(), &at.ms()]).unwrap();
        assert_eq!(row.map_or(0, |row| row.get(0)), fleet.net_before(dpu, after_ms + 1), "{} of {dpu} at {at}", D::NAME);
    }
}

/// Over three days: what is counted is what came since 04:00.
fn the_first_design_counts_from_the_days_reset(cluster: &Cluster) {
    let fleet = Fleet::new(3, 8_000);
    let database = cluster.database("since_reset").unwrap();
    fill_first(&database, &fleet).unwrap();
    let mut client = database.connect().unwrap();
    let statement = client.prepare(First::COUNT_OF_DAY).unwrap();
    for n in 0..200 {
        let (dpu, after_ms) = (mix(n) as usize % fleet.dpus, (mix(n + 1_000) % fleet.span_ms().unsigned_abs()).cast_signed());
        let at = Fleet::instant(after_ms).unwrap();
        let count: i64 = client.query_one(&statement, &[&i32::try_from(dpu).unwrap(), &at.ms()]).unwrap().get(0);
        assert_eq!(count, fleet.net_of(dpu..dpu + 1, after_ms), "{dpu} at {at}");
    }
}

/// Every instant ten times as long after the beginning: 300 half minutes become a day and more.
fn apart(at: UnixMs) -> UnixMs {
    let beginning = Fleet::instant(0).unwrap();
    beginning.plus_ms(at.since(beginning) * 10)
}

#[test]
fn both_designs_count_right() {
    let folder = Folder::new("headcount-peers-", 12).unwrap();
    let Some(programs) = engines::or_skip(programs(folder.path())).unwrap() else { return };
    let cluster = Cluster::start(&programs, &folder.path().join("postgres")).unwrap();
    counts_each_crossing_once::<First>(&cluster);
    counts_each_crossing_once::<Ledger>(&cluster);
    the_first_design_counts_from_the_days_reset(&cluster);
    cluster.stop();
}
