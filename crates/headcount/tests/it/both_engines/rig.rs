//! Real Kafka, real Cassandra, processes of the program between them, a campus that reports all the while, and at the
//! end the comparison: what went in is what came out, once.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engines::{Cassandra, CassandraOptions, Kafka, KafkaOptions, Node, Proxy};
use occupancy::crossing::Key;
use occupancy::time::UnixMs;
use store::Ledgers;
use store_cql::{CqlOptions, CqlStore};
use wire::document::TopologyDocument;

use super::group::Group;
use super::load::{Load, Log, Truth, campus};
use super::member::Member;
use super::{PATIENCE, asked};
use crate::program::{Seeded, http, run};

const PARTITIONS: u32 = 6;
/// The most members the group has.
const MEMBERS: usize = 3;
/// How soon a member that says nothing is thrown out. Brokers ask for 6 s at least, unless told otherwise.
const SESSION_MS: &str = "3000";
/// How often something awaited is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// How many partitions a member has.
const ASSIGNED: &str = "headcount_kafka_assigned_partitions";

/// What all tests here share, one after the other; whoever fails leaves nothing behind.
struct Engines {
    kafka: Kafka,
    cassandra: Cassandra,
}

static ENGINES: Mutex<Option<Engines>> = Mutex::new(None);

/// What a test wants.
#[derive(Default)]
pub(crate) struct Wish {
    /// Three nodes of Cassandra with three copies of everything, of which one is down throughout.
    pub(crate) three_nodes: bool,
    /// A proxy before Cassandra, for the program alone.
    pub(crate) proxied: bool,
}

/// What a test plays with.
pub(crate) struct Rig {
    // Dropped in this order.
    members: Vec<Member>,
    load: Option<Load>,
    group: Group,
    pub(crate) random: Seeded,
    pub(crate) proxy: Option<Proxy>,
    three_nodes: Option<Cassandra>,
    /// The keyspace, past the proxy.
    direct: String,
    words: Vec<String>,
    logs: PathBuf,
    begun: Instant,
    engines: MutexGuard<'static, Option<Engines>>,
}

impl Rig {
    /// Starts what is missing, and two members over a topic and a keyspace of that name; the campus opens. `None` where
    /// Java or Maven is missing.
    pub(crate) fn new(name: &str, seed: u64, wish: &Wish) -> Option<Self> {
        let seed = asked("HEADCOUNT_SEED", seed);
        println!("{name}: HEADCOUNT_SEED={seed}");
        let mut engines = ENGINES.lock().unwrap_or_else(|failed| {
            ENGINES.clear_poison();
            let mut engines = PoisonError::into_inner(failed);
            *engines = None;
            engines
        });
        let begun = Instant::now();
        if engines.is_none() {
            let properties = [("group.min.session.timeout.ms".to_owned(), SESSION_MS.to_owned())].into();
            let kafka = engines::or_skip(Kafka::start(&KafkaOptions { brokers: 1, properties })).unwrap()?;
            *engines = Some(Engines { kafka, cassandra: engines::or_skip(Cassandra::start(&CassandraOptions::default())).unwrap()? });
        }
        let three = CassandraOptions { nodes: 3, ..CassandraOptions::default() };
        let three_nodes = wish.three_nodes.then(|| Cassandra::start(&three).unwrap());
        let Engines { kafka, cassandra } = engines.as_ref().unwrap();
        let points = three_nodes.as_ref().unwrap_or(cassandra).contact_points();
        let proxy = wish.proxied.then(|| Proxy::to(cassandra.nodes()[0].address()).unwrap());
        let direct = format!("cql://{}/{name}", points.join(","));
        let store = proxy.as_ref().map_or_else(|| direct.clone(), |proxy| format!("cql://{}/{name}", proxy.address()));
        let copies = if wish.three_nodes { "3" } else { "1" };
        migrate(&["migrate", "--store", &direct, "--replication", copies, "--slots", "48"]);
        if let Some(cassandra) = &three_nodes {
            cassandra.nodes()[2].kill();
        }
        let log = Log { bootstrap: kafka.bootstrap(), topic: format!("{name}.crossings"), partitions: PARTITIONS };
        let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("both_engines").join(name);
        let _ = std::fs::remove_dir_all(&logs);
        std::fs::create_dir_all(&logs).unwrap();
        let group = Group::new(&log, name);
        let random = Seeded(seed);
        let words = words(&log, name, &store);
        let mut rig = Self { members: Vec::new(), load: None, group, random, proxy, three_nodes, direct, words, logs, begun, engines };
        rig.open(log, name, seed);
        Some(rig)
    }

