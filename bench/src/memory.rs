//! Memory, with many DPUs.

use anyhow::Result;

use crate::args::Plan;
use crate::client::post_all;
use crate::figure::{Aim, Figure};
use crate::fleet::Fleet;
use crate::ingest::spread_bodies;
use crate::served::{Program, Served};

/// The resident set before and after every DPU has reported a crossing.
pub(crate) async fn reported(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    println!("memory");
    let fleet = Fleet::new(plan.reporting_dpus, 1);
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    let idle_mb = served.resident_mb()?;
    post_all(served.address, spread_bodies(&fleet, plan.connections)?).await?;
    let reported_mb = served.resident_mb()?;
    served.hang(&fleet).await?;
    let hung_mb = served.resident_mb()?;
    served.check(&fleet).await?;
    served.stop()?;
    let dpus = fleet.dpus;
    Ok(vec![
        Figure::new("memory, idle", idle_mb, "MB").id("idle_memory"),
        Figure::new(format!("memory over idle, {dpus} DPUs reported"), reported_mb - idle_mb, "MB").aim(Aim::AtMost(60.0)),
        Figure::new(format!("memory over idle, {dpus} DPUs reported and hung over {dpus} doorways"), hung_mb - idle_mb, "MB")
            .id("hung_memory"),
    ])
}
