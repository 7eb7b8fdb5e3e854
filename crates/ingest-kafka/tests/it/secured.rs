//! A cluster that asks for TLS and a password: the client library's properties pass through.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use engines::{Kafka, KafkaOptions};
use ingest::Drained;
use ingest_kafka::{ConsumerConfig, KafkaConfig, KafkaError, Producer};
use store::MemoryStore;

use crate::cluster::{PATIENCE, Traffic, join_as};

const PASSWORD: &str = "not-a-secret";

/// Runs the JDK's keytool.
fn keytool(words: &[&str]) {
    let home = std::env::var("JAVA_HOME").map(|home| format!("{home}/bin/keytool"));
    let output = Command::new(home.as_deref().unwrap_or("keytool")).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A certificate for 127.0.0.1 that vouches for itself, in the broker's form and in the client's.
fn certificate(folder: &Path) -> (String, String) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (keys, pem) = (path("keys.p12"), path("ca.pem"));
    let store = ["-keystore", &keys, "-storepass", PASSWORD, "-alias", "broker"];
    let made = ["-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1"];
    keytool(&[&made[..], &store].concat());
    keytool(&[&["-exportcert", "-rfc", "-file", &pem][..], &store].concat());
    (keys, pem)
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> [(String, String); N] {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_tls_and_passwords_is_consumed_with_the_right_one_only() {
    if engines::or_skip(engines::prepare()).unwrap().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (keys, pem) = certificate(folder.path());
    let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
    let users =
        format!("{module} required username=\"broker\" password=\"{PASSWORD}\" user_broker=\"{PASSWORD}\" user_doors=\"{PASSWORD}\";");
    let properties = owned([
        ("listener.security.protocol.map", "PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("sasl.mechanism.inter.broker.protocol", "PLAIN"),
        ("listener.name.plaintext.plain.sasl.jaas.config", &users),
        ("ssl.keystore.location", &keys),
        ("ssl.keystore.password", PASSWORD),
        ("ssl.truststore.location", &keys),
        ("ssl.truststore.password", PASSWORD),
    ]);
    let Some(broker) = engines::or_skip(Kafka::start(&KafkaOptions { properties: properties.into(), ..KafkaOptions::default() })).unwrap()
    else {
        return;
    };
    let with = |password: &str| {
        let mut kafka = KafkaConfig::new(&broker.bootstrap(), "headcount.crossings");
        kafka.properties.extend(owned([
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.location", &pem),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "doors"),
            ("sasl.password", password),
        ]));
        kafka
    };
    let store = Arc::new(MemoryStore::new());
    let error = join_as(ConsumerConfig::new(with("guessed"), "headcount"), store.clone()).await.0.unwrap_err();
    assert!(matches!(&error, KafkaError::Unreachable { reason, .. } if reason.contains("Invalid username or password")), "{error}");
    let error =
        join_as(ConsumerConfig::new(KafkaConfig::new(&broker.bootstrap(), "headcount.crossings"), "headcount"), store.clone()).await.0;
    assert!(matches!(error, Err(KafkaError::Unreachable { .. })));

    let kafka = with(PASSWORD);
    let running = join_as(ConsumerConfig::new(kafka.clone(), "headcount"), store.clone()).await.0.unwrap();
    let (producer, mut traffic) = (Producer::new(&kafka, 30_000).unwrap(), Traffic::new(8));
    for _ in 0..50 {
        producer.send(&traffic.report()).await.unwrap().durable().await.unwrap();
    }
    traffic.settles_in(&*store).await;
    assert_eq!(running.stop(PATIENCE).await, Drained::Finished);
}
