//! Whatever goes wrong at the provider, on the way, at the outlet and in the puller: in the end the ledger holds what the
//! provider has. A seed draws what goes wrong; a failure prints it, and HEADCOUNT_SEED repeats it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::provider::{Ledger, QUICK, at, json as answer, parameter, provider, puller};

const ITEMS: usize = 400;
const NOW: &str = "2026-01-01T00:00:00Z";

/// A small seeded generator, shared: splitmix64.
#[derive(Clone)]
struct Seeded(Arc<AtomicU64>);

impl Seeded {
    fn below(&self, n: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Every eleventh item is nothing that can be read; of three at one instant two are told apart by their numbers alone.
fn item(i: usize) -> Value {
    if i.is_multiple_of(11) {
        return json!({"id": i, "oops": true});
    }
    json!({"id": i, "d": format!("d{}", i % 4), "t": 1_700_000_000_000_u64 + (i / 12) as u64, "w": if i.is_multiple_of(3) { -1 } else { 1 }})
}

/// Ten items from a cursor on; now and then some before it again, or some twice.
fn page(from: usize, random: &Seeded) -> Value {
    let back = usize::try_from(random.below(12)).unwrap().saturating_sub(8);
    let to = ITEMS.min(from + 10);
    let mut items: Vec<Value> = (from.saturating_sub(back)..to).map(item).collect();
    if random.below(5) == 0 {
        items.extend(items.clone());
    }
    json!({"data": items, "next": to})
}

/// A page, or something else.
fn faulty(query: &str, random: &Seeded) -> Response {
    let page = page(parameter(query, "c").parse().unwrap(), random);
    let text = page.to_string();
    let half = text[..text.len() / 2].to_owned();
    match random.below(20) {
        0 => answer(500, &page),
        1 => answer(503, &json!({"data": [], "next": 400})),
        2 => {
            let mut busy = answer(429, &json!({}));
            busy.headers_mut().insert(header::RETRY_AFTER, "0".parse().unwrap());
            busy
        }
        3 => Body::from_stream(stream::iter([Ok(half), Err(io::Error::other("cut off"))])).into_response(),
        4 => half.into_response(),
        5 => "<html>Bad gateway</html>".into_response(),
        6 => json!({"error": "try later"}).to_string().into_response(),
        7 => Body::from_stream(stream::iter([Ok::<_, Infallible>(half)]).chain(stream::pending())).into_response(),
        _ => text.into_response(),
    }
}

/// Lets a future run for so many polls, then drops it.
async fn polled<F: Future>(future: F, mut polls: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

async fn run(seed: u64) {
    let random = Seeded(Arc::new(AtomicU64::new(seed)));
    let (at_provider, at_outlet) = (random.clone(), random.clone());
    let provided = provider(move |query, _| faulty(query, &at_provider)).await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger { fails: Arc::new(move || at_outlet.below(10) == 0), arrived: Arc::<Mutex<_>>::default() };
    let table = "[crossings]\ndpu_id = \"/d\"\nat = \"/t\"\ntime = \"unix_ms\"\ndirection = \"/w\"\nseq = \"/id\"\n";
    let config = format!(
        "name = \"a\"\nurl = \"{}/?c={{cursor}}\"\nstart_cursor = \"0\"\n[page]\nitems = \"/data\"\nnext = \"/next\"\n{table}{}",
        provided.url,
        QUICK.replace("timeout_ms = 2000", "timeout_ms = 100")
    );
    let (mut restarts, mut drops) = (0, 0);
    let round = loop {
        let mut puller = puller(&config, folder.path(), &ledger, &at(NOW));
        let done = loop {
            // From time to time it is left in peace, or it might never get to the end.
            let polls = if random.below(40) == 0 { u64::MAX } else { 1 + random.below(20) };
            match polled(puller.round(true), polls).await {
                Some(round) => break Some(round.unwrap()),
                None if random.below(2) == 0 => break None,
                None => drops += 1,
            }
        };
        if let Some(round) = done {
            break round;
        }
        restarts += 1;
    };
    assert!(!round.cut_short);
    let arrived = ledger.arrived.lock().unwrap();
    let found: Vec<(String, i64, u64, i64)> =
        arrived.crossings.iter().map(|one| (one.dpu.to_string(), one.key.at.ms(), one.key.seq, one.key.direction.sign())).collect();
    let good = (0..ITEMS).map(item).filter(|item| item.get("oops").is_none());
    let mut expected: Vec<(String, i64, u64, i64)> = good
        .map(|item| {
            (item["d"].as_str().unwrap().to_owned(), item["t"].as_i64().unwrap(), item["id"].as_u64().unwrap(), item["w"].as_i64().unwrap())
        })
        .collect();
    expected.sort();
    let mut found = found;
    found.sort();
    assert_eq!(found, expected);
    let rejected: usize = arrived.rejected.values().sum();
    assert!(rejected >= (0..ITEMS).filter(|i| i.is_multiple_of(11)).count(), "only {rejected} were rejected");
    println!(
        "seed {seed}: {restarts} restarts, {drops} drops, {} crossings sent for {}, {rejected} rejections",
        arrived.sent,
        expected.len()
    );
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_counts_twice() {
    let given = std::env::var("HEADCOUNT_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in given.map_or(1..=8, |seed| seed..=seed) {
        println!("HEADCOUNT_SEED={seed}");
        run(seed).await;
    }
}
