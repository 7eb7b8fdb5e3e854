//! A simulated campus with its people and DPUs, what can go wrong with them, and readers for recorded counts to replay.
//!
//! Pure and seeded: no clock, no I/O but the reader handed in, and one seed gives the same bytes every time.
//!
//! ```text
//! Campus (what is built) -> People (who walks) -> Fleet (what DPUs report) -> Faults (what arrives, and when)
//! ```
//!
//! [`People`] knows where everybody is, apart from any crossing: the truth that counts are compared with.

pub mod campus;
pub mod faults;
mod hang;
pub mod pace;
pub mod people;
pub mod replay;
mod rng;
pub mod uplink;

pub use campus::{Blueprint, Campus};
pub use faults::{Faults, Mix, Sent};
pub use pace::Pace;
pub use people::People;
pub use uplink::{Fleet, Timing};
