//! Compiles `schemas/` to Rust, without a protoc.

use std::error::Error;

const SCHEMAS: &str = "../../schemas";
const FILES: [&str; 2] = ["headcount/v1/change.proto", "headcount/v1/report.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={SCHEMAS}/{file}");
    }
    prost_build::Config::new().compile_fds(protox::compile(FILES, [SCHEMAS])?)?;
    Ok(())
}
