//! Cassandra: one node that is killed and paused, and three of which one may be gone.

use std::time::{Duration, Instant};

use engines::{Cassandra, CassandraOptions, EngineError, Node};

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
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| kept(&cql.run(SELECT, 1)));
        std::thread::sleep(pause);
        assert!(!answer.is_finished());
        node.resume().unwrap();
        assert!(answer.join().unwrap());
    });
    assert!(begun.elapsed() >= pause);
    let data = cassandra.data().to_owned();
    drop(cassandra);
    assert!(!data.exists());
}

/// Waits, as drivers do, until all nodes know the same tables.
fn agree(nodes: &[Node]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let version = |node: &Node| Cql::connect(node.address()).run("SELECT schema_version FROM system.local", 1);
    while nodes.iter().any(|node| version(node) != version(&nodes[0])) {
        assert!(Instant::now() < deadline, "the nodes never agree on their tables");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn three_nodes_do_with_two() {
    let options = CassandraOptions { nodes: 3, ..CassandraOptions::default() };
    let Some(cassandra) = there(Cassandra::start(&options)) else { return };
    let [first, second, third] = cassandra.nodes() else { panic!("three nodes") };
    assert_eq!(first.address().port(), third.address().port());
    let mut cql = Cql::connect(first.address());
    for statement in [&keyspace(3), TABLE] {
        cql.run(statement, 4);
        agree(cassandra.nodes());
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
