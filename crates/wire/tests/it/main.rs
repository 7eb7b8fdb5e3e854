//! What crosses the edges, tested from outside.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod change;
mod document;
mod edit;
mod golden;
mod report;
mod strategy;
