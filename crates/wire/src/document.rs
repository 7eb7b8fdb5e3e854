//! Topology documents as JSON and TOML.
