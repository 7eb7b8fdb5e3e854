//! What comes over HTTP is what `query` answers: every number, instant and null, in its order, in generated cases.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use occupancy::bucket::Interval;
use occupancy::crossing::Key;
use occupancy::id::SpaceId;
use occupancy::time::UnixMs;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
use proptest::prop_oneof;
use proptest::test_runner::TestRunner;
use query::{HistoryCaps, Span, Stats};
use serde_json::{Value, json};

use crate::support::{Answer, NOW, Server};

#[cfg(test)]
mod said;

const HOUR_MS: i64 = 3_600_000;
/// Ten days, the last up to now.
const HOURS: i64 = 240;
const DPUS: usize = DOORWAYS.len();
const SPACES: [&str; 4] = ["campus", "hall", "room", "annex"];
const DOORWAYS: [(&str, &str, &str); 5] = [
    ("front", "outside", "hall"),
    ("gate", "campus", "outside"),
    ("inner", "hall", "room"),
    ("bridge", "annex", "room"),
    ("lobby", "campus", "annex"),
];
const ZONES: [&str; 3] = ["UTC", "Asia/Kolkata", "America/Los_Angeles"];
const BUCKET: [&str; 15] = [
    "start",
    "end",
    "offset",
    "entered",
    "exited",
    "adjusted",
    "close.count",
    "close.raw",
    "min.count",
    "min.at",
    "max.count",
    "max.at",
    "mean",
    "missing",
    "partial",
];
const CROSSING: [&str; 7] = ["at", "event", "doorway", "dpu_id", "direction", "boot", "seq"];

/// A pause, then how many hours it hung (`None`: for good), over which doorway, and whether +1 enters its first side.
type Part = (i64, Option<i64>, usize, bool);

/// A generated case; every time in ms before now.
#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    resets: BTreeSet<(usize, i64, bool)>,
    capacity: Option<u32>,
    /// For each DPU.
    hung: Vec<Vec<Part>>,
    /// Or one over each doorway, all the time.
    whole: bool,
    corrections: Vec<(usize, i64, u32, bool)>,
    /// DPU, when, boot, seq, whether +1.
    crossings: Vec<(usize, i64, u64, u64, bool)>,
    asked: Option<i64>,
    range: (i64, i64),
    buckets: (usize, Option<&'static str>, Stats),
    page: usize,
}

/// Often at a full hour, or a ms beside.
fn ago() -> impl Strategy<Value = i64> {
    (0..HOURS, prop_oneof![2 => Just(0), 1 => Just(-1), 1 => Just(1), 2 => 0..HOUR_MS]).prop_map(|(hours, ms)| hours * HOUR_MS + ms)
}

fn case() -> impl Strategy<Value = Case> {
    let resets = prop::collection::btree_set((0..SPACES.len(), ago(), prop::bool::weighted(0.8)), 0..4);
    let part = (0..50i64, prop::option::weighted(0.7, 1..120i64), 0..DOORWAYS.len(), any::<bool>());
    let hung = (prop::collection::vec(prop::collection::vec(part, 0..4), DPUS), any::<bool>());
    let corrections = prop::collection::vec((0..SPACES.len(), ago(), prop_oneof![3 => 0..9u32, 1 => Just(u32::MAX)], any::<bool>()), 0..4);
    let boot = prop_oneof![2 => Just(0u64), 2 => 1..3u64, 1 => Just(Key::MAX_COUNTER)];
    let seq = prop_oneof![2 => Just(0u64), 5 => 1..20u64, 1 => Just(Key::MAX_COUNTER)];
    // Some a little ahead of the clock.
    let when = prop_oneof![9 => ago(), 1 => -299_000..0i64];
    let crossings = prop::collection::vec((0..DPUS, when, boot, seq, any::<bool>()), 0..100);
    let steps = prop::sample::select(vec![2usize, 3, 4, 5, 6]);
    let buckets = (steps, prop::option::of(prop::sample::select(ZONES.to_vec())), prop::sample::select(vec![Stats::Full, Stats::Flow]));
    let asked = (prop::option::weighted(0.7, ago()), (ago().prop_map(|ago| ago.max(0)), 1..48 * HOUR_MS), 1..40usize);
    let place = (prop::sample::select(ZONES.to_vec()), prop::option::of(any::<u32>()));
    (place, resets, hung, corrections, crossings, buckets, asked).prop_map(
        |((zone, capacity), resets, (hung, whole), corrections, crossings, buckets, (asked, range, page))| Case {
            zone,
            resets,
            capacity,
            hung,
            whole,
            corrections,
            crossings,
            asked,
            range,
            buckets,
            page,
        },
    )
}

