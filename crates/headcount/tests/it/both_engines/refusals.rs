//! Logs and keyspaces other than those meant: refused in clear words with a status that is not 0, and nothing is written.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use engines::{Cassandra, Kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rustix::process::{Pid, Signal, kill_process};
use scylla::client::session_builder::SessionBuilder;
use store::{Edits, Ledgers, Settings};
use store_cql::{CqlOptions, CqlStore};

use super::PATIENCE;
use super::group::Group;
use super::load::Log;
use crate::program::{headcount, run};

/// A topic that need not be there, and a keyspace, both new.
struct Ground {
    log: Log,
    node: String,
    keyspace: String,
    store: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Ground {
    /// `None` where Java or Maven is missing.
    fn new(keyspace: &str) -> Option<Self> {
        let bootstrap = engines::or_skip(Kafka::shared()).unwrap()?.bootstrap();
        let node = engines::or_skip(Cassandra::shared()).unwrap()?.contact_points()[0].clone();
        let store = format!("cql://{node}/{keyspace}");
        assert_eq!(run(&["migrate", "--store", &store, "--replication", "1", "--slots", "4"]).0, Some(0));
        let admin = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
        let log = Log { bootstrap, topic: format!("{keyspace}.crossings"), partitions: 2 };
        Some(Self { log, node, keyspace: keyspace.to_owned(), store, admin })
    }

    /// What a consumer is told.
    fn words(&self, task: &'static str) -> Vec<&str> {
        let (log, store) = (&self.log, self.store.as_str());
        let listen: &[&str] = if task == "serve" { &["--listen", "127.0.0.1:0"] } else { &[] };
        let usual = [task, "--metrics-listen", "127.0.0.1:0", "--store", store, "--kafka", &log.bootstrap, "--topic", &log.topic];
        [&usual, listen, &["--group", &self.keyspace]].concat()
    }

    /// Runs a command that must be refused, and must leave everything as it was; what it said.
    async fn refused(&self, words: &[&str]) -> String {
        let before = self.state().await;
        let (status, out, err) = run(words);
        assert_eq!((status, out.as_str()), (Some(1), ""), "{err}");
        assert_eq!(self.state().await, before);
        assert!(err.starts_with("headcount: ") && err.lines().count() == 1, "{err}");
        err
    }

    /// All that could be written: settings, DPUs, quarantine, the group's offsets, topics.
    async fn state(&self) -> (String, Option<Vec<i64>>, Vec<String>) {
        let session = SessionBuilder::new().known_node(&self.node).use_keyspace(&self.keyspace, true).build().await.unwrap();
        let mut rows = String::new();
        for table in ["settings", "dpus", "dpu_counters", "crossings", "dpu_openings", "quarantine", "migrations"] {
            let found = session.query_unpaged(format!("SELECT JSON * FROM {table}"), ()).await.unwrap().into_rows_result().unwrap();
            rows.extend(found.rows::<(String,)>().unwrap().map(|row| row.unwrap().0));
        }
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE).unwrap();
        let ours = |topic: &String| topic.starts_with(&self.keyspace);
        let topics = metadata.topics().iter().map(|topic| topic.name().to_owned()).filter(ours).collect();
        (rows, Group::new(&self.log, &self.keyspace).done(), topics)
    }

    async fn store(&self) -> CqlStore {
        CqlStore::connect(&CqlOptions::new(self.store.parse().unwrap())).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_refused() {
    let Some(ground) = Ground::new("refused_cluster") else { return };
    let elsewhere = Settings { cluster_id: Some("elsewhere".to_owned()), ..Settings::default() };
    assert!(ground.store().await.put_settings(&Settings::default(), &elsewhere).await.unwrap());
    for task in ["ingest", "serve"] {
        let said = ground.refused(&ground.words(task)).await;
        assert!(said.contains("the store holds positions in Kafka cluster elsewhere, and this is cluster "), "{said}");
        assert!(said.contains("drain the old log and run `headcount log new-epoch`"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_clocks_are_refused() {
    let Some(ground) = Ground::new("refused_clock") else { return };
    let topic = NewTopic::new(&ground.log.topic, 2, TopicReplication::Fixed(1)).set("message.timestamp.type", "CreateTime");
    let made = ground.admin.create_topics([&topic], &AdminOptions::new().operation_timeout(Some(PATIENCE))).await.unwrap();
    assert_eq!(made, [Ok(ground.log.topic.clone())]);
    for task in ["ingest", "serve"] {
        let said = ground.refused(&ground.words(task)).await;
        let must = "has message.timestamp.type=CreateTime and must have message.timestamp.type=LogAppendTime";
        assert!(said.contains(must) && said.contains("run `kafka-configs.sh "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_partitions_are_refused_while_there_is_more_to_consume() {
    let Some(ground) = Ground::new("refused_partitions") else { return };
    let words = [&ground.words("ingest")[..], &["--partitions", "2"]].concat();
    let mut child = headcount(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains(" consumes ")), "it ended before it consumed");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &ground.log.bootstrap).create().unwrap();
    let report = r#"{"dpu_id":"1","crossings":[{"at":"2024-05-01T12:00:00Z","direction":1}]}"#;
    producer.send(BaseRecord::to(&ground.log.topic).key("1").payload(report)).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let more = ground.admin.create_partitions(&[NewPartitions::new(&ground.log.topic, 3)], &AdminOptions::new()).await.unwrap();
    assert_eq!(more, [Ok(ground.log.topic.clone())]);
    let said = ground.refused(&ground.words("ingest")).await;
    assert!(said.contains("had 2 partitions and has 3; if the change is meant, drain it and run `headcount log new-epoch`"), "{said}");
    assert_eq!(ground.store().await.dpus(None, 1).await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let Some(ground) = Ground::new("refused_schema") else { return };
    let session = SessionBuilder::new().known_node(&ground.node).use_keyspace(&ground.keyspace, true).build().await.unwrap();
    session.query_unpaged("INSERT INTO migrations (log, number, name, sha256) VALUES (0, 2, 'later', 'ff')", ()).await.unwrap();
    let store = ["--store", &ground.store];
    for words in
        [&ground.words("ingest")[..], &ground.words("serve"), &[&["verify"], &store[..]].concat(), &[&["migrate"], &store[..]].concat()]
    {
        let said = ground.refused(words).await;
        let newer = "has migration 2 (later), this program knows 1: use the newer program";
        assert!(said.contains(newer), "{said}");
    }
}
