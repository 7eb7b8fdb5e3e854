//! The demo shows real counts and a live campus, and ends by itself.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::program::{headcount, http};

#[test]
fn the_demo_answers_for_2005_and_for_now_and_ends_by_itself() {
    let mut child = headcount(&["demo", "--for", "30s", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let mut agreed = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("curl '") {
            let url = rest.trim_end_matches('\'');
            let path = url.strip_prefix("http://").and_then(|url| url.find('/')).map(|slash| url.split_at("http://".len() + slash));
            let (host, path) = path.unwrap();
            let (status, body) = http(host, "GET", path, "").unwrap();
            assert_eq!(status, 200, "{path}: {body}");
            let count: serde_json::Value = serde_json::from_str(&body).unwrap();
            if path.contains("2005") {
                assert_eq!(count["baseline"]["at"], "2005-10-03T11:00:00.000Z", "{count}");
                assert!(count["count"].as_i64().unwrap() > 0, "{count}");
            }
        }
        if let Some((by_crossings, by_people)) = line.split_once(" people inside by the crossings, ") {
            let by_crossings: i64 = by_crossings.split_whitespace().next_back().unwrap().parse().unwrap();
            let by_people: i64 = by_people.split_whitespace().next().unwrap().parse().unwrap();
            assert_eq!(by_crossings, by_people, "{line}");
            agreed += 1;
        }
        said.push(line);
    }
    let said = said.join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("CalIt2, 15 weeks of 2005: 38434 crossings through Kafka in "), "{said}");
    assert!(said.contains("every total recomputed from its crossings: 0 differences"), "{said}");
    assert!(agreed > 0, "{said}");
}