fn before_now(ms: i64) -> UnixMs {
    NOW.parse::<UnixMs>().unwrap().plus_ms(-ms)
}

fn time(ms: i64) -> String {
    said::time(before_now(ms))
}

impl Case {
    fn document(&self) -> Value {
        let mut installations = Vec::new();
        for (dpu, parts) in self.hung.iter().enumerate() {
            let mut ago = HOURS * HOUR_MS;
            let parts = if self.whole { &vec![(0, None, dpu, true)] } else { parts };
            for (pause, hours, door, first_side) in parts {
                let from = ago - pause * HOUR_MS;
                let to = hours.map(|hours| from - hours * HOUR_MS);
                let (name, a, b) = DOORWAYS[*door];
                let enters = if *first_side { a } else { b };
                installations
                    .push(json!({"dpu": dpu.to_string(), "doorway": name, "enters": enters, "from": time(from), "to": to.map(time)}));
                let Some(to) = to else { break };
                ago = to;
            }
        }
        let mut resets: Vec<Value> = Vec::new();
        for (space, ago, daily) in &self.resets {
            resets.push(json!({"space": SPACES[*space], "at": if *daily { "04:00" } else { "none" }, "from": time(*ago)}));
        }
        json!({
            "space": [
                {"id": "campus", "time_zone": self.zone}, {"id": "hall", "parent": "campus", "capacity": self.capacity},
                {"id": "room", "parent": "hall"}, {"id": "annex", "parent": "campus"}
            ],
            "reset": resets,
            "doorway": DOORWAYS.map(|(id, a, b)| json!({"id": id, "between": [a, b]})),
            "installation": installations
        })
    }

