//! The same figures at three sizes, each ten times the one before: what grows with the data, and what does not.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::args::Plan;
use crate::figure::{Figure, judge_each, number, to_json};

/// The sizes, as parts of the largest.
const SIZES: [usize; 3] = [100, 10, 1];

/// The largest size, as a multiple of what is usually measured.
const CROSSINGS_TIMES: usize = 10;
/// The same of the backlog on engines, which goes in five times.
const BACKLOG_TIMES: usize = 3;

/// Figures at one size.
pub(crate) struct Step {
    plan: Plan,
    figures: Vec<Figure>,
}

/// The plans: crossings of the large store, of bodies and of single posts up to ten times as many as usual, of the backlog up
/// to three times; what one process has at once up to as much; rooms that are counted now, and crossings among which counts on
/// engines look, up to a hundred times as many.
pub(crate) fn plans(usual: Plan) -> [Plan; 3] {
    SIZES.map(|part| Plan {
        large: usual.large * CROSSINGS_TIMES / part,
        spread: usual.spread * CROSSINGS_TIMES / part,
        singles: usual.singles * CROSSINGS_TIMES / part,
        backlog: usual.backlog * BACKLOG_TIMES / part,
        fold: usual.fold / part,
        looked_up: usual.looked_up * SIZES[0] / part,
        walk: usual.walk / part,
        reporting_dpus: usual.reporting_dpus / part,
        watchers: usual.watchers / part,
        now_rooms: usual.now_rooms * SIZES[0] / part,
        ..usual
    })
}

impl Step {
    pub(crate) fn new(plan: Plan, figures: Vec<Figure>) -> Self {
        Self { plan, figures }
    }
}

/// Prints a curve for each figure.
///
/// # Errors
/// The sizes have other figures.
pub(crate) fn print(steps: &[Step]) -> Result<()> {
    let Some((first, last)) = steps.first().zip(steps.last()) else { return Ok(()) };
    ensure!(steps.iter().all(|step| step.figures.len() == first.figures.len()), "not every size has the same figures");
    let of = |pick: &dyn Fn(&Plan) -> usize| steps.iter().map(|step| pick(&step.plan).to_string()).collect::<Vec<_>>().join(", ");
    println!("crossings in the large store: {}", of(&|plan| plan.large));
    println!("crossings in bodies of 1,000 DPUs, and one by one: {}; {}", of(&|plan| plan.spread), of(&|plan| plan.singles));
    println!(
        "crossings of the backlog, of that into memory, looked up, of the walk: {}; {}; {}; {}",
        of(&|plan| plan.backlog),
        of(&|plan| plan.fold),
        of(&|plan| plan.looked_up),
        of(&|plan| plan.walk)
    );
    println!("DPUs that report: {}", of(&|plan| plan.reporting_dpus));
    println!("clients that watch: {}; rooms counted now: {}\n", of(&|plan| plan.watchers), of(&|plan| plan.now_rooms));
    println!("| figure, as named at the largest | 1x | 10x | 100x | 100x / 1x | aim |\n| --- | ---: | ---: | ---: | ---: | --- |");
    for (n, Figure { name, unit, .. }) in last.figures.iter().enumerate() {
        let sizes: Vec<&Figure> = steps.iter().filter_map(|step| step.figures.get(n)).collect();
        let cells = sizes.iter().map(|figure| number(figure.value)).collect::<Vec<_>>().join(" | ");
        let grown = sizes.first().zip(sizes.last()).map_or(f64::NAN, |(small, large)| large.value / small.value);
        println!("| {name}, {unit} | {cells} | {grown:.2} | {} |", judge_each(&sizes));
    }
    Ok(())
}

/// Every size's plan and figures.
pub(crate) fn as_json(steps: &[Step]) -> Vec<Value> {
    steps.iter().map(|step| json!({ "settings": step.plan.to_json(), "figures": to_json(&step.figures) })).collect()
}
