//! The domain of Headcount: which crossings a DPU reported, what they add up to, and how many people that makes.
//!
//! Pure: no I/O, no clock, no async, no serde. Time is always an argument; the edges convert with `TryFrom`.
//!
//! # The one idea
//!
//! A ledger is a *set* of crossings; a crossing's fields are its identity; everything else is a running total that
//! can be recomputed. A count is therefore a pure function of the set of accepted crossings, the edits and the
//! instant: arrival order, duplication, delay and crashes cannot change it.

pub mod baseline;
pub mod bucket;
pub mod conservation;
pub mod count;
pub mod crossing;
pub mod edit;
pub mod few;
pub mod flip;
pub mod id;
pub mod installation;
pub mod ledger;
pub mod time;
pub mod topology;
pub mod world;
