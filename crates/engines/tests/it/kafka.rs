//! Kafka: one broker that is killed, three of which one may be gone.

use engines::{EngineError, Kafka, KafkaOptions};

use crate::frames::{api_versions, there};

#[test]
fn a_broker_answers_before_and_after_it_is_killed() {
    let Some(kafka) = there(Kafka::start(&KafkaOptions::default())) else { return };
    let broker = &kafka.brokers()[0];
    assert_eq!(kafka.bootstrap(), broker.address().to_string());
    assert!(api_versions(broker.address()));
    let pid = broker.pid();
    broker.kill();
    assert_eq!(broker.pid(), None);
    broker.start_again().unwrap();
    assert_ne!(broker.pid(), pid);
    assert!(api_versions(broker.address()));
}

#[test]
fn three_brokers_are_one_cluster() {
    let Some(kafka) = there(Kafka::start(&KafkaOptions { brokers: 3, ..KafkaOptions::default() })) else { return };
    assert_eq!(kafka.bootstrap().split(',').count(), 3);
    kafka.brokers()[0].kill();
    assert!(kafka.brokers()[1..].iter().all(|broker| api_versions(broker.address())));
    kafka.brokers()[0].start_again().unwrap();
    assert!(api_versions(kafka.brokers()[0].address()));
}

#[test]
fn what_keeps_a_broker_from_starting_is_shown() {
    let properties = [("num.io.threads".to_owned(), "-1".to_owned())].into();
    match Kafka::start(&KafkaOptions { properties, ..KafkaOptions::default() }) {
        Err(EngineError::Failed { tail, .. } | EngineError::Ended { tail, .. }) => assert!(tail.contains("num.io.threads"), "{tail}"),
        other => assert!(there(other).is_none(), "it started"),
    }
    let sizes = KafkaOptions { brokers: 2, ..KafkaOptions::default() };
    assert!(matches!(Kafka::start(&sizes), Err(EngineError::Size { what: "brokers", asked: 2 })));
}