    /// The first two members, and the campus.
    fn open(&mut self, log: Log, group: &str, seed: u64) {
        self.start("serve");
        self.until("the first member consumes", |rig| rig.members[0].has_begun());
        let campus = campus(seed);
        let document = serde_json::to_string(&TopologyDocument::of(&campus.document())).unwrap();
        let (status, text) = http(&self.url(), "PUT", "/v1/topology/campus", &document).unwrap();
        assert!(status < 300, "{status} {text}");
        let group = Group::new(&log, group);
        self.load = Some(Load::start(campus, log, group, seed));
        self.join();
        let works = |member: &Member| member.metric(ASSIGNED) > Some(0);
        self.until("both have partitions", |rig| rig.members.iter().all(works));
    }

    fn start(&mut self, task: &str) {
        let mut words: Vec<&str> = vec![task, "--metrics-listen", "127.0.0.1:0"];
        if task == "serve" {
            words.extend(["--listen", "127.0.0.1:0"]);
        }
        words.extend(self.words.iter().map(String::as_str));
        // A number of its own, however many left before.
        let number = std::fs::read_dir(&self.logs).unwrap().count();
        self.members.push(Member::start(&words, &self.logs.join(format!("{task}-{number}.log"))));
    }

    /// Where the first member answers.
    fn url(&self) -> String {
        let line = self.members[0].line(" answers at ").unwrap();
        line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
    }

    pub(crate) fn kafka(&self) -> &Node {
        &self.engines.as_ref().unwrap().kafka.brokers()[0]
    }

    pub(crate) fn cassandra(&self) -> &Node {
        let shared = &self.engines.as_ref().unwrap().cassandra;
        &self.three_nodes.as_ref().unwrap_or(shared).nodes()[0]
    }

