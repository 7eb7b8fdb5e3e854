//! What Headcount takes in, answers and needs, measured on the program itself, with its client on the same machine.
//!
//! Every count it reads is compared with ground truth: a wrong one ends the run with exit status 1.

mod args;
mod bare;
mod client;
mod figure;
mod fleet;
mod ingest;
mod machine;
mod memory;
mod reads;
mod served;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;

use crate::args::{Args, Plan};
use crate::figure::{Figure, print, to_json};
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
    let plan = Plan::of(args);
    let program = Program::find(args)?;
    let machine = machine::describe(&program)?;
    println!("{}\n{}\n", machine.text(), plan.text());
    // One thread: the client is to cost the server little of the two or more cores they share.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures: Vec<Figure> = runtime.block_on(async {
        let mut figures = ingest::singles(&program, &plan).await?;
        figures.extend(ingest::many_dpus(&program, &plan).await?);
        figures.extend(memory::reported(&program, &plan).await?);
        figures.extend(reads::at_both_sizes(&program, &plan).await?);
        Ok::<_, anyhow::Error>(figures)
    })?;
    println!();
    print(&figures);
    println!("\nEvery count was compared with ground truth: all are right.");
    if let Some(file) = &args.json {
        let all = json!({ "machine": machine.to_json(), "settings": plan.to_json(), "figures": to_json(&figures) });
        std::fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
