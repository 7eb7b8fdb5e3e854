//! An embedded store that moves to a real Cassandra and back, with the real Kafka that feeds it.

use engines::Kafka;

use crate::cql;
use crate::program::{Served, http, repository, run, until};

const TOPIC: &str = "moved.crossings";

/// What is asked before and after: a page of the event log, counts, the DPU's state, quarantine.
const ASKED: [&str; 5] = [
    "/v1/spaces/hall/crossings?from=2024-05-01T00:00:00Z&to=2024-05-03T00:00:00Z",
    "/v1/spaces/hall/count?at=2024-05-01T12:01:15Z",
    "/v1/spaces/campus/count?at=2024-05-02T13:00:00Z",
    "/v1/quarantine",
    "/v1/topology/campus",
];

fn answers(served: &Served) -> Vec<String> {
    ASKED.iter().map(|path| served.http("GET", path, "").1).collect()
}

/// The same crossings each time: two days, some of them late.
fn report(served: &Served) {
    for day in [2, 1] {
        let at = |n: u32| format!(r#"{{"at":"2024-05-0{day}T12:{:02}:{:02}Z","direction":1,"seq":{day}{n:04}}}"#, n / 60, n % 60);
        let crossings: Vec<String> = (10..210).map(at).collect();
        let report = format!(r#"{{"dpu_id":"283","boot":7,"crossings":[{}]}}"#, crossings.join(","));
        assert_eq!(served.http("POST", "/v1/crossings", &report), (202, r#"{"queued":1}"#.to_owned()));
    }
    let unset = r#"{"dpu_id":"283","crossings":[{"at":"1999-05-01T12:00:00Z","direction":1}]}"#;
    assert_eq!(served.http("POST", "/v1/crossings", unset).0, 202);
}

fn serve(store: &str, brokers: &str) -> Served {
    Served::of(store, &["--kafka", brokers, "--topic", TOPIC, "--group", "moved", "--partitions", "4"], "/metrics").0
}

/// Waits until a metric has a value.
async fn measured(served: &Served, metric: &str, value: u64) {
    let line = format!("\n{metric} {value}\n");
    until(&line, || http(&served.metrics, "GET", "/metrics", "").unwrap().1.contains(&line)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_cassandra_and_back_and_takes_nothing_twice() {
    let Some(keyspace) = cql::store("moved") else { return };
    let Some(kafka) = engines::or_skip(Kafka::shared()).unwrap() else { return };
    let brokers = kafka.bootstrap();
    let folder = tempfile::tempdir().unwrap();
    let [first, back] = ["first", "back"].map(|name| format!("fjall:{}", folder.path().join(name).display()));
    let served = serve(&first, &brokers);
    let example = repository("examples/topology.toml");
    let (status, _, err) = run(&["topology", "apply", example.to_str().unwrap(), "--server", &served.url]);
    assert_eq!(status, Some(0), "{err}");
    report(&served);
    measured(&served, "headcount_crossings_total{outcome=\"accepted\"}", 400).await;
    measured(&served, "headcount_quarantined_total{reason=\"clock_unset\"}", 1).await;
    let before = answers(&served);
    assert_eq!(served.stop(), Some(0));

    assert_eq!(run(&["migrate", "--store", &keyspace, "--replication", "1", "--slots", "16"]).0, Some(0));
    let copied = "copied 1 DPUs, 400 crossings, 1 edits, 1 quarantined in ";
    let (status, out, err) = run(&["copy", "--from", &first, "--to", &keyspace]);
    assert!(status == Some(0) && out.contains(copied), "{out}{err}");
    let served = serve(&keyspace, &brokers);
    assert_eq!(answers(&served), before);
    report(&served);
    measured(&served, "headcount_crossings_total{outcome=\"duplicate\"}", 400).await;
    measured(&served, "headcount_crossings_total{outcome=\"accepted\"}", 0).await;
    // The input that was kept out is kept out twice, as the log now holds it twice.
    measured(&served, "headcount_quarantined_total{reason=\"clock_unset\"}", 1).await;
    assert_eq!(answers(&served)[..3], before[..3]);
    let before = answers(&served);
    assert_eq!(served.stop(), Some(0));

    let (status, out, err) = run(&["copy", "--from", &keyspace, "--to", &back]);
    assert!(status == Some(0) && out.contains("copied 1 DPUs, 400 crossings, 1 edits, 2 quarantined in "), "{out}{err}");
    let served = serve(&back, &brokers);
    assert_eq!(answers(&served), before);
    report(&served);
    measured(&served, "headcount_crossings_total{outcome=\"duplicate\"}", 400).await;
    assert_eq!(answers(&served)[..3], before[..3]);
    assert_eq!(served.stop(), Some(0));
    assert_eq!(run(&["verify", "--store", &back]).1, "1 DPUs, 400 crossings: 0 differences\n");
}
