//! What users type, and what they read when it cannot be done.

use std::net::TcpListener;
use std::process::Stdio;

use store::{Edits, FjallStore, Settings};

use crate::program::{Served, headcount, http, repository, run};

#[test]
fn an_empty_server_says_what_to_do_first_and_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let (served, said) = Served::saying(&folder.path().join("store"), &[], "/count");
    let url = served.url.clone();
    assert!(said.iter().any(|line| line.contains("There are no spaces yet")), "{said:#?}");

    let example = repository("examples/topology.toml");
    let apply = ["topology", "apply", example.to_str().unwrap(), "--server", &url];
    let (status, out, err) = run(&[&apply[..], &["--dry-run"]].concat());
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("would change:\n") && out.contains("\n  + space campus\n"), "{out}");
    assert_eq!(run(&["count", "hall", "--server", &url]).0, Some(1), "a dry run changes nothing");
    let (status, out, err) = run(&apply);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("changed:\n") && out.contains("\n  + space campus\n"), "{out}");
    assert_eq!(run(&apply).1, "changed: nothing\n");

    // The report it suggests is the one it takes.
    let body = said.iter().find_map(|line| line.trim().strip_prefix("-d '")).unwrap().trim_end_matches('\'');
    let (status, text) = http(&url, "POST", "/v1/crossings", body).unwrap();
    assert_eq!((status, text.as_str()), (200, r#"{"accepted":1,"duplicate":0,"quarantined":[]}"#));
    let (status, out, _) = run(&["count", "hall", "--server", &url]);
    assert_eq!(status, Some(0));
    assert!(out.starts_with("1 in hall at "), "{out}");
    let (status, out, err) = run(&["history", "hall", "--interval", "1d", "--server", &url]);
    assert_eq!(status, Some(0), "{err}");
    let rows: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][1..], ["entered", "exited", "adjusted", "count", "raw", "min", "max", "mean", "missing"], "{out}");
    let today = rows.last().unwrap();
    assert_eq!((today[3], today[6], today.last()), ("1", "1", Some(&"partial")), "{out}");
    let (status, out, _) = run(&["history", "hall", "--stats", "flow", "--json", "--server", &url]);
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, answer["buckets"].as_array().unwrap().len()), (Some(0), 25), "{out}");
    let (status, _, err) = run(&["history", "hall", "--interval", "2h", "--server", &url]);
    assert!(status == Some(1) && err.contains("the server says: interval: there is no \"2h\": expected 1m, 5m"), "{err}");
    let (status, out, _) = run(&["topology", "show", "campus", "--server", &url]);
    assert_eq!(status, Some(0));
    assert!(out.contains("[[doorway]]") && out.contains("id = \"cafe-door\""), "{out}");
    let (status, out, _) = run(&["status", "--server", &url]);
    assert_eq!(status, Some(0));
    assert!(out.contains("version") && out.contains("dpus.healthy"), "{out}");
    assert_eq!(served.stop(), Some(0));
}

