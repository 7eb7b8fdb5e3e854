//! However much is in quarantine, little of it is in memory at once.

use std::sync::Arc;

use query::{Quarantined, Query, QueryError, Reason, Source};
use store::{Commit, Ledgers};

use crate::hooked::Hooked;
use crate::support::{NOW, at, query};

/// What a page holds at most, unless it is one row.
const MOST_BYTES: usize = 8 << 20;

fn row(offset: i64, bytes: usize) -> Quarantined {
    Quarantined {
        source: Source { topic: "http".to_owned(), partition: 0, offset, index: Source::WHOLE },
        reason: if offset % 2 == 0 { Reason::Undecodable } else { Reason::ClockUnset },
        detail: "bad".to_owned(),
        dpu: None,
        received_at: at(NOW),
        payload: vec![b'x'; bytes],
        replayed_at: None,
    }
}

/// A quarantine of rows of these sizes, from offset 0 on.
async fn holding(sizes: &[usize]) -> (Arc<Hooked>, Query) {
    let store = Arc::new(Hooked::default());
    let rows = (0..).zip(sizes).map(|(offset, bytes)| row(offset, *bytes)).collect();
    store.commit(Arc::new(Commit { ledgers: Vec::new(), quarantine: rows })).await.unwrap();
    let query = query(&store, at(NOW));
    (store, query)
}

/// The offsets of each page, asked for as large as can be.
async fn pages(query: &Query, reason: Option<Reason>) -> Vec<Vec<i64>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = query.quarantined(reason, after.as_ref(), Query::QUARANTINE_MOST).await.unwrap();
        let bytes: usize = page.items.iter().map(|row| row.payload.len()).sum();
        assert!(page.items.len() < 2 || bytes <= MOST_BYTES, "a page of {bytes} bytes");
        pages.push(page.items.iter().map(|row| row.source.offset).collect());
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn pages_of_large_rows_are_short_and_leave_nothing_out() {
    let large = 1_000_000;
    let mut sizes = vec![large; 30];
    // Two that fill a page each: exactly, and more than it.
    sizes.extend([MOST_BYTES - 3, MOST_BYTES + 1, 10, 10]);
    let (store, query) = holding(&sizes).await;
    let found = pages(&query, None).await;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 6, 1, 1, 2]);
    assert_eq!(found.concat(), (0..34).collect::<Vec<_>>());
    let of_reason = pages(&query, Some(Reason::ClockUnset)).await;
    assert_eq!(of_reason.concat(), (1..34).step_by(2).collect::<Vec<_>>());
    assert!(store.quarantined_at_once() <= 16, "{} rows at once", store.quarantined_at_once());
}

#[tokio::test]
async fn a_census_reads_little_at_once_and_says_where_it_ends() {
    let (store, query) = holding(&[1_000_000; 30]).await;
    let census = query.census().await.unwrap();
    assert_eq!((census.quarantine[&Reason::Undecodable], census.quarantine[&Reason::ClockUnset], census.more), (15, 15, false));
    assert!(store.quarantined_at_once() <= 16, "{} rows at once", store.quarantined_at_once());
    let census = holding(&[MOST_BYTES / 2; 21]).await.1.census().await.unwrap();
    assert_eq!((census.quarantine[&Reason::Undecodable], census.quarantine[&Reason::ClockUnset], census.more), (10, 10, true));
}

#[tokio::test]
async fn rows_are_named_together_up_to_a_sum() {
    let (_, query) = holding(&[4_000_000, 4_000_000, 4_000_000, 9_000_000]).await;
    let named = async |offsets: &[i64]| {
        let sources: Vec<Source> = offsets.iter().map(|offset| row(*offset, 0).source).collect();
        query.quarantined_at(&sources).await.map(|rows| rows.len())
    };
    assert_eq!(named(&[0, 1]).await, Ok(2));
    assert_eq!(named(&[0; 1000]).await, Ok(1));
    assert_eq!(named(&[3]).await, Ok(1));
    for many in [&[0, 1, 2][..], &[0, 3]] {
        assert_eq!(named(many).await, Err(QueryError::RowsTooLarge { most_bytes: MOST_BYTES }), "{many:?}");
    }
}
