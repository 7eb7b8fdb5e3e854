//! `make simulate`: runs seeds of the simulation until one is wrong, or one seed with its trace.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

/// Runs ingest and store under seeded faults and checks what is stored.
#[derive(Debug, Parser)]
#[command(name = "simulate-protocol", max_term_width = 100)]
struct Args {
    /// Run this seed alone, and show all that happens
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run; without end when absent
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

fn main() -> std::io::Result<ExitCode> {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        let outcome = simulation::run(seed, None)?;
        print!("{}", outcome.trace);
        println!("{}", if outcome.wrong.is_empty() { "nothing is wrong" } else { "see WRONG above" });
        return Ok(if outcome.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let begun = Instant::now();
    let end = args.seeds.map_or(u64::MAX, |seeds| args.from.saturating_add(seeds));
    for seed in args.from..end {
        let outcome = simulation::run(seed, None)?;
        if !outcome.wrong.is_empty() {
            println!("seed {seed} is wrong: {:#?}\nsee all that happens with `make simulate SEED={seed}`", outcome.wrong);
            return Ok(ExitCode::FAILURE);
        }
        let done = seed - args.from + 1;
        if done.is_multiple_of(1_000) || seed + 1 == end {
            println!("{done} seeds in {:.0} s, nothing is wrong", begun.elapsed().as_secs_f64());
        }
    }
    Ok(ExitCode::SUCCESS)
}
