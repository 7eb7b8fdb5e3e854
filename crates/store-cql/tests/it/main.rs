//! The store on a real Apache Cassandra, started once for all tests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests may fail loudly")]

mod cluster;
mod edits;
mod faults;
mod ledgers;
mod logins;
mod migrations;
mod suite;
mod tls;