#[test]
fn a_reader_that_leaves_ends_a_command_in_order() {
    let plan = |out: Stdio| {
        let ended = headcount(&["plan", "--dpus", "10"]).stdout(out).stderr(Stdio::piped()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(plan(writer.into()), (Some(141), String::new()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (status, err) = plan(full.into());
    assert!(status == Some(1) && err == "headcount: cannot print the answer: No space left on device (os error 28)\n", "{status:?} {err}");
}

#[test]
fn a_port_in_use_is_named_and_no_store_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (status, _, err) = run(&["serve", "--listen", &address, "--store", &format!("fjall:{}", store.display())]);
    assert_eq!(status, Some(1));
    assert_eq!(err.trim(), format!("headcount: {address} is in use: stop what listens there, or choose another address with --listen"));
    assert!(!store.exists());
}

#[test]
fn a_store_that_is_open_says_what_each_command_needs() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::over(folder.path(), &[]);
    let store = format!("fjall:{}", folder.path().display());
    for (words, advice) in [
        (&["verify", "--store", &store][..], "stop the server, then try again"),
        (&["count", "hall", "--store", &store], "ask the server instead"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", &store],
            "give each server a store of its own",
        ),
    ] {
        let (status, _, err) = run(words);
        assert_eq!(status, Some(1));
        assert!(err.contains("is open in another process") && err.contains(advice), "{err}");
    }
    assert_eq!(served.stop(), Some(0));
    assert_eq!(run(&["verify", "--store", &store]).0, Some(0));
}

#[test]
fn folders_that_are_no_store_of_this_format_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let serve =
        || run(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--store", &format!("fjall:{}", path.display())]);
    std::fs::write(path.join("thesis.tex"), "mine").unwrap();
    let (status, _, err) = serve();
    assert!(status == Some(1) && err.contains("is not a store: it holds \"thesis.tex\""), "{err}");
    std::fs::remove_file(path.join("thesis.tex")).unwrap();
    for (format, says) in [("99", "use the newer program that wrote it"), ("0", "use the program that wrote it")] {
        std::fs::write(path.join("FORMAT"), format!("headcount store format {format}\n")).unwrap();
        let (status, _, err) = serve();
        assert!(status == Some(1) && err.contains(says), "{err}");
    }
    assert_eq!(std::fs::read_to_string(path.join("FORMAT")).unwrap(), "headcount store format 0\n");
    let (status, _, err) = run(&["verify", "--store", &format!("fjall:{}", path.join("nowhere").display())]);
    assert!(status == Some(1) && err.contains("there is no store at"), "{err}");
}

#[test]
fn a_full_volume_refuses_input_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A reserve no volume has stands for a volume that is full.
    let served = Served::over(folder.path(), &["--reserve-mib", "1000000000"]);
    let report = r#"{"dpu_id":"d","crossings":[{"at":"2024-05-01T12:00:00Z","direction":1}]}"#;
    let (status, text) = served.http("POST", "/v1/crossings", report);
    assert!(status == 503 && text.contains("store-unavailable") && text.contains("free some space"), "{text}");
    let (status, text) = served.http("GET", "/readyz", "");
    assert!(status == 503 && text.contains("free some space"), "{text}");
    assert_eq!(served.http("GET", "/v1/spaces", "").0, 200, "reads go on");
    drop(served);
    let served = Served::over(folder.path(), &[]);
    let (status, text) = served.http("POST", "/v1/crossings", report);
    assert_eq!((status, text.as_str()), (200, r#"{"accepted":1,"duplicate":0,"quarantined":[]}"#));
    assert_eq!(served.stop(), Some(0));
    assert_eq!(run(&["verify", "--store", &format!("fjall:{}", folder.path().display())]).0, Some(0));
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_not_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    for words in
        [&["count", "hall", "--server", &url][..], &["status", "--server", &url], &["topology", "show", "campus", "--server", &url]]
    {
        let (status, _, err) = run(words);
        assert_eq!(status, Some(1));
        assert!(err.contains(&format!("no server answers at {url}: start one with `headcount serve`")), "{err}");
    }
}

#[test]
fn a_replay_with_bad_lines_sends_the_good_ones_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::over(&folder.path().join("store"), &[]);
    let file = folder.path().join("crossings.csv");
    let lines =
        "timestamp,direction,dpu_id\n2024-05-01T12:00:00Z,\"in\",a\nyesterday,out,a\n2024-05-01T12:00:01Z,-1,b\n2024-05-01T12:00:02Z,1,b\n";
    std::fs::write(&file, lines).unwrap();
    let replay = ["replay", file.to_str().unwrap(), "--to", &served.url];
    let (status, out, err) = run(&replay);
    assert_eq!(status, Some(1), "a line could not be read");
    assert!(out.contains("3 crossings accepted, 0 duplicates, 0 quarantined; 1 lines could not be read"), "{out}");
    assert!(err.contains("line 3: \"yesterday\" is not an RFC 3339 time"), "{err}");
    let (status, out, _) = run(&[&replay[..], &["--from-line", "5"]].concat());
    assert_eq!(status, Some(0));
    assert!(out.contains("0 crossings accepted, 1 duplicates"), "{out}");
}

#[test]
fn a_simulated_campus_reports_through_trouble_and_every_total_holds() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::over(folder.path(), &[]);
    let words = ["simulate", "--to", &served.url, "--dpus", "12", "--crossings-per-hour", "36000", "--for", "4s", "--faults"];
    let (status, out, err) = run(&words);
    assert_eq!(status, Some(0), "{out}{err}");
    let last = out.lines().last().unwrap();
    let accepted: u64 = last.split(" crossings accepted").next().unwrap().parse().unwrap();
    assert!(accepted > 50, "{out}");
    assert_eq!(served.get("/v1/spaces/campus/count")["space"], "campus");
    assert_eq!(served.stop(), Some(0));
    let (status, out, err) = run(&["verify", "--store", &format!("fjall:{}", folder.path().display())]);
    assert_eq!(status, Some(0), "{out}{err}");
    let verified: u64 = out.split(" crossings:").next().unwrap().split(' ').next_back().unwrap().parse().unwrap();
    // A request cut off by the end may have been taken in without being told.
    assert!(verified >= accepted, "{out}");
}

#[test]
fn help_names_every_command() {
    let (status, out, _) = run(&["--help"]);
    assert_eq!(status, Some(0));
    for command in [
        "demo", "serve", "ingest", "simulate", "replay", "topology", "count", "explain", "correct", "history", "verify", "copy", "status",
        "plan",
    ] {
        assert!(out.lines().any(|line| line.trim_start().starts_with(command)), "{command} is not in\n{out}");
    }
    let (status, out, _) = run(&["serve", "--help"]);
    assert_eq!(status, Some(0));
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(out.contains("[env: HEADCOUNT_LISTEN=]") && out.contains("[default: 127.0.0.1:8080]"), "{out}");
}

#[test]
fn the_example_configuration_is_one() {
    let config = repository("examples/headcount.toml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, err) = run(&["serve", "--config", config.to_str().unwrap(), "--listen", &address]);
    assert_eq!(status, Some(1));
    assert!(err.contains(&format!("{address} is in use")), "the file was read, and the flag won: {err}");
}

#[tokio::test]
async fn a_new_epoch_is_declared_once_the_old_log_is_drained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let url = format!("fjall:{}", path.display());
    let command = ["log", "new-epoch", "--store", &url];
    let store = FjallStore::open(&path).unwrap();
    drop(store);
    let (status, _, err) = run(&command);
    assert_eq!(status, Some(1));
    assert!(err.contains("the store remembers no log"), "{err}");

    let fed = Settings { cluster_id: Some("k1".to_owned()), partitions: Some(8), epoch: 1, first_start_done: true, copying_from: None };
    let store = FjallStore::open(&path).unwrap();
    assert!(store.put_settings(&Settings::default(), &fed).await.unwrap());
    let (status, _, err) = run(&command);
    assert_eq!(status, Some(1));
    assert!(err.contains("stop the server and every consumer"), "{err}");
    drop(store);

    let (status, out, err) = run(&command);
    assert_eq!(status, Some(1), "what was not consumed would be skipped");
    assert!(out.contains("epoch 1: cluster k1, 8 partitions") && err.contains("--drained"), "{out} {err}");
    let (status, out, err) = run(&[&command[..], &["--drained"]].concat());
    assert_eq!(status, Some(0), "{err}");
    assert!(out.ends_with("epoch 2 begins with the log that the next consumer finds\n"), "{out}");
    let settings = FjallStore::open_existing(&path).unwrap().settings().await.unwrap();
    assert_eq!(settings, Settings { epoch: 2, ..Settings::default() });
}
