//! What crossings take on disk, journals aside: those that are not sealed yet, and those that are.
//!
//! A DPU's last crossings, at most 31, stand beside its counters; from 32 on, or when the day is over, they are sealed into a
//! segment. What is in memory and in journals only is written out before anything is weighed.

use std::path::Path;

use anyhow::{Result, ensure};
use fjall::{Database, KeyspaceCreateOptions};

use crate::args::Plan;
use crate::client::post_all;
use crate::figure::{Aim, Figure};
use crate::fleet::Fleet;
use crate::ingest::spread_bodies;
use crate::served::{Program, Served, disk_bytes};

/// Crossings of each DPU: half of what a segment begins with.
const UNSEALED: usize = 16;
/// The tables that grow with crossings, the first with sealed ones only.
const TABLES: [&str; 3] = ["crossings", "days", "counters"];

/// Many DPUs whose crossings all stand beside their counters.
pub(crate) async fn unsealed(program: &Program, plan: &Plan) -> Result<Vec<Figure>> {
    let fleet = Fleet::new(plan.reporting_dpus, UNSEALED);
    println!("disk of {} crossings that are not sealed yet", fleet.crossings());
    let folder = program.folder()?;
    let served = Served::over(program, folder.path())?;
    post_all(served.address, spread_bodies(&fleet, plan.connections)?).await?;
    let full = disk_bytes(folder.path())?;
    served.hang(&fleet).await?;
    served.check(&fleet).await?;
    served.stop()?;
    let [sealed, days, counters] = tables_bytes(folder.path())?;
    ensure!(sealed == 0, "of {} crossings that should not be sealed, some are: {sealed} bytes", fleet.crossings());
    let per_crossing = |bytes: u64| bytes as f64 / fleet.crossings() as f64;
    let name = format!("disk, not sealed yet: {UNSEALED} crossings of each of {} DPUs, journals aside", fleet.dpus);
    let figure = Figure::new(name, per_crossing(days + counters), "bytes/crossing");
    Ok(vec![figure.beside("with journals of up to 64 MiB", per_crossing(full)).aim(Aim::AtMost(40.0))])
}

/// The store in a folder that nobody serves, nearly all of whose crossings are sealed.
pub(crate) fn sealed(folder: &Path, crossings: usize, with_journals: f64) -> Result<Figure> {
    let bytes: u64 = tables_bytes(folder)?.iter().sum();
    let figure = Figure::new("disk, sealed, journals aside", bytes as f64 / crossings as f64, "bytes/crossing");
    Ok(figure.beside("with journals of up to 64 MiB", with_journals).aim(Aim::AtMost(4.0)))
}

/// What each of [`TABLES`] takes on disk, once what is in its memtable is there too.
fn tables_bytes(folder: &Path) -> Result<[u64; TABLES.len()]> {
    let db = Database::builder(folder.join("db")).open()?;
    let mut bytes = [0; TABLES.len()];
    for (name, bytes) in TABLES.into_iter().zip(&mut bytes) {
        ensure!(db.keyspace_exists(name), "the store has no table {name}");
        let table = db.keyspace(name, KeyspaceCreateOptions::default)?;
        table.rotate_memtable_and_wait()?;
        *bytes = table.disk_space();
    }
    Ok(bytes)
}
