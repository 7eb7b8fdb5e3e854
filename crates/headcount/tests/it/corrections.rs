//! Corrections through the program: by command, and over HTTP through kill -9.

use crate::program::{Served, repository, request, run};

#[test]
fn a_correction_is_made_by_command_and_taken_back_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::over(&folder.path().join("store"), &[]);
    let server = ["--server", &served.url];
    let example = repository("examples/topology.toml");
    assert_eq!(run(&[&["topology", "apply", example.to_str().unwrap()], &server[..]].concat()).0, Some(0));
    let (status, out, err) = run(&[&["correct", "hall", "12", "--dry-run"], &server[..]].concat());
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("would change: hall from ") && out.ends_with(" on; now 12 instead of 0\n"), "{out}");
    let (status, out, err) = run(&[&["correct", "hall", "12", "--reason", "closing round", "--by", "ann"], &server[..]].concat());
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("corrected: 12 in hall at ") && out.ends_with(", as correction c1-1\n"), "{out}");
    let (_, out, _) = run(&[&["count", "hall"], &server[..]].concat());
    assert!(out.starts_with("12 in hall at ") && out.contains("12 from the correction at"), "{out}");
    let (status, out, err) = run(&[&["explain", "hall"], &server[..]].concat());
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("12 from the correction at ") && out.contains("(c1-1 by ann: closing round)"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("front ")) && out.ends_with("12 + 0 entered - 0 exited = 12\n"), "{out}");
    let (_, out, _) = run(&[&["explain", "hall", "--json"], &server[..]].concat());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["count"]["raw"], 12);
    let listed = served.get("/v1/corrections?space=hall");
    assert_eq!((&listed["corrections"][0]["by"], &listed["corrections"][0]["reason"]), (&"ann".into(), &"closing round".into()));

    assert_eq!(served.http("DELETE", "/v1/corrections/c1-1?reason=miscounted", "").0, 200);
    assert!(run(&[&["count", "hall"], &server[..]].concat()).1.starts_with("0 in hall at "));
    let (status, _, err) = run(&[&["correct", "attic", "1"], &server[..]].concat());
    assert_eq!((status, err.trim()), (Some(1), "headcount: the server says: there is no space attic"));
    let (status, _, err) = run(&[&["correct", "hall", "few"], &server[..]].concat());
    assert!(status == Some(2) && err.contains("few"), "{err}");
    assert_eq!(served.stop(), Some(0));
}

#[test]
fn a_request_with_a_key_is_made_once_through_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"corrections":[{"space":"hall","count":3},{"space":"cafe","count":4}],"reason":"round"}"#;
    let post = |served: &Served, body: &str| request(&served.url, "POST", "/v1/corrections", "idempotency-key: round-1\r\n", body).unwrap();
    let mut first = None;
    for _ in 0..2 {
        let served = Served::over(folder.path(), &[]);
        if first.is_none() {
            let example = repository("examples/topology.toml");
            assert_eq!(run(&["topology", "apply", example.to_str().unwrap(), "--server", &served.url]).0, Some(0));
        }
        let answer = post(&served, body);
        assert_eq!(answer.0, 201, "{}", answer.1);
        assert_eq!(first.get_or_insert(answer.clone()), &answer);
        let (status, text) = post(&served, &body.replace("round", "another"));
        assert!(status == 422 && text.contains("idempotency-key-reused"), "{text}");
        assert_eq!(served.get("/v1/corrections")["corrections"].as_array().unwrap().len(), 2);
        served.kill();
    }
}
