//! Keyspaces that are migrated, twice, at once, and those that are refused.

use scylla::client::session_builder::SessionBuilder;
use store_cql::{CqlOptions, CqlStore, DEFAULT_SLOTS, OpenError, Plan, Replication, migrate};

use crate::cluster;

/// Why both connecting and migrating are refused, as a user reads it.
async fn refused(options: &CqlOptions) -> String {
    let (connecting, migrating) = (CqlStore::connect(options).await.unwrap_err(), migrate(options, &Plan::default()).await.unwrap_err());
    assert_eq!(connecting, migrating);
    connecting.to_string()
}

/// The tables and recorded migrations of a keyspace, to see that nothing was written.
async fn state(options: &CqlOptions) -> String {
    let session = cluster::session(options).await;
    let mut state = String::new();
    for text in [
        "SELECT JSON table_name FROM system_schema.tables WHERE keyspace_name = ?",
        "SELECT JSON replication FROM system_schema.keyspaces WHERE keyspace_name = ?",
    ] {
        let rows = session.query_unpaged(text, (&options.url.keyspace,)).await.unwrap().into_rows_result().unwrap();
        state.extend(rows.rows::<(String,)>().unwrap().map(|row| row.unwrap().0));
    }
    let rows = session.query_unpaged("SELECT JSON * FROM migrations", ()).await.unwrap().into_rows_result().unwrap();
    state.extend(rows.rows::<(String,)>().unwrap().map(|row| row.unwrap().0));
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_migrate_at_once_one_does() {
    let Some(options) = cluster::fresh() else { return };
    let error = CqlStore::connect(&options).await.unwrap_err();
    let url = options.url.to_string();
    assert_eq!(error.to_string(), format!("the keyspace of {url} lacks migration 1 of 1: run `headcount migrate --store {url}`"));
    let plan = cluster::plan();
    // Whoever connects meanwhile is told to migrate, at any moment.
    let connects = async {
        loop {
            match CqlStore::connect(&options).await {
                Ok(_) => break,
                Err(error) => assert!(matches!(error, OpenError::NotMigrated { missing: 1, known: 1, .. }), "{error}"),
            }
        }
    };
    let (a, b, c, ()) = tokio::join!(migrate(&options, &plan), migrate(&options, &plan), migrate(&options, &plan), connects);
    let done = [a.unwrap(), b.unwrap(), c.unwrap()];
    let mut applied: Vec<&[String]> = done.iter().map(|migrated| migrated.applied.as_slice()).collect();
    applied.sort();
    assert_eq!(applied, [&[][..], &[], &["0001_tables".to_owned()]]);
    assert!(done.iter().all(|migrated| migrated.slots == 4 && migrated.replication == "NetworkTopologyStrategy datacenter1:1"));
    let before = state(&options).await;
    let again = migrate(&options, &Plan::default()).await.unwrap();
    assert_eq!((again.applied.len(), again.slots, state(&options).await), (0, 4, before));
    assert_eq!(CqlStore::connect(&options).await.unwrap().slots(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_of_another_kind_is_refused() {
    let Some(options) = cluster::keyspace().await else { return };
    let (keyspace, session) = (&options.url.keyspace, cluster::session(&options).await);
    let before = state(&options).await;
    let slots = migrate(&options, &Plan { slots: Some(DEFAULT_SLOTS), replication: None }).await.unwrap_err();
    assert_eq!(slots, OpenError::Slots { keyspace: keyspace.clone(), asked: DEFAULT_SLOTS, found: 4 });
    let copies = Plan { slots: None, replication: Some(Replication::Everywhere(2)) };
    let copies = migrate(&options, &copies).await.unwrap_err();
    assert!(matches!(copies, OpenError::OtherReplication { .. }), "{copies}");
    assert_eq!(state(&options).await, before);

    session.query_unpaged("INSERT INTO migrations (log, number, name, sha256) VALUES (0, 2, 'later', 'ff')", ()).await.unwrap();
    let before = state(&options).await;
    let newer = format!("the keyspace {keyspace} has migration 2 (later), this program knows 1: use the newer program");
    assert_eq!((refused(&options).await, state(&options).await), (newer, before));
    session.query_unpaged("DELETE FROM migrations WHERE log = 0 AND number = 2", ()).await.unwrap();

    session.query_unpaged("UPDATE migrations SET sha256 = 'ff' WHERE log = 0 AND number = 1", ()).await.unwrap();
    let before = state(&options).await;
    let changed = refused(&options).await;
    assert!(
        changed.starts_with(&format!("migration 1 of the keyspace {keyspace} is tables with SHA-256 ff, this program's is")),
        "{changed}"
    );
    assert_eq!(state(&options).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_replication_has_to_be_accepted() {
    let Some(options) = cluster::keyspace().await else { return };
    let simple = "ALTER KEYSPACE {} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";
    cluster::session(&options).await.query_unpaged(simple.replacen("{}", &options.url.keyspace, 1), ()).await.unwrap();
    let why = refused(&options).await;
    assert!(why.contains("recorded with the replication NetworkTopologyStrategy datacenter1:1, and now has SimpleStrategy"), "{why}");
    assert!(why.ends_with(&format!("`headcount migrate --store {} --replication COPIES`", options.url)), "{why}");
    let accepted = migrate(&options, &Plan { slots: None, replication: Some(Replication::Everywhere(1)) }).await.unwrap();
    assert_eq!((accepted.applied.len(), accepted.replication.as_str()), (0, "SimpleStrategy replication_factor:1"));
    CqlStore::connect(&options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_migrated_nothing_is_made() {
    let Some(options) = cluster::fresh() else { return };
    let keyspace = &options.url.keyspace;
    let few = migrate(&options, &Plan::default()).await.unwrap_err();
    assert_eq!(few, OpenError::FewNodes { datacenter: "datacenter1".to_owned(), nodes: 1, copies: 3 });
    let elsewhere = CqlOptions { datacenter: Some("dc9".to_owned()), ..options.clone() };
    let there = vec!["datacenter1".to_owned()];
    assert_eq!(refused(&elsewhere).await, OpenError::NoDatacenter { asked: "dc9".to_owned(), there }.to_string());
    let session = SessionBuilder::new().known_node_addr(cluster::node()).build().await.unwrap();
    let made = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    assert_eq!(session.query_unpaged(made, (keyspace,)).await.unwrap().into_rows_result().unwrap().rows_num(), 0);

    let replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";
    session.query_unpaged(format!("CREATE KEYSPACE {keyspace} WITH replication = {replication}"), ()).await.unwrap();
    session.query_unpaged(format!("CREATE TABLE {keyspace}.shoes (size int PRIMARY KEY)"), ()).await.unwrap();
    assert_eq!(
        refused(&options).await,
        format!("the keyspace {keyspace} is not Headcount's: it holds the table shoes. Name another keyspace")
    );

    let nowhere = CqlOptions::new(format!("cql://127.0.0.1:1/{keyspace}").parse().unwrap());
    assert!(refused(&nowhere).await.starts_with(&format!("no node of cql://127.0.0.1:1/{keyspace} answers")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_migration_left_is_finished_by_the_next() {
    let Some(options) = cluster::keyspace().await else { return };
    let session = cluster::session(&options).await;
    // As if it had been killed amid its statements, a moment before its place falls free.
    for text in [
        "DELETE FROM migrations WHERE log = 0 AND number = 1",
        "DROP TABLE quarantine",
        "UPDATE migrations USING TTL 2 SET holder = uuid() WHERE log = 0 IF holder = null",
    ] {
        session.query_unpaged(text, ()).await.unwrap();
    }
    let why = CqlStore::connect(&options).await.unwrap_err();
    assert!(matches!(why, OpenError::NotMigrated { missing: 1, known: 1, .. }), "{why}");
    assert_eq!(migrate(&options, &Plan::default()).await.unwrap().applied, ["0001_tables"]);
    CqlStore::connect(&options).await.unwrap();
}
