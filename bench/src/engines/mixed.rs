//! Everything at once: a steady load from Kafka, people who enter halls among it, and counts of now, yesterday and any
//! instant beside it.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::Engines;
use super::load::{LIGHT_PER_S, Load, PER_S, Taken, WARM_S};
use super::row::Row;
use crate::args::Plan;
use crate::asked::{Asked, DPUS, KINDS};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{Fleet, mix};
use crate::rate::Rate;

/// How many of the crossings a second are of people who enter halls.
const ENTER_PER_S: usize = 100;
/// Counts a second of each kind, and bare rows: processors are shared with both engines.
const EACH_PER_S: usize = 50;
/// Rows on their way at once: as many as never wait for each other.
const OPEN: usize = 50;

/// What is asked, and the limit.
struct Mixed<'a> {
    load: Load<'a>,
    asked: Asked,
    row: Row<'a>,
    /// How much history there is.
    span_ms: i64,
}

/// What a load took, and how long counts of each kind and bare rows took beside it.
struct Answered {
    taken: Taken,
    counts: [Latencies; 3],
    rows: Latencies,
}

pub(super) async fn measured(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let (for_s, counts) = (plan.mixed_s, EACH_PER_S * KINDS.len());
    println!("{LIGHT_PER_S}, then {PER_S} crossings, and {counts} counts a second for {for_s} s each");
    let load = Load::start(engines, "mixed", plan.reporting_dpus).await?;
    let fleet = Fleet::new(DPUS, plan.large / 10 / DPUS);
    load.take_in(&fleet).await?;
    let row = Row::of(engines, &load.path.keyspace, &fleet).await?;
    let asked = Asked::of(&load.served, Fleet::new(DPUS, fleet.per_dpu)).await?;
    let mixed = Mixed { load, asked, row, span_ms: fleet.span_ms() };
    let mut light = mixed.answered(0, LIGHT_PER_S, for_s).await?;
    let mut full = mixed.answered(ENTER_PER_S * (WARM_S + for_s), PER_S, for_s).await?;
    mixed.load.check().await?;
    mixed.asked.check(&mixed.load.served).await?;
    let a_quarter = format!("at {LIGHT_PER_S} a second");
    let aim = Aim::AtLeast(PER_S as f64 * 0.98);
    let mut figures =
        vec![Figure::new(format!("mixed: crossings taken in, {counts} counts beside them"), full.taken.per_s, "crossings/s").aim(aim)];
    for (per_s, answered) in [(LIGHT_PER_S, &mut light), (PER_S, &mut full)] {
        figures.extend(answered.figures(per_s));
    }
    figures.extend(full.taken.figures("mixed", Some((&a_quarter, &light.taken))));
    mixed.load.stop()?;
    Ok(figures)
}

impl Mixed<'_> {
    /// The load with people among it, `before` having entered, and counts and rows as long as it goes on.
    async fn answered(&self, before: usize, per_s: usize, for_s: usize) -> Result<Answered> {
        let from = Load::soon();
        let begun = from - Duration::from_secs(WARM_S as u64);
        let rate = Rate { start: begun, per_s: ENTER_PER_S as f64 };
        let enter = rate.each(ENTER_PER_S * (WARM_S + for_s), |i| {
            let (_, dpu, seen) = self.asked.enter(before + i)?;
            self.load.send(&dpu, seen)
        });
        let asked = async {
            self.ask(begun, WARM_S).await?;
            self.ask(from, for_s).await
        };
        let (taken, (), (counts, rows)) = tokio::try_join!(self.load.run(from, per_s, ENTER_PER_S, for_s), enter, asked)?;
        Ok(Answered { taken, counts, rows })
    }

    /// Counts of each kind, and rows, all from a moment on.
    async fn ask(&self, start: Instant, for_s: usize) -> Result<([Latencies; 3], Latencies)> {
        let rate = Rate { start, per_s: EACH_PER_S as f64 };
        let read = async |(): &mut (), i| {
            let random = mix(i as u64);
            let after_ms = (random % self.span_ms.unsigned_abs()).cast_signed();
            self.row.read((random >> 40) as usize % DPUS, after_ms).await
        };
        let rows = rate.ask(EACH_PER_S * for_s, OPEN, async || Ok(()), read);
        tokio::try_join!(self.asked.counts(start, EACH_PER_S, for_s), rows)
    }
}

impl Answered {
    /// Of each kind, beside the limit, which counts of now need not keep to: they ask for no row.
    fn figures(&mut self, per_s: usize) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (what, each) in KINDS.into_iter().zip(&mut self.counts) {
            for percent in [50, 99] {
                let name = format!("mixed: {what}, beside {per_s} crossings a second, p{percent}");
                let figure = Figure::new(name, each.percentile_ms(percent), "ms");
                figures.push(figure.beside("one row by the bare driver, at the same time", self.rows.percentile_ms(percent)));
            }
        }
        figures
    }
}
