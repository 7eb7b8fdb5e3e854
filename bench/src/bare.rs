//! The ceiling: the same rows through the embedded database alone, with none of our code around it.

use std::time::Instant;

use anyhow::Result;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tempfile::TempDir;

use crate::figure::Latencies;
use crate::fleet::{Seen, seen};
use crate::served::Program;

/// What it took.
pub(crate) struct Bare {
    pub(crate) rows_per_s: f64,
    pub(crate) each: Latencies,
}

/// A table of rows in a database of its own, with settings like the store's.
pub(crate) struct Rows {
    db: Database,
    pub(crate) table: Keyspace,
    _folder: TempDir,
}

impl Rows {
    fn new(program: &Program, filters: &FilterPolicy) -> Result<Self> {
        let folder = program.folder()?;
        let db = Database::builder(folder.path()).max_journaling_size(64 << 20).open()?;
        let table = db.keyspace("rows", || {
            KeyspaceCreateOptions::default()
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .data_block_size_policy(BlockSizePolicy::all(8 << 10))
                .filter_policy(filters.clone())
                .max_memtable_size(32 << 20)
        })?;
        Ok(Self { db, table, _folder: folder })
    }

    /// Rows to be read: so many of each DPU.
    pub(crate) fn filled(program: &Program, dpus: usize, per_dpu: usize) -> Result<Self> {
        let rows = Self::new(program, &FilterPolicy::all(FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0))))?;
        for k in 0..per_dpu {
            let mut one = rows.db.batch();
            (0..dpus).for_each(|dpu| one.insert(&rows.table, key(dpu, k), value(k)));
            one.commit()?;
        }
        Ok(rows)
    }
}

/// Writes rows (DPU, number) with a sync to disk after every `batch` of them, one thread; nothing is read, so there are no
/// filters.
pub(crate) fn write(program: &Program, rows: impl Iterator<Item = (usize, usize)>, batch: usize) -> Result<Bare> {
    let Rows { db, table, _folder } = Rows::new(program, &FilterPolicy::disabled())?;
    let mut rows = rows.peekable();
    let (start, mut written, mut each) = (Instant::now(), 0_usize, Latencies::default());
    while rows.peek().is_some() {
        let mut one = db.batch().durability(Some(PersistMode::SyncAll));
        for (dpu, k) in rows.by_ref().take(batch) {
            one.insert(&table, key(dpu, k), value(k));
            written += 1;
        }
        let start = Instant::now();
        one.commit()?;
        each.push(start.elapsed());
    }
    Ok(Bare { rows_per_s: written as f64 / start.elapsed().as_secs_f64(), each })
}

/// As long as the store's keys are.
pub(crate) fn key(dpu: usize, k: usize) -> Vec<u8> {
    let Seen { at_ms, direction, seq } = seen(dpu, k);
    let mut key = format!("d{dpu}\0").into_bytes();
    key.extend_from_slice(&(at_ms ^ i64::MIN).to_be_bytes());
    key.push(1);
    key.extend_from_slice(&(seq as u16).to_be_bytes());
    key.push(u8::from(direction > 0));
    key
}

/// As long as the store's values are: two totals of a day, and how late it came.
fn value(k: usize) -> [u8; 10] {
    let mut value = [0; 10];
    let (totals, late) = value.split_at_mut(4);
    totals.copy_from_slice(&(k as u32).to_le_bytes());
    late.copy_from_slice(&[0x80 | (k as u8), 0xa5, 0xc3, 0x91, 0xb7, 0x21]);
    value
}
