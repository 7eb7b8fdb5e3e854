//! Stores copied by the program: killed amid it, refused until it is done, and told when the source does not keep still.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use occupancy::crossing::{Direction, Key};
use occupancy::ledger::{Counters, Fold, Record, fold};
use occupancy::time::UnixMs;
use store::{Commit, Edits, FjallStore, LedgerWrite, Ledgers};

use crate::program::{Seeded, Served, headcount, run};

const DPUS: u64 = 6;
const CROSSINGS: i64 = 60_000;

fn url(folder: &Path) -> String {
    format!("fjall:{}", folder.canonicalize().unwrap_or(folder.to_owned()).display())
}

/// A store with months of crossings.
async fn fill(folder: &Path) {
    let store = FjallStore::open(folder).unwrap();
    for dpu in 0..DPUS {
        let crossing = |n: i64| Key {
            at: UnixMs::CLOCK_SET.plus_ms(n * 120_000),
            boot: 1,
            seq: n.unsigned_abs(),
            direction: if n % 3 == 0 { Direction::Minus } else { Direction::Plus },
        };
        let crossings = (1..=CROSSINGS).map(crossing).collect();
        let record = Record { crossings, heartbeat: None, appended_at: UnixMs::CLOCK_SET.plus_ms(90_000_000_000), position: None };
        let Some(Fold::Append(changes)) = fold(&Counters::default(), &[record]) else { panic!("it is the first") };
        let write = LedgerWrite::new(format!("d{dpu}").parse().unwrap(), changes);
        store.commit(Arc::new(Commit { ledgers: vec![write], quarantine: Vec::new() })).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_killed_amid_it_is_refused_until_the_same_command_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fill(&from).await;
    let (mut random, mut kills, mut killed_amid) = (Seeded(5), 0, 0);
    let words = ["copy", "--from", &url(&from), "--to", &url(&to)].map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Until one was amid a ledger, however fast or slow the machine is.
    while kills < 8 || killed_amid == 0 {
        assert!(kills < 400, "never amid a ledger");
        let mut child = headcount(&words).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, said) = mpsc::sync_channel(1);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let first = said.recv().unwrap();
        assert!(first.starts_with("copying 6 DPUs with 360000 crossings from fjall:"), "{first}");
        // At any moment, unless it is done before.
        let moment = Instant::now() + Duration::from_millis(random.below(60 + 5 * kills));
        while said.recv_timeout(moment.saturating_duration_since(Instant::now())).is_ok() {}
        let _ = child.kill();
        child.wait().unwrap();
        let there = FjallStore::open_existing(&to).unwrap();
        if there.settings().await.unwrap().copying_from.is_none() {
            // It was done already: begin anew.
            drop(there);
            std::fs::remove_dir_all(&to).unwrap();
            continue;
        }
        let copied = there.dpus(None, 10).await.unwrap();
        // Of each ledger's 60,000, two thirds entered.
        killed_amid += u32::from(copied.iter().any(|(_, counters)| counters.totals().entered < 40_000));
        kills += 1;
    }

    let unfinished = format!("is an unfinished copy of {0}: finish it with `headcount copy --from {0} --to {1}`", url(&from), url(&to));
    for refused in [
        &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", &url(&to)][..],
        &["ingest", "--kafka", "127.0.0.1:1", "--metrics-listen", "127.0.0.1:0", "--store", &url(&to)],
        &["verify", "--store", &url(&to)],
    ] {
        let (status, _, err) = run(refused);
        assert!(status == Some(1) && err.contains(&unfinished), "{refused:?}: {err}");
    }
    let (status, out, err) = run(&words);
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("copied 6 DPUs, 360000 crossings, 0 edits, 0 quarantined in "), "{out}");
    assert!(out.ends_with("every total of the copy recomputed: 0 differences\n"), "{out}");
    let (status, _, err) = run(&words);
    assert!(status == Some(1) && err.contains("the target holds crossings already: copy into an empty one"), "{err}");
    assert_eq!(run(&["verify", "--store", &url(&to)]).1, "6 DPUs, 360000 crossings: 0 differences\n");
}

#[tokio::test]
async fn what_cannot_be_copied_is_said_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let (status, _, err) = run(&["copy", "--from", &url(&from), "--to", &url(&to)]);
    assert!(status == Some(1) && err.contains("there is no store at"), "{err}");
    let served = Served::over(&from, &[]);
    let (status, _, err) = run(&["copy", "--from", &url(&from), "--to", &url(&to)]);
    assert!(status == Some(1) && err.contains("is open in another process: stop the server that uses it"), "{err}");
    assert!(!to.exists());
    assert_eq!(served.stop(), Some(0));
    let (status, _, err) = run(&["copy", "--from", &url(&from), "--to", &url(&from)]);
    assert!(status == Some(1) && err.contains("cannot be copied into itself"), "{err}");
    let (status, _, err) = run(&["copy", "--from", &url(&from), "--to", "memory:"]);
    assert!(status == Some(1) && err.contains("name a store as fjall:FOLDER"), "{err}");
    let (status, out, _) = run(&["copy", "--from", &url(&from), "--to", &url(&to)]);
    assert!(status == Some(0) && out.contains("copied 0 DPUs, 0 crossings, 0 edits"), "{out}");
    assert_eq!(Served::over(&to, &[]).stop(), Some(0));
}
