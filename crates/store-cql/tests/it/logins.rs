//! A cluster that asks for a login.

use engines::{Cassandra, CassandraOptions};
use store::Edits;
use store_cql::{CqlOptions, CqlStore, migrate};

use crate::cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_asks_for_a_login_gets_one() {
    let secured = [("authenticator", "PasswordAuthenticator"), ("authorizer", "CassandraAuthorizer")];
    let settings = secured.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let Some(cassandra) = engines::or_skip(Cassandra::start(&CassandraOptions { nodes: 1, settings })).unwrap() else { return };
    let url = format!("cql://{}/secured", cassandra.contact_points()[0]).parse().unwrap();
    let nobody = CqlOptions::new(url);
    let login = |user: &str, password: &str| CqlOptions { login: Some((user.to_owned(), password.to_owned())), ..nobody.clone() };
    for options in [&nobody, &login("cassandra", "wrong")] {
        let why = migrate(options, &cluster::plan()).await.unwrap_err().to_string();
        assert!(why.starts_with("no node of cql://") && why.contains("uthentication"), "{why}");
    }
    let operator = login("cassandra", "cassandra");
    // The first user is made a moment after the node is ready.
    let begun = std::time::Instant::now();
    while let Err(error) = migrate(&operator, &cluster::plan()).await {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(CqlStore::connect(&operator).await.unwrap().since(0).await, Ok(vec![]));
}
