//! Tells the tests where this build has its librdkafka: they compile the firmware in C against it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(root) = std::env::var("DEP_RDKAFKA_ROOT") {
        println!("cargo::rustc-env=LIBRDKAFKA_ROOT={root}");
    }
}
