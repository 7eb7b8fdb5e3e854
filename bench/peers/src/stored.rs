//! Counts over a long past: what adding up costs, and what not adding up saves.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use occupancy::crossing::{Direction, Key};
use occupancy::time::UnixMs;
use tokio::runtime::Runtime;

use crate::args::{Args, Peer, Plan};
use crate::client::{Post, post_all};
use crate::cluster::{Cluster, Database};
use crate::counts::{Questions, Since, Took};
use crate::designs::{BATCH, Crossing, Design as _, First, Ledger, create};
use crate::fleet::{Fleet, report_of, seen};
use crate::ours::{CASSANDRA, FAR_AHEAD, Ours};
use crate::served::{Program, Served};
use crate::streams;
use crate::topic::Topic;

/// So many doorways share the past: many, and one.
const DOORWAYS: [usize; 2] = [100, 1];
/// Crossings of one post, and posts made beforehand.
const POSTED: usize = 1_000;
const POSTS: usize = 200;

/// Crossings in a record of Kafka, as firmware sends them that gathers.
const GATHERED: usize = 100;

/// What ours is called that is filled over HTTP.
pub(crate) const EMBEDDED: &str = "headcount, embedded";

/// What counts took over a past.
pub(crate) struct Stored {
    pub(crate) doorways: usize,
    pub(crate) crossings: usize,
    pub(crate) since: Since,
    pub(crate) who: &'static str,
    pub(crate) took: Took,
}

/// What everything here needs.
pub(crate) struct Past<'a> {
    pub(crate) args: &'a Args,
    pub(crate) plan: &'a Plan,
    pub(crate) program: &'a Program,
    pub(crate) runtime: &'a Runtime,
    pub(crate) cluster: &'a Cluster,
    /// Where Kafka Streams keeps its state.
    pub(crate) folder: &'a Path,
}

/// What somebody's counts took, since when, and who that is.
type Told = (&'static str, Since, Took);

impl Past<'_> {
    /// Fills each with the same past, then asks each.
    pub(crate) fn measure(&self) -> Result<Vec<Stored>> {
        let mut all = Vec::new();
        for doorways in DOORWAYS {
            let fleet = Fleet::new(doorways, self.plan.stored / doorways);
            let crossings = fleet.crossings();
            println!("counts of a room with one doorway, {crossings} crossings stored, doorways: {doorways}");
            let mut add = |told: Vec<Told>| {
                for (who, since, took) in told {
                    println!("  {who}, since {}: p50 {:.3} ms", since.text(), took.p50_ms);
                    all.push(Stored { doorways, crossings, since, who, took });
                }
            };
            add(self.embedded(&fleet)?);
            if self.args.wants(Peer::First) {
                add(self.first(&fleet)?);
            }
            if self.args.wants(Peer::Ledger) {
                add(self.ledger(&fleet)?);
            }
            if self.plan.everywhere {
                self.by_kafka(&fleet).map(&mut add)?;
            }
        }
        Ok(all)
    }

    /// The most counts that are asked of those who do not add up.
    fn questions<'a>(&self, fleet: &'a Fleet) -> Questions<'a> {
        Questions { fleet, since: Since::Beginning, rooms: fleet.dpus, counts: self.plan.lookups }
    }

    fn embedded(&self, fleet: &Fleet) -> Result<Vec<Told>> {
        let folder = self.program.folder()?;
        let store = format!("fjall:{}", folder.path().display());
        let words = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", &store];
        let served = Served::run(self.program, &[&words[..], &FAR_AHEAD].concat())?;
        self.runtime.block_on(async {
            served.put_topology(&rooms_and_days(fleet.dpus)).await?;
            let blocks = (0..fleet.per_dpu).step_by(POSTED).flat_map(|first| (0..fleet.dpus).map(move |dpu| (dpu, first)));
            let mut queue = Vec::with_capacity(POSTS);
            for (dpu, first) in blocks {
                let count = POSTED.min(fleet.per_dpu - first);
                queue.push(Post::new(&report_of(dpu, first..first + count)?, count));
                if queue.len() == POSTS {
                    post_all(served.address, vec![std::mem::take(&mut queue)]).await?;
                }
            }
            post_all(served.address, vec![queue]).await
        })?;
        let told = self.of_headcount(EMBEDDED, fleet, &served)?;
        served.stop()?;
        folder.close()?;
        Ok(told)
    }

    /// Both counts of ours.
    fn of_headcount(&self, who: &'static str, fleet: &Fleet, served: &Served) -> Result<Vec<Told>> {
        let ask = |since| {
            let questions = Questions { since, ..self.questions(fleet) };
            Ok((who, since, questions.of_headcount(self.runtime, who, served.address)?))
        };
        [Since::Beginning, Since::Reset].into_iter().map(ask).collect()
    }

    fn first(&self, fleet: &Fleet) -> Result<Vec<Told>> {
        let database = self.cluster.database("stored_first")?;
        fill_first(&database, fleet)?;
        let all = Questions { counts: self.plan.sums, ..self.questions(fleet) };
        let of_day = Questions { since: Since::Reset, ..self.questions(fleet) };
        let told = vec![
            (First::NAME, all.since, all.of_postgres(First::NAME, &database, First::COUNT)?),
            (First::NAME, of_day.since, of_day.of_postgres(First::NAME, &database, First::COUNT_OF_DAY)?),
        ];
        database.remove()?;
        Ok(told)
    }

    fn ledger(&self, fleet: &Fleet) -> Result<Vec<Told>> {
        let database = self.cluster.database("stored_ledger")?;
        fill_ledger(&database, fleet)?;
        let took = self.questions(fleet).of_postgres(Ledger::NAME, &database, Ledger::COUNT)?;
        database.remove()?;
        Ok(vec![(Ledger::NAME, Since::Beginning, took)])
    }

    /// Ours on Cassandra and Kafka Streams, which take it from a topic.
    fn by_kafka(&self, fleet: &Fleet) -> Result<Vec<Told>> {
        let Self { args, plan, program, runtime, folder, .. } = *self;
        let name = format!("peers_stored_{}_{}", fleet.dpus, std::process::id());
        let topic = &runtime.block_on(Topic::create(&args.kafka, &name.replace('_', ".")))?;
        let records = topic.fill_gathered(fleet, GATHERED)?;
        let ours = Ours { program, runtime, topic, plan, fleet };
        let ((), mut told) = ours.asked_on_cassandra(
            &args.store,
            &name,
            &rooms_and_days(fleet.dpus),
            |consumer| topic.await_records(&name, records, || consumer.busy_s().map(drop)),
            |served| self.of_headcount(CASSANDRA, fleet, served),
        )?;
        if args.wants(Peer::Streams) {
            let took = streams::stored(&args.streams, &folder.join(&name), runtime, topic, records, &self.questions(fleet))?;
            told.push((streams::NAME, Since::Beginning, took));
        }
        Ok(told)
    }
}

