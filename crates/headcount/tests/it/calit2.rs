//! 15 weeks of real door counts, through the program as its users start it.

use occupancy::time::UnixMs;

use crate::program::{Served, repository, run};

/// (start, entered, exited) of each half hour.
fn half_hours() -> Vec<(UnixMs, i64, i64)> {
    let text = std::fs::read_to_string(repository("examples/calit2/counts.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[0].parse().unwrap(), row[2].parse().unwrap(), row[3].parse().unwrap())).collect()
}

fn apply(served: &Served, path: &std::path::Path, more: &[&str]) {
    let words = ["topology", "apply", path.to_str().unwrap(), "--server", &served.url];
    let (status, out, err) = run(&[&words, more].concat());
    assert_eq!(status, Some(0), "{out}{err}");
}

fn replay(served: &Served) -> String {
    let file = repository("examples/calit2/counts.csv");
    let (status, out, err) = run(&["replay", file.to_str().unwrap(), "--format", "intervals", "--interval", "30m", "--to", &served.url]);
    assert_eq!(status, Some(0), "{out}{err}");
    out
}

#[test]
fn the_counts_of_2005_add_up_with_and_without_resets() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::over(&folder.path().join("store"), &[]);
    let topology = repository("examples/calit2/topology.toml");
    apply(&served, &topology, &[]);
    assert!(replay(&served).contains("38434 crossings accepted, 0 duplicates, 0 quarantined"));
    assert!(replay(&served).contains("0 crossings accepted, 38434 duplicates, 0 quarantined"), "the second time, nothing is new");

    // A day starts anew at 04:00 local time, 11:00Z in summer and 12:00Z from 2005-10-30 on.
    let rows = half_hours();
    let (mut asked, mut people) = (0, 0);
    for (start, _, _) in rows.iter().step_by(97) {
        let at = start.plus_ms(-1);
        let count = served.get(&format!("/v1/spaces/calit2/count?at={at}"));
        let Some(since) = count["baseline"]["at"].as_str().map(|since| since.parse::<UnixMs>().unwrap()) else { continue };
        let hour = if since < "2005-10-30T09:00:00Z".parse().unwrap() { 11 } else { 12 };
        assert_eq!(since.ms().rem_euclid(86_400_000), hour * 3_600_000, "{since}");
        assert!(at.since(since) < 25 * 3_600_000, "{since} is more than a day before {at}");
        let span: Vec<_> = rows.iter().filter(|(start, _, _)| since <= *start && *start <= at).collect();
        let (entered, exited) = span.iter().fold((0, 0), |(a, b), (_, entered, exited)| (a + entered, b + exited));
        assert_eq!((count["entered"].as_i64(), count["exited"].as_i64()), (Some(entered), Some(exited)), "at {at}");
        assert_eq!((count["raw"].as_i64(), count["count"].as_i64()), (Some(entered - exited), Some((entered - exited).max(0))));
        asked += 1;
        people += entered;
    }
    assert!(asked > 45 && people > 500, "{asked} instants, {people} people");

    // Without resets the sensor's drift stays: a real door sensor loses more who leave than who enter.
    let text = std::fs::read_to_string(&topology).unwrap();
    let (head, tail) = (text.find("[[reset]]").unwrap(), text.find("[[doorway]]").unwrap());
    let without = folder.path().join("without.toml");
    std::fs::write(&without, format!("{}{}", &text[..head], &text[tail..])).unwrap();
    apply(&served, &without, &[]);
    let count = served.get("/v1/spaces/calit2/count?at=2005-11-06T00:00:00-08:00");
    assert_eq!((count["entered"].as_i64(), count["exited"].as_i64(), count["raw"].as_i64()), (Some(19_597), Some(18_837), Some(760)));
    assert_eq!(count["baseline"]["kind"], "beginning");

    assert_eq!(served.stop(), Some(0));
    let store = format!("fjall:{}", folder.path().join("store").display());
    let (status, out, err) = run(&["verify", "--store", &store]);
    assert_eq!((status, out.trim()), (Some(0), "1 DPUs, 38434 crossings: 0 differences"), "{err}");
    let (status, out, _) = run(&["count", "calit2", "--at", "2005-11-06T08:00:00Z", "--store", &store]);
    assert_eq!(status, Some(0));
    assert!(
        out.starts_with("760 in calit2 at 2005-11-06T08:00:00.000Z\n0 from the beginning + 19597 entered - 18837 exited = 760"),
        "{out}"
    );
}
