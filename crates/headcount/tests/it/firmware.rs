//! The firmware in C of the examples: compiled against the librdkafka of this build, it reports to a real Kafka.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engines::Kafka;

use crate::program::{Served, repository, run};
use crate::watched::Events;

/// Headers, and a shared library that has all it needs in it.
const LIBRDKAFKA: &str = concat!(env!("LIBRDKAFKA_ROOT"), "/src");
const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "firmware.crossings";
const TOPOLOGY: &str = r#"{"space":[{"id":"hall"}],"doorway":[{"id":"front","between":["outside","hall"]}],
    "installation":[{"dpu":"283","doorway":"front","enters":"hall","from":"2020-01-01T00:00:00Z"},
                    {"dpu":"284","doorway":"front","enters":"outside","from":"2020-01-01T00:00:00Z"}]}"#;

/// Compiles it as its first lines say, for a topic of this test's own.
fn compiled(folder: &Path) -> PathBuf {
    let (headers, program) = (folder.join("include"), folder.join("firmware"));
    std::fs::create_dir(&headers).unwrap();
    std::os::unix::fs::symlink(LIBRDKAFKA, headers.join("librdkafka")).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror"]).arg(format!("-DTOPIC=\"{TOPIC}\""));
    // Warnings about an installed library's headers are not ours.
    compiler.arg("-isystem").arg(headers).arg(repository("examples/firmware.c")).arg("-o").arg(&program);
    compiler.args([&format!("-L{LIBRDKAFKA}"), &format!("-Wl,-rpath,{LIBRDKAFKA}"), "-lrdkafka"]);
    assert!(compiler.status().unwrap().success(), "{compiler:?}");
    program
}

#[test]
fn what_the_firmware_in_c_reports_is_counted() {
    let Some(kafka) = engines::or_skip(Kafka::shared()).unwrap() else { return };
    let (brokers, folder) = (kafka.bootstrap(), tempfile::tempdir().unwrap());
    let store = format!("fjall:{}", folder.path().join("store").display());
    // Of so many partitions each of the two DPUs has another home by librdkafka's usual partitioner.
    let words = ["--kafka", &brokers, "--topic", TOPIC, "--group", "firmware", "--partitions", "6"];
    let served = Served::of(&store, &words, "/metrics").0;
    assert_eq!(served.http("PUT", "/v1/topology/hall", TOPOLOGY).0 / 100, 2);
    let mut events = Events::of(&served.url, &["hall"]);

    let program = compiled(folder.path());
    let reports = |dpu: &str| Command::new(&program).args([&brokers, dpu]).stdout(Stdio::piped()).spawn().unwrap();
    // Two side by side, then one of them again: another boot.
    for dpus in [&["283", "284"][..], &["284"]] {
        let running: Vec<_> = dpus.iter().map(|dpu| reports(dpu)).collect();
        for firmware in running {
            let told = firmware.wait_with_output().unwrap();
            assert_eq!((told.status.code(), told.stdout.as_slice()), (Some(0), &b"0 of 11 reports are left\n"[..]));
        }
    }
    // Of each ten, seven with +1: 283 hangs so that they enter, 284 the other way round.
    let counted = |count: &serde_json::Value| count["entered"] == 7 + 3 + 3 && count["exited"] == 3 + 7 + 7;
    while events.next().is_some_and(|(_, count)| !counted(&count)) {}
    let count = served.get("/v1/spaces/hall/count");
    assert!(counted(&count) && count["raw"] == -4 && count["silent"].as_array().unwrap().is_empty(), "{count}");
    // Its heartbeat comes after its crossings.
    let (begun, heard) = (Instant::now(), || served.get("/v1/dpus/284"));
    while heard()["heartbeat"]["last_seq"] != 10 {
        assert!(begun.elapsed() < PATIENCE, "{}", heard());
    }
    let dpu = heard();
    assert!(dpu["plus"] == 14 && dpu["minus"] == 6 && dpu["missing"] == 0, "{dpu}");
    assert_eq!(served.metric("headcount_kafka_foreign_records_total"), 0, "each report is in its DPU's home partition");
    assert_eq!(served.stop(), Some(0));
    let verified = run(&["verify", "--store", &store]);
    assert_eq!(verified, (Some(0), "2 DPUs, 30 crossings: 0 differences\n".to_owned(), String::new()));
}
