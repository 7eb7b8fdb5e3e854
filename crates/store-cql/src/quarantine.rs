//! Quarantined input, by source: buckets of offsets, so that no partition grows without end, and a directory of them.

use std::collections::BTreeSet;

use futures_util::stream::TryStreamExt;
use scylla::value::{CqlTimestamp, MaybeUnset};
use store::{Quarantined, Reason, Source, StoreError};

use crate::CqlStore;
use crate::read::cql_limit;
use crate::session::{all_of, first_of};
use crate::value::{corrupt, instant, timestamp};

/// How many offsets share a bucket.
const BUCKET_OFFSETS: i64 = 1 << 16;
/// How many buckets are read ahead.
const BUCKETS_AHEAD: usize = 8;
/// How many rows are written at once: they can be large.
const AT_ONCE: usize = 32;

/// Topic, partition and bucket: a partition of the table, and a row of the directory.
type Bucket = (String, i32, i64);

type QuarantinedColumns = (i64, i64, String, String, Option<String>, CqlTimestamp, Vec<u8>, Option<CqlTimestamp>);

fn bucket(source: &Source) -> Bucket {
    (source.topic.clone(), source.partition, source.offset.div_euclid(BUCKET_OFFSETS))
}

/// Rows carry the time they were received: the same input again writes the same cells, and of two replay marks, which
/// are never taken back, the later wins as the larger of equal stamps.
fn stamp_us(one: &Quarantined) -> i64 {
    one.received_at.ms() * 1000
}

fn present<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(MaybeUnset::Unset, MaybeUnset::Set)
}

impl CqlStore {
    /// Writes the directory first, so that no row is ever out of reach.
    pub(crate) async fn write_quarantine(&self, all: &[Quarantined]) -> Result<(), StoreError> {
        let buckets: BTreeSet<(Bucket, i64)> = all.iter().map(|one| (bucket(&one.source), stamp_us(one))).collect();
        let rows = buckets.into_iter().map(|((topic, partition, bucket), stamp_us)| (topic, partition, bucket, stamp_us));
        self.write_rows(&self.statements.put_bucket, rows.collect(), |_| ()).await?;
        all_of(all.iter().map(|one| self.write_quarantined(one)).collect(), AT_ONCE).await.map(drop)
    }

    async fn write_quarantined(&self, one: &Quarantined) -> Result<(), StoreError> {
        let (topic, partition, bucket) = bucket(&one.source);
        let item = i64::from(one.source.index);
        let dpu = present(one.dpu.as_ref().map(|dpu| dpu.as_str()));
        let (received_at, replayed_at) = (timestamp(one.received_at), present(one.replayed_at.map(timestamp)));
        let place = (topic, partition, bucket, one.source.offset, item);
        let values = (
            place.0,
            place.1,
            place.2,
            place.3,
            place.4,
            one.reason.name(),
            &one.detail,
            dpu,
            received_at,
            &one.payload,
            replayed_at,
            stamp_us(one),
        );
        self.db.write(&self.statements.put_quarantined, values).await
    }

    pub(crate) async fn read_quarantined(&self, after: Option<&Source>, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let first = after.map_or((String::new(), i32::MIN, i64::MIN), bucket);
        let buckets = self.db.rows::<Bucket>(&self.statements.buckets, &first).await?;
        let rows = buckets.map_ok(|bucket| {
            let after = after.filter(|_| bucket == first).map_or((i64::MIN, -1), |source| (source.offset, i64::from(source.index)));
            self.read_bucket(bucket, after, limit)
        });
        first_of(rows.try_buffered(BUCKETS_AHEAD), limit).await
    }

    async fn read_bucket(&self, bucket: Bucket, after: (i64, i64), limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let (topic, partition, number) = bucket;
        let asked = (&topic, partition, number, after.0, after.1, cql_limit(limit));
        let rows: Vec<QuarantinedColumns> = self.db.all(&self.statements.quarantined, asked).await?;
        rows.into_iter().map(|row| quarantined(&topic, partition, row)).collect()
    }
}

fn quarantined(topic: &str, partition: i32, row: QuarantinedColumns) -> Result<Quarantined, StoreError> {
    let (offset, item, reason, detail, dpu, received_at, payload, replayed_at) = row;
    let index = item.try_into().map_err(corrupt)?;
    let known = Reason::ALL.into_iter().find(|known| known.name() == reason);
    Ok(Quarantined {
        source: Source { topic: topic.to_owned(), partition, offset, index },
        reason: known.ok_or_else(|| corrupt(format!("there is no quarantine reason {reason:?}")))?,
        detail,
        dpu: dpu.map(|dpu| dpu.parse().map_err(corrupt)).transpose()?,
        received_at: instant(received_at)?,
        payload,
        replayed_at: replayed_at.map(instant).transpose()?,
    })
}
