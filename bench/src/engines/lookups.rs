//! Counts of spaces with one doorway at random instants, beside one row read by the driver alone.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::row::Row;
use super::{Engines, GATHERED, SLOTS, send_gathered, until_taken_in};
use crate::args::Plan;
use crate::client::{Connection, request};
use crate::figure::{Aim, Figure, Latencies};
use crate::fleet::{Fleet, mix, rooms};

/// DPUs, each over the only doorway of a room.
const ROOMS: usize = 100;

pub(super) async fn answered(engines: &Engines<'_>, plan: &Plan) -> Result<Vec<Figure>> {
    let path = engines.path("lookups", SLOTS).await?;
    let fleet = Fleet::new(ROOMS, plan.looked_up / ROOMS);
    println!("counts of rooms with one doorway, at random instants of {} crossings", fleet.crossings());
    send_gathered(engines, &path.topic, &fleet, GATHERED)?;
    let consumer = path.ingest()?;
    until_taken_in(&consumer, fleet.crossings()).await?;
    consumer.stop()?;
    let served = path.serve()?;
    served.put_topology(&rooms(ROOMS, "d", r#"{"space":"campus","at":"04:00","from":"2024-01-01T00:00:00Z"}"#)).await?;
    let row = Row::of(engines, &path.keyspace, &fleet).await?;
    let mut connection = Connection::to(served.address).await?;
    let (mut ours, mut bare) = (Latencies::default(), Latencies::default());
    for round in 0..=plan.rounds {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        for n in 0..plan.lookups {
            let random = mix((round << 32 | n) as u64);
            let (dpu, after_ms) = ((random >> 40) as usize % ROOMS, (random % fleet.span_ms().unsigned_abs()).cast_signed());
            // Who comes second finds what both need in memory: they take turns.
            for bare in [n % 2 == 0, n % 2 == 1] {
                if bare {
                    let start = Instant::now();
                    row.read(dpu, after_ms).await?;
                    other.push(start.elapsed());
                } else {
                    one.push(count(&mut connection, &fleet, dpu, after_ms).await?);
                }
            }
        }
        // The first round only warms up.
        if round > 0 {
            ours.extend(one);
            bare.extend(other);
        }
    }
    served.stop()?;
    let beside = "one row by the bare driver";
    let (p50, bare_p50) = (ours.percentile_ms(50), bare.percentile_ms(50));
    Ok(vec![
        Figure::new("count of a room with one doorway, p50", p50, "ms").id("count_p50").beside(beside, bare_p50),
        Figure::new("count of a room with one doorway, p99", ours.percentile_ms(99), "ms").beside(beside, bare.percentile_ms(99)),
        Figure::new("the same, p50 as a multiple", p50 / bare_p50, "times").aim(Aim::AtMost(1.3)),
    ])
}

/// Asks for the count of a DPU's room, which must be right; how long that takes.
async fn count(connection: &mut Connection, fleet: &Fleet, dpu: usize, after_ms: i64) -> Result<Duration> {
    let at = Fleet::instant(after_ms)?;
    let get = request("GET", &format!("/v1/spaces/room-{dpu}/count?at={at}"), "", "");
    let start = Instant::now();
    let answer = connection.succeed(&get).await?;
    let took = start.elapsed();
    let right = fleet.net_of(dpu..dpu + 1, after_ms);
    if !answer.contains(&format!(r#""raw":{right},"#)) {
        bail!("WRONG COUNT: room-{dpu} at {at}: {right} is right, but the answer is {answer}");
    }
    Ok(took)
}
