//! The store on a real Apache Cassandra, started once for all tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cluster;
mod suite;
