//! What Headcount takes in, answers and needs, measured on the program itself, with its client on the same machine.
//!
//! Every count it reads is compared with ground truth: a wrong one ends the run with exit status 1.

mod args;
mod asked;
mod bare;
mod bare_served;
mod client;
mod cql;
mod crowd;
mod disk;
mod engines;
mod figure;
mod fleet;
mod growth;
mod ingest;
mod kafka;
mod machine;
mod memory;
mod mixed;
mod now;
mod rate;
mod reads;
mod served;
mod watchers;
mod weighed;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::args::{Args, Part, Plan};
use crate::bare_served::BareServed;
use crate::figure::{Figure, print, to_json};
use crate::growth::Step;
use crate::served::Program;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headcount-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if let Some(what) = &args.bare_http {
        return BareServed::alone(what);
    }
    let plan = Plan::of(args);
    let program = Program::find(args)?;
    let mut machine = machine::describe(&program)?;
    // One thread: the client is to cost the server little of the two or more cores they share. The bare driver that is
    // compared with a consumer on engines has as many threads as that.
    let on_engines = args.kafka.is_some();
    let mut runtime = if on_engines { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = runtime.enable_all().build()?;
    if let Some(store) = &args.store {
        machine = machine.against(runtime.block_on(machine::engines(store))?);
    }
    println!("{}\n{}\n", machine.text(), plan.text());
    let write = |all: Value| match &args.json {
        Some(file) => std::fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display())),
        None => Ok(()),
    };
    if args.growth {
        let mut steps = Vec::new();
        for plan in growth::plans(plan) {
            println!("{}", plan.text());
            steps.push(Step::new(plan, runtime.block_on(measure(&program, args, &plan))?));
        }
        println!();
        growth::print(&steps)?;
        write(json!({ "machine": machine.to_json(), "sizes": growth::as_json(&steps) }))?;
    } else {
        let figures = runtime.block_on(measure(&program, args, &plan))?;
        println!();
        print(&figures);
        write(json!({ "machine": machine.to_json(), "settings": plan.to_json(), "figures": to_json(&figures) }))?;
    }
    println!("\nEvery count was compared with ground truth: all are right.");
    Ok(())
}

/// Everything that is asked for, in the order of the parts.
async fn measure(program: &Program, args: &Args, plan: &Plan) -> Result<Vec<Figure>> {
    if args.kafka.is_some() {
        return engines::measure(program, args, plan).await;
    }
    let mut figures = Vec::new();
    if args.wants(Part::Singles) {
        figures.extend(ingest::singles(program, plan).await?);
    }
    if args.wants(Part::Spread) {
        figures.extend(ingest::many_dpus(program, plan).await?);
    }
    if args.wants(Part::Memory) {
        figures.extend(memory::reported(program, plan).await?);
    }
    if args.wants(Part::Disk) {
        figures.extend(disk::unsealed(program, plan).await?);
    }
    if args.wants(Part::Watchers) {
        figures.extend(watchers::told(program, plan).await?);
    }
    if args.wants(Part::Now) {
        figures.extend(now::measured(program, plan).await?);
    }
    if args.wants(Part::Mixed) {
        figures.extend(mixed::measured(program, plan).await?);
    }
    if args.wants(Part::Reads) {
        figures.extend(reads::at_both_sizes(program, plan).await?);
    }
    Ok(figures)
}