/// A room for each DPU, over whose only doorway it hangs, and in it a space that begins anew every day at 04:00.
fn rooms_and_days(count: usize) -> String {
    let each = |one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"space":[{{"id":"campus","time_zone":"UTC"}},{}],"reset":[{}],"doorway":[{}],"installation":[{}]}}"#,
        each(&|n| format!(r#"{{"id":"room-{n}","parent":"campus"}},{{"id":"day-{n}","parent":"room-{n}"}}"#)),
        each(&|n| format!(r#"{{"space":"day-{n}","at":"04:00","from":"2024-01-01T00:00:00Z"}}"#)),
        each(&|n| format!(r#"{{"id":"door-{n}","between":["outside","day-{n}"]}}"#)),
        each(&|n| format!(r#"{{"dpu":"d{n}","doorway":"door-{n}","enters":"day-{n}","from":"2024-01-01T00:00:00Z"}}"#)),
    )
}

/// The rows that are added up, and no others, in the order in which they are: better than they would come to lie.
pub(crate) fn fill_first(database: &Database, fleet: &Fleet) -> Result<()> {
    create::<First>(database, fleet.dpus)?;
    let mut client = database.connect()?;
    let mut rows = client.copy_in("COPY space_events FROM STDIN")?;
    for dpu in 0..fleet.dpus {
        for seen in (0..fleet.per_dpu).map(|k| seen(dpu, k)) {
            writeln!(rows, "{dpu}\t{}\t{}", seen.at_ms, seen.direction)?;
        }
    }
    rows.finish()?;
    Ok(())
}

/// By the way everything goes in.
fn fill_ledger(database: &Database, fleet: &Fleet) -> Result<()> {
    create::<Ledger>(database, fleet.dpus)?;
    let mut client = database.connect()?;
    let mut ledger = Ledger::new(&mut client)?;
    for dpu in 0..fleet.dpus {
        for first in (0..fleet.per_dpu).step_by(BATCH) {
            let last = fleet.per_dpu.min(first + BATCH);
            let crossings = (first..last).map(|k| crossing(dpu, k)).collect::<Result<Vec<_>>>()?;
            ledger.take(&mut client, &crossings)?;
        }
    }
    Ok(())
}

/// The crossing number k of a DPU, appended as it happened.
pub(crate) fn crossing(dpu: usize, k: usize) -> Result<Crossing> {
    let seen = seen(dpu, k);
    let at = UnixMs::new(seen.at_ms)?;
    let direction = if seen.direction > 0 { Direction::Plus } else { Direction::Minus };
    Ok(Crossing { dpu: dpu.try_into()?, key: Key { at, boot: 1, seq: seen.seq as u64, direction }, appended_at: at })
}
