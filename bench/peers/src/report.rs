//! What came out: tables for people, JSON for machines.

use serde_json::{Value, json};

use crate::counts::{Since, Took};
use crate::stored::{self, Stored};
use crate::{designs::Design as _, designs::First, ours, streams};

/// What somebody did with the backlog.
pub(crate) struct Measured {
    pub(crate) who: &'static str,
    pub(crate) crossings_per_s: f64,
    pub(crate) took: Took,
    pub(crate) disk_bytes: u64,
}

/// All that was measured.
pub(crate) struct Report {
    pub(crate) backlog: Vec<Measured>,
    /// Crossings in the backlog, of which each is stored once.
    pub(crate) crossings: usize,
    pub(crate) stored: Vec<Stored>,
}

/// Over how many crossings a sum is aimed to be slower.
const SUMMED: usize = 10_000_000;

/// What a ratio should be.
struct Aim {
    what: String,
    least: f64,
    /// What it would be at best.
    stretch: Option<f64>,
    ratio: f64,
}

impl Report {
    fn of(&self, who: &str) -> Option<&Measured> {
        self.backlog.iter().find(|measured| measured.who == who)
    }

    /// How many times as fast as somebody one of ours took the backlog in.
    fn faster(&self, ours: &str, than: &Measured) -> Option<f64> {
        Some(self.of(ours)?.crossings_per_s / than.crossings_per_s)
    }

    /// How many times as long as one of ours somebody took for a count.
    fn longer(&self, ours: &str, took: &Measured) -> Option<f64> {
        Some(took.took.p50_ms / self.of(ours)?.took.p50_ms)
    }

    /// How many times as long as one of ours somebody took for a count over the same past.
    fn longer_over(&self, ours: &str, one: &Stored) -> Option<f64> {
        let same = |other: &&Stored| (other.doorways, other.since, other.who) == (one.doorways, one.since, ours);
        Some(one.took.p50_ms / self.stored.iter().find(same)?.took.p50_ms)
    }

    fn aims(&self) -> Vec<Aim> {
        let rate = |who, least, stretch| {
            let ratio = self.faster(ours::CASSANDRA, self.of(who)?)?;
            Some(Aim { what: format!("{} as fast as {who}", ours::CASSANDRA), least, stretch, ratio })
        };
        // The aim is for so many, the more the longer a sum takes.
        let sums = |one: &&Stored| one.doorways == 1 && one.crossings >= SUMMED && (one.who, one.since) == (First::NAME, Since::Beginning);
        let sum = self.stored.iter().find(sums).and_then(|one| {
            let what = format!("a count of one doorway as fast as the sum of its {} crossings", one.crossings);
            Some(Aim { what, least: 1_000.0, stretch: None, ratio: self.longer_over(stored::EMBEDDED, one)? })
        });
        [rate(First::NAME, 5.0, None), rate(streams::NAME, 1.0, Some(5.0)), sum].into_iter().flatten().collect()
    }

    /// Prints the tables.
    pub(crate) fn print(&self) {
        println!(
            "| who | crossings/s | ours on Cassandra / its | ours embedded / its | count of a room, p50, p99 | its p50 / ours on Cassandra \
             | its p50 / ours embedded | disk |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        for one in &self.backlog {
            let Took { p50_ms, p99_ms } = one.took;
            println!(
                "| {} | {:.0} | {} | {} | {p50_ms:.3} ms, {p99_ms:.3} ms | {} | {} | {:.0} bytes/crossing |",
                one.who,
                one.crossings_per_s,
                times(self.faster(ours::CASSANDRA, one)),
                times(self.faster(ours::EMBEDDED, one)),
                times(self.longer(ours::CASSANDRA, one)),
                times(self.longer(ours::EMBEDDED, one)),
                one.disk_bytes as f64 / self.crossings as f64,
            );
        }
        if !self.stored.is_empty() {
            println!(
                "\n| crossings stored | who | counted since | count of a room with one doorway, p50, p99 | its p50 / ours embedded \
                 | its p50 / ours on Cassandra |\n| --- | --- | --- | ---: | ---: | ---: |"
            );
        }
        for one in &self.stored {
            let (Stored { doorways, crossings, who, since, .. }, Took { p50_ms, p99_ms }) = (one, one.took);
            let [embedded, cassandra] = [stored::EMBEDDED, ours::CASSANDRA].map(|ours| times(self.longer_over(ours, one)));
            let (since, plural) = (since.text(), if *doorways == 1 { "" } else { "s" });
            println!(
                "| {crossings} of {doorways} doorway{plural} | {who} | {since} | {p50_ms:.3} ms, {p99_ms:.3} ms | {embedded} | {cassandra} |"
            );
        }
        println!();
        for Aim { what, least, stretch, ratio } in self.aims() {
            let judge = |least: f64| format!(">= {least}: {}", if ratio >= least { "met" } else { "MISSED" });
            let stretch = stretch.map_or_else(String::new, |stretch| format!("; stretch {}", judge(stretch)));
            println!("{what}: {ratio:.2} times, aim {}{stretch}", judge(least));
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let backlog = self.backlog.iter().map(|one| {
            json!({
                "who": one.who, "crossings_per_s": one.crossings_per_s, "p50_ms": one.took.p50_ms, "p99_ms": one.took.p99_ms,
                "bytes_per_crossing": one.disk_bytes as f64 / self.crossings as f64,
                "cassandra_faster": self.faster(ours::CASSANDRA, one), "embedded_faster": self.faster(ours::EMBEDDED, one),
                "p50_by_cassandra": self.longer(ours::CASSANDRA, one), "p50_by_embedded": self.longer(ours::EMBEDDED, one),
            })
        });
        let stored = self.stored.iter().map(|one| {
            json!({
                "doorways": one.doorways, "crossings": one.crossings, "since": one.since.text(), "who": one.who,
                "p50_ms": one.took.p50_ms, "p99_ms": one.took.p99_ms,
                "p50_by_embedded": self.longer_over(stored::EMBEDDED, one), "p50_by_cassandra": self.longer_over(ours::CASSANDRA, one),
            })
        });
        let aims = self.aims().into_iter().map(|Aim { what, least, stretch, ratio }| {
            let stretch = stretch.map(|stretch| json!({ "aim": format!(">= {stretch}"), "met": ratio >= stretch }));
            json!({ "what": what, "ratio": ratio, "aim": format!(">= {least}"), "met": ratio >= least, "stretch": stretch })
        });
        json!({ "backlog": backlog.collect::<Vec<_>>(), "stored": stored.collect::<Vec<_>>(), "aims": aims.collect::<Vec<_>>() })
    }
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}
