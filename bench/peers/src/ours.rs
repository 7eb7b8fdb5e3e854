//! Headcount itself: into Cassandra, and embedded.

use anyhow::{Context, Result, bail};
use scylla::client::session::Session;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::args::Plan;
use crate::client::{Connection, request};
use crate::counts::{Questions, Since, compare};
use crate::cql;
use crate::fleet::{Fleet, rooms};
use crate::report::Measured;
use crate::served::{Program, Served, disk_bytes};
use crate::topic::Topic;
use crate::weighed::{on_disk, settle};

pub(crate) const CASSANDRA: &str = "headcount, Kafka -> Cassandra";
pub(crate) const EMBEDDED: &str = "headcount, Kafka -> embedded";
/// Crossings of each DPU that warm Cassandra up: its code is slow until it is compiled.
const WARM_PER_DPU: usize = 3;

/// A crossing each half minute, ten million times, ends long after today.
pub(crate) const FAR_AHEAD: [&str; 2] = ["--max-clock-ahead-ms", "3155760000000"];

/// What everything here needs.
pub(crate) struct Ours<'a> {
    pub(crate) program: &'a Program,
    pub(crate) runtime: &'a Runtime,
    pub(crate) topic: &'a Topic,
    pub(crate) plan: &'a Plan,
    pub(crate) fleet: &'a Fleet,
}

impl Ours<'_> {
    fn questions(&self) -> Questions<'_> {
        Questions { fleet: self.fleet, since: Since::Beginning, rooms: self.plan.rooms, counts: self.plan.lookups }
    }

    /// A consumer process into a new keyspace of the cluster, and an API process over it.
    pub(crate) fn on_cassandra(&self, cluster: &str) -> Result<Measured> {
        let run = std::process::id();
        let warm = self.runtime.block_on(Topic::create(&self.topic.brokers, &format!("peers.warm.{run}")))?;
        warm.fill(self.plan.dpus, WARM_PER_DPU, 0)?;
        let plan = Plan { warm_per_dpu: 1, per_dpu: WARM_PER_DPU - 1, repeats: 0, ..*self.plan };
        let name = format!("peers_warm_{run}");
        self.drain(cluster, &warm, &name, |consumer| warm.await_taken(&name, &plan, || consumer.busy_s().map(drop)))?;
        let name = format!("peers_{run}");
        let topology = rooms(self.plan.rooms, "d", "");
        let (crossings_per_s, took) = self.asked_on_cassandra(
            cluster,
            &name,
            &topology,
            |consumer| self.topic.await_taken(&name, self.plan, || consumer.busy_s().map(drop)),
            |served| self.questions().of_headcount(self.runtime, CASSANDRA, served.address),
        )?;
        let disk_bytes = self.runtime.block_on(async {
            let session = connect(cluster).await?;
            settle(&session, &name).await?;
            anyhow::Ok(on_disk(&session, &name).await?.values().sum())
        })?;
        Ok(Measured { who: CASSANDRA, crossings_per_s, took, disk_bytes })
    }

    /// Has the topic taken into a new keyspace, whose name is the group's too, and asks an API process over it; what
    /// `taken`, which waits until all is in, and `ask` tell.
    pub(crate) fn asked_on_cassandra<T, A>(
        &self,
        cluster: &str,
        keyspace: &str,
        topology: &str,
        taken: impl FnOnce(&Served) -> Result<T>,
        ask: impl FnOnce(&Served) -> Result<A>,
    ) -> Result<(T, A)> {
        let (store, told) = self.drain(cluster, self.topic, keyspace, taken)?;
        self.runtime.block_on(async {
            let session = connect(cluster).await?;
            compare(CASSANDRA, self.fleet, cql::totals(&session, keyspace, "d").await?)
        })?;
        let words = ["serve", "--consume", "false", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let served = self.start(&words, &store, self.topic, keyspace)?;
        self.runtime.block_on(served.put_topology(topology))?;
        let asked = ask(&served)?;
        served.stop()?;
        Ok((told, asked))
    }

    /// A consumer takes a topic in: the store's URL, and what `taken` tells.
    fn drain<T>(&self, cluster: &str, topic: &Topic, keyspace: &str, taken: impl FnOnce(&Served) -> Result<T>) -> Result<(String, T)> {
        let store = format!("cql://{}/{keyspace}", cql::hosts(cluster)?);
        self.program.run(&["migrate", "--store", &store, "--replication", "1"])?;
        let consumer = self.start(&["ingest", "--metrics-listen", "127.0.0.1:0"], &store, topic, keyspace)?;
        let told = taken(&consumer)?;
        consumer.stop()?;
        Ok((store, told))
    }

    fn start(&self, words: &[&str], store: &str, topic: &Topic, group: &str) -> Result<Served> {
        let common = ["--kafka", &topic.brokers, "--store", store, "--topic", &topic.name, "--group", group];
        Served::run(self.program, &[words, &FAR_AHEAD, &common[..]].concat())
    }

    /// A server that consumes into an embedded store in a new folder.
    pub(crate) fn embedded(&self) -> Result<Measured> {
        let folder = self.program.folder()?;
        let group = format!("peers.embedded.{}", std::process::id());
        let store = format!("fjall:{}", folder.path().display());
        let words = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let served = self.start(&words, &store, self.topic, &group)?;
        let crossings_per_s = self.topic.await_taken(&group, self.plan, || served.busy_s().map(drop))?;
        self.runtime.block_on(served.put_topology(&rooms(self.plan.dpus, "d", "")))?;
        self.runtime.block_on(check_campus(&served, self.fleet))?;
        let took = self.questions().of_headcount(self.runtime, EMBEDDED, served.address)?;
        served.stop()?;
        let disk_bytes = disk_bytes(folder.path())?;
        Ok(Measured { who: EMBEDDED, crossings_per_s, took, disk_bytes })
    }
}

async fn connect(cluster: &str) -> Result<Session> {
    cql::connect(cql::hosts(cluster)?.split(',')).await
}

/// Compares all doorways of the campus together with the truth.
async fn check_campus(served: &Served, fleet: &Fleet) -> Result<()> {
    let mut connection = Connection::to(served.address).await?;
    let get = request("GET", &format!("/v1/spaces/campus/count?at={}", Fleet::instant(fleet.span_ms())?), "", "");
    let count: Value = serde_json::from_str(connection.succeed(&get).await?)?;
    let number = |key| count.get(key).and_then(Value::as_i64).with_context(|| format!("no {key} in {count}"));
    let found = (number("entered")? + number("exited")?, number("raw")?);
    let right = (i64::try_from(fleet.crossings())?, (0..fleet.dpus).map(|dpu| fleet.net_before(dpu, fleet.span_ms())).sum());
    if found == right { Ok(()) } else { bail!("WRONG COUNT: {EMBEDDED}: {found:?} crossings and net, but {right:?} are right") }
}