    async fn server(&self) -> Server {
        let server = Server::new().await;
        let made = server.put("/v1/topology/campus", &self.document(), ("if-none-match", "*")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        for (number, (space, ago, count, retracted)) in self.corrections.iter().enumerate() {
            let by = (number % 2 == 0).then_some("ann");
            let one = json!({"space": SPACES[*space], "at": time(*ago), "count": count});
            let new = json!({"corrections": [one], "reason": "counted", "by": by}).to_string();
            let request = Request::post("/v1/corrections").header("content-type", "application/json");
            let made = server.call(request.body(Body::from(new)).unwrap()).await;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
            if *retracted {
                let id = made.json()["corrections"][0]["id"].as_str().unwrap().to_owned();
                let request = Request::delete(format!("/v1/corrections/{id}?reason=miscounted&by=bob"));
                assert_eq!(server.call(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
            }
        }
        for dpu in 0..DPUS {
            let own = self.crossings.iter().filter(|one| one.0 == dpu);
            let crossing = |(_, ago, boot, seq, plus): &(_, i64, u64, u64, bool)| json!({"at": time(*ago), "direction": if *plus { 1 } else { -1 }, "boot": boot, "seq": seq});
            let mut report = json!({"dpu_id": dpu.to_string(), "crossings": own.map(crossing).collect::<Vec<Value>>()});
            if dpu == 0 {
                report["heartbeat"] = json!({"at": time(60_000), "last_seq": 30});
            }
            let taken = server.post(report.to_string()).await;
            assert_eq!((taken.status, &taken.json()["quarantined"]), (StatusCode::OK, &json!([])), "{}", taken.text());
        }
        server
    }
}

/// How many of each the cases had: that they are not all empty.
#[derive(Default)]
struct Met {
    crossings: AtomicUsize,
    remainders: AtomicUsize,
    corrections: AtomicUsize,
    missing: AtomicUsize,
    /// Answers that did not tell all.
    parts: AtomicUsize,
}

fn add(to: &AtomicUsize, many: usize) {
    to.fetch_add(many, Ordering::Relaxed);
}

async fn read(server: &Server, path: &str) -> Value {
    let answer = server.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

/// All pages of JSON.
async fn pages(server: &Server, path: &str) -> Vec<Value> {
    let mut all = vec![read(server, path).await];
    while let Some(cursor) = all[all.len() - 1]["next"].as_str() {
        all.push(read(server, &format!("{path}&cursor={cursor}")).await);
    }
    all
}

/// All rows of all pages of CSV, each with the same head.
async fn rows(server: &Server, path: &str, head: &str) -> Vec<Vec<String>> {
    let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let answer: Answer = server.get_with(&path, ("accept", "text/csv")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/csv; charset=utf-8"), "{path}");
        let text = answer.text();
        let (told, lines) = text.split_once('\n').unwrap();
        assert_eq!(told, head);
        all.extend(lines.lines().map(|line| line.split(',').map(str::to_owned).collect()));
        next = answer.header("link").strip_prefix('<').map(|link| link.split_once(">; rel=\"next\"").unwrap().0.to_owned());
    }
    all
}

async fn check_counts(case: &Case, server: &Server, met: &Met) {
    let at = case.asked.map(before_now);
    let query = case.asked.map(|ago| format!("at={}", time(ago))).unwrap_or_default();
    for name in SPACES {
        let space: SpaceId = name.parse().unwrap();
        let count = said::count(&server.query.count(&space, at).await.unwrap());
        assert_eq!(read(server, &format!("/v1/spaces/{name}/count?{query}")).await, count);
        let explained = said::explained(&server.query.explain(&space, at).await.unwrap());
        add(&met.remainders, usize::from(!explained["conservation"]["remainder"].is_null()));
        add(&met.corrections, usize::from(!explained["correction"].is_null()));
        assert_eq!(read(server, &format!("/v1/spaces/{name}/explain?{query}")).await, explained);
    }
    let several: Vec<SpaceId> = ["room", "campus", "annex"].map(|name| name.parse().unwrap()).to_vec();
    let counts: Vec<Value> = server.query.counts(&several, at).await.unwrap().iter().map(said::count).collect();
    let told = read(server, &format!("/v1/counts?space=room&space=campus&space=annex&{query}")).await;
    assert_eq!(told, json!({ "counts": counts }));
}

async fn check_crossings(case: &Case, server: &Server, met: &Met) {
    let (from, to) = (before_now(case.range.0), before_now(case.range.0 - case.range.1));
    for name in SPACES {
        let events = server.query.events(&name.parse().unwrap(), from, to, None, 10_000).await.unwrap().items;
        let said: Vec<Value> = events.iter().map(said::crossing).collect();
        add(&met.crossings, said.len());
        add(&met.parts, said.len() / case.page);
        let path = format!("/v1/spaces/{name}/crossings?from={}&to={}&limit={}", said::time(from), said::time(to), case.page);
        let mut told = Vec::new();
        for page in pages(server, &path).await {
            assert_eq!(page["space"], name);
            told.extend(page["crossings"].as_array().unwrap().clone());
        }
        assert_eq!(told, said);
        let cells: Vec<Vec<String>> = said.iter().map(|one| said::cells(one, &CROSSING)).collect();
        assert_eq!(rows(server, &path, &CROSSING.join(",")).await, cells);
    }
}

/// Takes the mean out of a bucket: JSON readers may differ in the last bit of a number with a point.
fn without_mean(mut bucket: Value) -> (Value, Option<f64>) {
    let mean = bucket.as_object_mut().unwrap().remove("mean");
    (bucket, mean.map(|mean| mean.as_f64().unwrap()))
}

async fn check_history(case: &Case, server: &Server, met: &Met) {
    let (from, to) = (before_now(case.range.0), before_now(case.range.0 - case.range.1));
    let (step, zone, stats) = case.buckets;
    let (interval, step) = Interval::ALL[step];
    let span = Span { from, to, interval: step, zone: zone.map(|zone| zone.parse().unwrap()), stats };
    let spaces: Vec<SpaceId> = ["hall", "campus"].map(|name| name.parse().unwrap()).to_vec();
    let history = server.query.history(&spaces, &span, None, HistoryCaps::default()).await.unwrap();
    assert_eq!(history.next, None);
    let (mut said, mut means, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for (series, one) in history.series.iter().flat_map(|series| series.buckets.iter().map(move |one| (series, one))) {
        let bucket = said::bucket(series, one, stats);
        add(&met.missing, usize::from(one.missing.is_some_and(|missing| missing > 0)));
        cells.push([vec![series.space.to_string()], said::cells(&bucket, &BUCKET)].concat());
        said.push((series.space.to_string(), series.zone.to_string(), bucket));
        means.push((stats == Stats::Full).then_some(one.bucket.mean));
    }
    let (zone, flow) = (zone.map(|zone| format!("&tz={zone}")).unwrap_or_default(), if stats == Stats::Flow { "&stats=flow" } else { "" });
    let range = format!("from={}&to={}&interval={interval}{zone}{flow}&limit={}", said::time(from), said::time(to), case.page);
    let (path, mut told, mut told_means) = (format!("/v1/history?space=hall&space=campus&{range}"), Vec::new(), Vec::new());
    for page in pages(server, &path).await {
        assert_eq!(page["computed_at"], said::time(history.now));
        for one in page["histories"].as_array().unwrap() {
            assert_eq!(one["interval"], interval);
            for bucket in one["buckets"].as_array().unwrap() {
                let (bucket, mean) = without_mean(bucket.clone());
                told.push((one["space"].as_str().unwrap().to_owned(), one["time_zone"].as_str().unwrap().to_owned(), bucket));
                told_means.push(mean);
            }
        }
    }
    assert_eq!(told, said);
    let near = |(a, b): (&Option<f64>, &Option<f64>)| a.zip(*b).map_or(a == b, |(a, b)| (a - b).abs() <= 1e-12 * b.abs());
    assert!(told_means.iter().zip(&means).all(near), "{told_means:?} {means:?}");

    let head = "space,start,end,offset,entered,exited,adjusted,count,raw,min,min_at,max,max_at,mean,missing,partial";
    let mut told = rows(server, &path, head).await;
    let mean_at = head.split(',').position(|column| column == "mean").unwrap();
    let in_csv: Vec<Option<f64>> = told.iter_mut().map(|row| std::mem::take(&mut row[mean_at]).parse().ok()).collect();
    assert_eq!((told, in_csv), (cells, means));

    let alone = pages(server, &format!("/v1/spaces/campus/history?{range}")).await;
    let alone: Vec<Value> =
        alone.iter().flat_map(|page| page["buckets"].as_array().unwrap()).map(|one| without_mean(one.clone()).0).collect();
    assert_eq!(alone, said.into_iter().filter(|(space, ..)| space == "campus").map(|(_, _, bucket)| bucket).collect::<Vec<_>>());
}

#[test]
fn answers_say_what_query_answers() {
    let met = Met::default();
    let ran = TestRunner::new(ProptestConfig::with_cases(300)).run(&case(), |case| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let server = case.server().await;
            check_counts(&case, &server, &met).await;
            check_crossings(&case, &server, &met).await;
            check_history(&case, &server, &met).await;
        });
        Ok(())
    });
    let all = [&met.crossings, &met.remainders, &met.corrections, &met.missing, &met.parts].map(|many| many.load(Ordering::Relaxed));
    println!("{all:?} crossings, remainders, corrections, buckets with crossings missing, pages that others follow");
    ran.unwrap();
    assert!(all.iter().all(|many| *many > 15), "{all:?}");
}
