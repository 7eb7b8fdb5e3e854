//! Processes with one role each, over a real Kafka and Cassandra: one answers, another consumes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use engines::Kafka;

use crate::cql;
use crate::program::{Served, headcount, http, repository, run, until};
use crate::watched::Events;

const TOPIC: &str = "roles.crossings";
/// A topic and a group that no other test at this Kafka uses.
const LOG: [&str; 4] = ["--topic", TOPIC, "--group", "roles"];

/// A consumer alone; killed when dropped.
struct Ingesting {
    child: Child,
    probes: String,
}

impl Ingesting {
    fn start(store: &str, brokers: &str) -> Self {
        let words = ["ingest", "--kafka", brokers, "--metrics-listen", "127.0.0.1:0", "--store", store];
        let mut child = headcount(&words).args(LOG).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let probes = lines.filter_map(|line| Some(line.split_once("alive: ")?.1.split_once("/healthz")?.0.to_owned())).next().unwrap();
        Self { child, probes }
    }

    fn probe(&self, path: &str) -> u16 {
        http(&self.probes, "GET", path, "").unwrap().0
    }
}

impl Drop for Ingesting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_api_that_does_not_consume_needs_kafka() {
    let (status, _, err) = run(&["serve", "--consume", "false", "--store", "memory:"]);
    assert!(status == Some(1) && err.contains("--consume false needs --kafka"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_only_answers_and_a_consumer_only_consumes() {
    let Some(store) = cql::store("roles") else { return };
    let Some(kafka) = engines::or_skip(Kafka::shared()).unwrap() else { return };
    let brokers = kafka.bootstrap();
    assert_eq!(run(&["migrate", "--store", &store, "--replication", "1", "--slots", "16"]).0, Some(0));
    let lag = || {
        let (status, out, err) = run(&[&["status", "--kafka", &brokers], &LOG[..]].concat());
        assert_eq!(status, Some(0), "{out}{err}");
        out.lines().last().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (status, _, err) = run(&[&["status", "--kafka", &brokers], &LOG[..]].concat());
    assert!(status == Some(1) && err.contains(&format!("there is no topic {TOPIC} at {brokers}")), "{err}");

    let words = ["--kafka", &brokers, "--partitions", "4", "--consume", "false"];
    let served = Served::of(&store, &[&words, &LOG[..]].concat(), "http://").0;
    let example = repository("examples/topology.toml");
    let (status, _, err) = run(&["topology", "apply", example.to_str().unwrap(), "--server", &served.url]);
    assert_eq!(status, Some(0), "{err}");
    let report = r#"{"dpu_id":"283","crossings":[{"at":"2024-05-01T12:00:00Z","direction":1}]}"#;
    assert_eq!(served.http("POST", "/v1/crossings", report).0, 202);
    assert_eq!((served.http("GET", "/readyz", "").0, lag()), (200, vec!["all".to_owned(), "1".to_owned()]));
    let count = || served.get("/v1/spaces/hall/count?at=2024-05-01T13:00:00Z")["count"].as_i64();
    assert_eq!(count(), Some(0), "nobody consumes");

    let mut events = Events::of(&served.url, &["hall"]);
    let ingesting = Ingesting::start(&store, &brokers);
    assert_eq!(ingesting.probe("/healthz"), 200);
    until("it is ready", || ingesting.probe("/readyz") == 200).await;
    while count() != Some(1) {
        events.next().expect("it tells that the past of the hall changed");
    }
    until("it is done with", || lag() == ["all", "0"]).await;
    drop(ingesting);
    assert_eq!(served.stop(), Some(0));
}
