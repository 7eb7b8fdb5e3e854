//! A site where, from a seed, people come and go, are told of late or twice and are counted by hand, and DPUs are moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::json;
use tempfile::TempDir;

use super::{Events, ago, live_equals_history};
use crate::program::{Seeded, Served, run};

const SPACES: [&str; 3] = ["site", "lobby", "kitchen"];
const DPUS: [&str; 3] = ["a", "b", "c"];
/// Doorways and their sides.
const DOORWAYS: [(&str, [&str; 2]); 3] =
    [("gate", ["outside", "lobby"]), ("hatch", ["lobby", "kitchen"]), ("back", ["outside", "kitchen"])];
const DAY_MS: u64 = 86_400_000;

/// Since when a DPU hangs over which doorway, and into which of its sides +1 leads.
type Hung = (String, usize, usize);

struct Site<'a> {
    served: &'a Served,
    random: Seeded,
    folder: TempDir,
    /// Of each DPU, in order of time.
    hung: [Vec<Hung>; 3],
    /// The hour, by since when.
    resets: BTreeMap<String, u64>,
    /// Of each DPU, by instant and direction.
    crossings: [BTreeSet<(String, i64)>; 3],
}

/// After so many steps from a seed, live equals history.
pub(crate) fn live_equals_history_after(served: &Served, seed: u64, steps: usize) {
    println!("seed {seed}");
    let hung = [0, 1, 2].map(|doorway| vec![("2018-01-01T00:00:00.000Z".to_owned(), doorway, 1)]);
    let (folder, random) = (tempfile::tempdir().unwrap(), Seeded(seed));
    let mut site = Site { served, random, folder, hung, resets: BTreeMap::new(), crossings: Default::default() };
    site.apply();
    let mut events = Events::of(&served.url, &SPACES);
    for _ in 0..steps {
        site.step();
    }
    site.all_are_taken();
    live_equals_history(served, &mut events, &SPACES);
}

impl Site<'_> {
    fn step(&mut self) {
        match self.random.below(24) {
            0 => self.correct(),
            1 => self.move_or_turn(),
            2 => {
                let (from, hour) = (self.instant(), self.random.below(24));
                self.resets.insert(from, hour);
                self.apply();
            }
            _ => self.report(),
        }
    }

    fn place(&mut self) -> usize {
        usize::try_from(self.random.below(3)).unwrap()
    }

    /// Days ago, within the last minute, or now.
    fn instant(&mut self) -> String {
        match self.random.below(4) {
            0 => ago(self.random.below(3 * DAY_MS)),
            1 => ago(self.random.below(60_000)),
            _ => ago(self.random.below(20)),
        }
    }

    fn report(&mut self) {
        let (dpu, at) = (self.place(), self.instant());
        let direction = if self.random.below(2) == 0 { 1 } else { -1 };
        let body = json!({"dpu_id": DPUS[dpu], "crossings": [{"at": at, "direction": direction}]}).to_string();
        // Sent twice now and then.
        for _ in 0..=self.random.below(8) / 7 {
            let (status, answer) = self.served.http("POST", "/v1/crossings", &body);
            assert!([200, 202].contains(&status), "{status} {answer}");
        }
        self.crossings[dpu].insert((at, direction));
    }

    fn correct(&mut self) {
        let (space, at, count) = (SPACES[self.place()], self.instant(), self.random.below(50));
        let body = json!({"corrections": [{"space": space, "at": at, "count": count}]});
        assert_eq!(self.served.http("POST", "/v1/corrections", &body.to_string()).0, 201);
    }

    /// A DPU hangs elsewhere since an instant, or is found to hang the other way round all the while.
    fn move_or_turn(&mut self) {
        let (dpu, from, doorway, side) = (self.place(), self.instant(), self.place(), self.place() % 2);
        let last = self.hung[dpu].last_mut().unwrap();
        if last.0 < from && last.1 != doorway {
            self.hung[dpu].push((from, doorway, side));
        } else {
            last.2 = 1 - last.2;
        }
        self.apply();
    }

    fn apply(&self) {
        let file = self.folder.path().join("site.toml");
        std::fs::write(&file, self.topology()).unwrap();
        let (status, _, err) = run(&["topology", "apply", file.to_str().unwrap(), "--server", &self.served.url]);
        assert_eq!(status, Some(0), "{err}{}", self.topology());
    }

    fn topology(&self) -> String {
        let mut text = "[[space]]\nid = \"site\"\ntime_zone = \"America/Los_Angeles\"\n".to_owned();
        for space in &SPACES[1..] {
            writeln!(text, "[[space]]\nid = \"{space}\"\nparent = \"site\"").unwrap();
        }
        for (from, hour) in &self.resets {
            writeln!(text, "[[reset]]\nspace = \"site\"\nat = \"{hour:02}:00\"\nfrom = {from}").unwrap();
        }
        for (doorway, between) in DOORWAYS {
            writeln!(text, "[[doorway]]\nid = \"{doorway}\"\nbetween = {between:?}").unwrap();
        }
        for (dpu, hung) in DPUS.iter().zip(&self.hung) {
            for (n, (from, doorway, side)) in hung.iter().enumerate() {
                let (doorway, between) = DOORWAYS[*doorway];
                let enters = between[*side];
                writeln!(text, "[[installation]]\ndpu = \"{dpu}\"\ndoorway = \"{doorway}\"\nenters = \"{enters}\"\nfrom = {from}").unwrap();
                if let Some((to, ..)) = hung.get(n + 1) {
                    writeln!(text, "to = {to}").unwrap();
                }
            }
        }
        text
    }

    /// Waits until every crossing is counted, and counted once.
    fn all_are_taken(&self) {
        let begun = std::time::Instant::now();
        for (dpu, crossings) in DPUS.iter().zip(&self.crossings).filter(|(_, crossings)| !crossings.is_empty()) {
            let plus = crossings.iter().filter(|(_, direction)| *direction > 0).count();
            let all = json!([plus, crossings.len() - plus]);
            let taken = || {
                let (status, answer) = self.served.http("GET", &format!("/v1/dpus/{dpu}"), "");
                let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
                (status == 200).then(|| json!([answer["plus"], answer["minus"]]))
            };
            while taken().as_ref() != Some(&all) {
                assert!(begun.elapsed() < super::PATIENCE, "DPU {dpu}: {:?} of {all}", taken());
            }
        }
    }
}
