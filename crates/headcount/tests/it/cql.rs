//! The program over a keyspace of a real Cassandra, fed from a real Kafka.

use engines::{Cassandra, Kafka};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::program::{Served, repository, run};
use crate::watched::Events;

/// The URL of a keyspace on a cluster that all tests share; `None` where Java or Maven is missing.
pub(crate) fn store(keyspace: &str) -> Option<String> {
    let cassandra = engines::or_skip(Cassandra::shared()).unwrap()?;
    Some(format!("cql://{}/{keyspace}", cassandra.contact_points()[0]))
}

/// Kafka with a topic as it has to be.
async fn kafka() -> Option<String> {
    let brokers = engines::or_skip(Kafka::shared()).unwrap()?.bootstrap();
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let topic = NewTopic::new("headcount.crossings", 4, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime");
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert_eq!(made, [Ok("headcount.crossings".to_owned())]);
    Some(brokers)
}

#[test]
fn a_keyspace_is_migrated_before_it_is_used() {
    let Some(store) = store("doors") else { return };
    let lacks = format!("headcount: the keyspace of {store} lacks migration 1 of 1: run `headcount migrate --store {store}`\n");
    for words in [
        &["verify", "--store", &store][..],
        &["count", "hall", "--store", &store],
        &["ingest", "--kafka", "127.0.0.1:1", "--metrics-listen", "127.0.0.1:0", "--store", &store],
    ] {
        assert_eq!(run(words), (Some(1), String::new(), lacks.clone()), "{words:?}");
    }
    let serve = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", &store];
    let (status, _, err) = run(&serve);
    assert!(status == Some(1) && err.contains("takes crossings from Kafka only: name the cluster with --kafka"), "{err}");

    let migrate = ["migrate", "--store", &store];
    let (status, _, err) = run(&migrate);
    assert!(status == Some(1) && err.contains("cannot keep 3 copies: add nodes, or ask for fewer copies (--replication 1"), "{err}");
    let ready = "doors is ready: 8 slots, NetworkTopologyStrategy datacenter1:1\n";
    let first = run(&[&migrate[..], &["--replication", "1", "--slots", "8"]].concat());
    assert_eq!(first, (Some(0), format!("applied 0001_tables\n{ready}"), String::new()));
    assert_eq!(run(&migrate), (Some(0), ready.to_owned(), String::new()));
    let (status, _, err) = run(&[&migrate[..], &["--slots", "9"]].concat());
    assert!(status == Some(1) && err.contains("has 8 slots, not 9"), "{err}");

    assert_eq!(run(&["verify", "--store", &store]).1, "0 DPUs, 0 crossings: 0 differences\n");
    let (status, _, err) = run(&["migrate", "--store", "fjall:./data"]);
    assert!(status == Some(1) && err.contains("only a store named cql://"), "{err}");
    let (status, _, err) = run(&["verify", "--store", "cql://me:hush@db/doors"]);
    assert!(status == Some(2) && err.contains("a URL holds no user and password"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossings_go_through_kafka_into_the_keyspace() {
    let Some(store) = store("campus") else { return };
    let Some(brokers) = kafka().await else { return };
    assert_eq!(run(&["migrate", "--store", &store, "--replication", "1", "--slots", "16"]).0, Some(0));
    let served = Served::of(&store, &["--kafka", &brokers], "http://").0;
    let example = repository("examples/topology.toml");
    let (status, _, err) = run(&["topology", "apply", example.to_str().unwrap(), "--server", &served.url]);
    assert_eq!(status, Some(0), "{err}");
    let mut events = Events::of(&served.url, &["hall"]);
    // The same report twice, and a later one.
    for minute in [1, 1, 2] {
        let at = |second: u32| format!(r#"{{"at":"2024-05-01T12:{minute:02}:{second:02}Z","direction":1,"seq":{minute}{second:02}}}"#);
        let crossings: Vec<String> = (10..30).map(at).collect();
        let report = format!(r#"{{"dpu_id":"283","boot":7,"crossings":[{}]}}"#, crossings.join(","));
        assert_eq!(served.http("POST", "/v1/crossings", &report), (202, r#"{"queued":1}"#.to_owned()));
    }
    while served.get("/v1/spaces/hall/count?at=2024-05-01T13:00:00Z")["count"] != 40 {
        events.next().expect("it tells that the past of the hall changed");
    }
    // Halfway through, from the event log alone.
    assert_eq!(served.get("/v1/spaces/hall/count?at=2024-05-01T12:01:15Z")["count"], 6);
    assert_eq!(served.stop(), Some(0));
    let (status, out, _) = run(&["verify", "--store", &store]);
    assert_eq!((status, out.as_str()), (Some(0), "1 DPUs, 40 crossings: 0 differences\n"));
    let (status, out, err) = run(&["count", "hall", "--at", "2024-05-01T13:00:00Z", "--store", &store]);
    assert!(status == Some(0) && out.starts_with("40 in hall at "), "{out}{err}");
}
