//! ingest-kafka
