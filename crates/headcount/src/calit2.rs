//! The real door counts that ship with the program: 15 weeks of the CalIt2 building, 2005.

use std::io::Cursor;
use std::time::Duration;

use anyhow::Result;
use wire::Report;
use wire::document::{TopologyDocument, from_toml};

use crate::args::Format;
use crate::replay;

/// Half-hour counts of the main door; see `examples/calit2/README.md` for source and licence.
const COUNTS: &str = include_str!("../../../examples/calit2/counts.csv");
const TOPOLOGY: &str = include_str!("../../../examples/calit2/topology.toml");
/// How long each interval of the counts is.
const INTERVAL: Duration = Duration::from_secs(1_800);

/// The root of the building.
pub(crate) const ROOT: &str = "calit2";

/// Its spaces, its doorway and its DPU.
pub(crate) fn topology() -> Result<TopologyDocument> {
    Ok(from_toml(TOPOLOGY)?)
}

/// Its crossings, a report for each half hour.
pub(crate) fn reports() -> Result<Vec<Report>> {
    let lines = replay::lines(Format::Intervals, Some(INTERVAL), Box::new(Cursor::new(COUNTS)))?;
    lines.map(|line| Ok(line?.report)).collect()
}
