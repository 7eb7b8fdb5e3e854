//! From reports to durable ledgers: lanes own DPUs, batch their records, commit, retry and acknowledge.

mod intake;
mod item;

pub use intake::{Intake, IntakeError, QuarantinedPart, Receipt};
pub use item::{Ack, Item, Outcome};