    /// Waits for something, looking after the members.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            self.members.iter_mut().for_each(Member::tend);
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}; logs in {}", self.logs.display());
            std::thread::sleep(LOOK);
        }
    }

    /// The committed offset of each partition.
    pub(crate) fn done(&mut self) -> Vec<i64> {
        let mut done = None;
        self.until("Kafka tells the group's offsets", |rig| {
            done = rig.group.done();
            done.is_some()
        });
        done.unwrap()
    }

    /// Waits until some more records are done.
    pub(crate) fn goes_on(&mut self) {
        let more = 20 + i64::try_from(self.random.below(400)).unwrap();
        let wanted = self.done().iter().sum::<i64>() + more;
        self.until("more is done", |rig| rig.done().iter().sum::<i64>() >= wanted);
    }

    /// Waits until all that is in Kafka now is done.
    pub(crate) fn catches_up(&mut self) {
        let mut ends = None;
        self.until("Kafka tells its ends", |rig| {
            ends = rig.group.ends();
            ends.is_some()
        });
        let ends = ends.unwrap();
        self.until("what is there is done", |rig| rig.done().iter().zip(&ends).all(|(done, end)| done >= end));
    }

    /// One more member, unless there are many.
    pub(crate) fn join(&mut self) {
        if self.members.len() < MEMBERS {
            self.start("ingest");
        }
    }

    /// One member less, if several work: not the first, which answers.
    pub(crate) fn leave(&mut self) {
        let others = self.members.len() as u64 - 1;
        if others > 0 {
            let which = 1 + usize::try_from(self.random.below(others)).unwrap();
            self.until("it consumes", |rig| rig.members[which].has_begun());
            self.members.swap_remove(which).stop();
        }
    }

    /// kill -9 of a member that has partitions, which is started again.
    pub(crate) fn kill(&mut self) {
        let which = self.one_at_work();
        self.members[which].kill();
    }

    /// One of the members that have partitions: whoever was killed last need not be back, and cannot be without a store.
    fn one_at_work(&mut self) -> usize {
        let mut at_work = Vec::new();
        self.until("a member has partitions", |rig| {
            at_work = (0..rig.members.len()).filter(|which| rig.members[*which].metric(ASSIGNED) > Some(0)).collect();
            !at_work.is_empty()
        });
        at_work[usize::try_from(self.random.below(at_work.len() as u64)).unwrap()]
    }

    /// A member stands still until others have done its part, then goes on with what it held until it learns of it.
    /// False where it had just nothing to lose.
    pub(crate) fn outlives(&mut self) -> bool {
        let which = self.one_at_work();
        let rebalances = |rig: &Self| rig.members[which].metric("headcount_kafka_rebalances_total");
        let lost = |rig: &Self| rig.members[which].said().matches("lost=true").count();
        let before = (rebalances(self), lost(self));
        self.members[which].freeze(true);
        self.catches_up();
        self.members[which].freeze(false);
        self.until("it learns that it was thrown out", |rig| rebalances(rig) > before.0);
        lost(self) > before.1
    }

    /// How often members have said that the store does not answer.
    pub(crate) fn complaints(&self) -> usize {
        self.members.iter().map(|member| member.said().matches("the store is unavailable").count()).sum()
    }

    /// All trouble is over: everything is consumed, and all is as it was sent.
    pub(crate) fn ends_well(mut self) {
        let truth = self.load.take().unwrap().finish();
        self.until("everything is consumed", |rig| rig.group.is_done());
        self.compare(&truth);
        self.count(&truth);
        self.members.drain(..).for_each(Member::stop);
        let crossings: usize = truth.sent.values().map(|keys| keys.len()).sum();
        let (status, out, err) = run(&["verify", "--store", &self.direct]);
        let expected = format!("{} DPUs, {crossings} crossings: 0 differences\n", truth.sent.len());
        assert_eq!((status, out), (Some(0), expected), "{err}");
        println!("{crossings} crossings, after {} s", self.begun.elapsed().as_secs());
    }

    /// The set in is the set out.
    fn compare(&self, truth: &Truth) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let store = CqlStore::connect(&CqlOptions::new(self.direct.parse().unwrap())).await.unwrap();
            for (dpu, sent) in &truth.sent {
                let rows = store.crossings(dpu, Key::first_at(UnixMs::MIN), UnixMs::MAX, usize::MAX).await.unwrap();
                let stored = rows.iter().map(|row| row.key).collect();
                let (lost, made_up): (Vec<_>, Vec<_>) = (sent.difference(&stored).collect(), stored.difference(sent).collect());
                assert!(lost.is_empty() && made_up.is_empty(), "{dpu}: lost {lost:?}, made up {made_up:?}");
                assert_eq!(rows.len(), sent.len(), "{dpu} has a crossing twice");
            }
            assert_eq!(store.dpus(None, usize::MAX).await.unwrap().len(), truth.sent.len());
            assert_eq!(store.quarantined(None, 1).await, Ok(Vec::new()));
        });
    }

    /// At every instant, each space holds the people who were there.
    fn count(&mut self, truth: &Truth) {
        self.until("the first member answers", |rig| rig.members[0].has_begun());
        for (at, people) in &truth.census {
            let spaces: Vec<String> = people.iter().map(|(space, _)| format!("&space={space}")).collect();
            let (status, text) = http(&self.url(), "GET", &format!("/v1/counts?at={at}{}", spaces.concat()), "").unwrap();
            assert_eq!(status, 200, "{text}");
            let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
            let counted: Vec<u64> = answer["counts"].as_array().unwrap().iter().map(|count| count["raw"].as_u64().unwrap()).collect();
            assert_eq!(counted, people.iter().map(|(_, people)| *people).collect::<Vec<_>>(), "{at}");
        }
    }
}

/// What every member is told.
fn words(log: &Log, group: &str, store: &str) -> Vec<String> {
    let partitions = log.partitions.to_string();
    let session = format!("session.timeout.ms={SESSION_MS};heartbeat.interval.ms=300");
    let pairs = [
        ("--kafka", log.bootstrap.as_str()),
        ("--store", store),
        ("--topic", &log.topic),
        ("--partitions", &partitions),
        ("--group", group),
        ("--kafka-setting", &session),
    ];
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()]).collect()
}

/// Makes the keyspace, once nodes that have just met tell of each other.
fn migrate(words: &[&str]) {
    let begun = Instant::now();
    loop {
        let (status, _, err) = run(words);
        match status {
            Some(0) => return,
            _ if err.contains(" nodes and cannot keep 3 copies") && begun.elapsed() < PATIENCE => {}
            status => panic!("{status:?}: {err}"),
        }
    }
}
