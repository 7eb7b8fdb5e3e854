//! What a fleet of DPUs needs: machines, partitions, disk, memory, money; from figures that were measured.
//!
//! Pure: no I/O, no clock. [`load`] is what is asked for, [`measured`] what is known, [`cluster`] and [`embedded`] the
//! arithmetic, [`plan`] its outcome, [`text`] that for people.
//!
//! # How it counts
//!
//! Speeds come as processor time: what a crossing took of the cores that were measured, times the crossings to come, over
//! the share of the cores that is to be used. Two loads were measured on a cluster, and both are held to:
//!
//! - *promptly*: a steady trickle, each crossing in statements of its own, seen in a count a moment later. The mean load is
//!   to be carried so, and the peak too where that is asked for.
//! - *at the peak*: a backlog, where statements gather many rows and each crossing takes a fraction of that. What is carried
//!   so does not fall behind, but a count shows a crossing later; how much later was not measured.
//!
//! Where something was not measured apart, all is counted for the part in question: a plan errs towards more.

mod cluster;
mod embedded;
pub mod load;
pub mod measured;
mod network;
pub mod plan;
pub mod text;

use load::{Load, Sizes, Sizing, StoreKind};
use measured::{Cluster, Embedded, Measured, Watching};
use plan::Plan;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CapacityError {
    /// A number nobody can mean.
    #[error("{what} must be from {least} to {most}, not {found}")]
    OutOfRange {
        /// The flag.
        what: &'static str,
        /// The least it may be.
        least: f64,
        /// The most it may be.
        most: f64,
        /// What it is.
        found: f64,
    },
    /// A figure that no file has.
    #[error("no file of figures has {id:?} ({what}): measure it with `{command}`")]
    Missing {
        /// What it is found by.
        id: &'static str,
        /// What it is.
        what: &'static str,
        /// What measures it.
        command: &'static str,
    },
    /// A figure nothing can have been measured as.
    #[error("the figure {id:?} is {found}, which cannot have been measured: measure it again with `{command}`")]
    Impossible {
        /// What it is found by.
        id: &'static str,
        /// What it is.
        found: f64,
        /// What measures it.
        command: &'static str,
    },
    /// The parts of a cluster's figures do not go together.
    #[error("the figures of the cluster do not go together: {0}; measure them again with `{command}`", command = measured::ON_ENGINES)]
    Apart(&'static str),
}

/// Plans for a load.
///
/// # Errors
/// Numbers nobody can mean, and figures that are missing or cannot be.
pub fn plan(load: &Load, sizing: &Sizing, sizes: &Sizes, measured: &Measured) -> Result<Plan, CapacityError> {
    load.check()?;
    sizing.check()?;
    let watching = if load.watchers > 0 { Some(Watching::of(measured)?) } else { None };
    let basis = measured.basis(sizing.store, load.watchers > 0)?;
    Ok(match sizing.store {
        StoreKind::Cql => cluster::plan(load, sizing, sizes, &Cluster::of(measured)?, watching, basis),
        StoreKind::Embedded => embedded::plan(load, sizing, sizes, &Embedded::of(measured)?, watching, basis),
    })
}
