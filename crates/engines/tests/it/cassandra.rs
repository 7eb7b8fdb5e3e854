//! Cassandra: one node that is killed and paused, and three of which one may be gone.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use engines::{Cassandra, CassandraOptions, EngineError};

use crate::frames::{Cql, there};

const TABLE: &str = "CREATE TABLE k.t (id int PRIMARY KEY, what text)";
const INSERT: &str = "INSERT INTO k.t (id, what) VALUES (1, 'kept by the disk')";
const SELECT: &str = "SELECT what FROM k.t WHERE id = 1";

fn keyspace(replicas: usize) -> String {
    format!("CREATE KEYSPACE k WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}")
}

fn kept(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).contains("kept by the disk")
}

#[test]
fn a_node_answers_keeps_what_it_acknowledged_and_can_be_paused() {
    let Some(cassandra) = there(Cassandra::start(&CassandraOptions::default())) else { return };
    let node = &cassandra.nodes()[0];
    assert_eq!(cassandra.contact_points(), [node.address().to_string()]);
    let mut cql = Cql::connect(node.address());
    for statement in [&keyspace(1), TABLE, INSERT] {
        cql.run(statement, 1);
    }
    node.kill();
    assert!(matches!(node.pause(), Err(EngineError::NotRunning { .. })));
    assert!(std::net::TcpStream::connect(node.address()).is_err());
    node.start_again().unwrap();
    assert!(matches!(node.start_again(), Err(EngineError::Running { .. })));
    let mut cql = Cql::connect(node.address());
    assert!(kept(&cql.run(SELECT, 1)));

    let pause = Duration::from_secs(1);
    node.pause().unwrap();
    let begun = Instant::now();
    let (answered, answer) = mpsc::sync_channel(1);
    std::thread::spawn(move || answered.send(kept(&cql.run(SELECT, 1))));
    assert_eq!(answer.recv_timeout(pause), Err(mpsc::RecvTimeoutError::Timeout));
    node.resume().unwrap();
    assert!(answer.recv().unwrap());
    assert!(begun.elapsed() >= pause);
    let data = cassandra.data().to_owned();
    drop(cassandra);
    assert!(!data.exists());
}

#[test]
fn three_nodes_do_with_two() {
    let options = CassandraOptions { nodes: 3, ..CassandraOptions::default() };
    let Some(cassandra) = there(Cassandra::start(&options)) else { return };
    let [first, second, third] = cassandra.nodes() else { panic!("three nodes") };
    assert_eq!(first.address().port(), third.address().port());
    let mut cql = Cql::connect(first.address());
    let mut told: Vec<Cql> = cassandra.nodes().iter().map(|node| Cql::told_of_tables(node.address())).collect();
    for statement in [&keyspace(3), TABLE] {
        cql.run(statement, 4);
        // All nodes know the same tables before the next statement.
        told.iter_mut().for_each(Cql::hear);
    }
    cql.run(INSERT, 4);
    first.kill();
    // Until the others notice, they may ask it still, and wait for it.
    let (mut cql, deadline) = (Cql::connect(second.address()), Instant::now() + Duration::from_secs(60));
    let found = loop {
        match cql.ask(SELECT, 4) {
            Ok(found) => break found,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert!(kept(&found));
    assert!(matches!(Cassandra::start(&CassandraOptions { nodes: 2, ..options }), Err(EngineError::Size { what: "nodes", asked: 2 })));
}
