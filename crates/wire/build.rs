//! Compiles `schemas/` to Rust, without a protoc.

use std::error::Error;

const SCHEMAS: &str = "../../schemas";
const REPORT: &str = "headcount/v1/report.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SCHEMAS}/{REPORT}");
    prost_build::Config::new().compile_fds(protox::compile([REPORT], [SCHEMAS])?)?;
    Ok(())
}
