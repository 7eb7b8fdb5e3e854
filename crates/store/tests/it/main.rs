//! The stores, tested from outside.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests may fail loudly")]

mod copy;
mod embedded;
mod faults;
#[cfg(test)]
mod kept;
mod owners;
#[cfg(test)]
mod segments;
mod suite;
