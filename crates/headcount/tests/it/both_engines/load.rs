//! A campus whose DPUs report to Kafka, with the truth about it. They send whole hours again, hours late, out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fleet::{Blueprint, Campus, Faults, Fleet, Mix, Pace, People, Timing};
use occupancy::crossing::Key;
use occupancy::id::{DpuId, SpaceId};
use occupancy::time::UnixMs;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use wire::Report;

use super::PATIENCE;
use super::group::Group;

/// The campus: how many DPUs it has, and how many people each sees an hour.
const DPUS: u32 = 24;
const CROSSINGS_PER_HOUR: u32 = 60;
/// When it opened: 2024-01-01.
const SINCE_MS: i64 = 1_704_067_200_000;
/// A minute there, in ms, and how long it takes here.
const MINUTE_MS: i64 = 60_000;
const BEAT: Duration = Duration::from_millis(50);
/// How often its people are counted, in its minutes.
const CENSUS_EVERY: u32 = 120;
/// Time stands still there while more records than this are to be consumed, looked at so often.
const MOST_BEHIND: i64 = 5_000;
const LOOK_EVERY: u32 = 20;

/// Where it reports to.
pub(crate) struct Log {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) partitions: u32,
}

/// What was sent, and how it was.
#[derive(Default)]
pub(crate) struct Truth {
    /// Every crossing, numbered by its DPU.
    pub(crate) sent: BTreeMap<DpuId, BTreeSet<Key>>,
    /// How many people were where, at several instants.
    pub(crate) census: Vec<(UnixMs, Vec<(SpaceId, u64)>)>,
    /// How many reports were sent.
    reports: u32,
}

/// A campus in action, on a thread of its own.
pub(crate) struct Load {
    stop: SyncSender<()>,
    thread: JoinHandle<Truth>,
}

/// What is built.
pub(crate) fn campus(seed: u64) -> Arc<Campus> {
    Arc::new(Campus::new(Blueprint::new("campus".parse().unwrap(), DPUS, UnixMs::new(SINCE_MS).unwrap(), seed)).unwrap())
}

impl Load {
    /// Lets people in.
    pub(crate) fn start(campus: Arc<Campus>, log: Log, group: Group, seed: u64) -> Self {
        let pace = Pace { crossings_per_hour: CROSSINGS_PER_HOUR, people: DPUS * 4, daily: false };
        let timing = Timing { report_every_ms: 60_000, heartbeat_every_ms: 3_600_000 };
        let people = People::new(campus, pace, UnixMs::new(SINCE_MS).unwrap(), seed);
        let fleet = Fleet::new(people, timing, Faults::new(Mix::BAD_DAY, seed));
        // However long a broker is away.
        let producer = [("bootstrap.servers", log.bootstrap.as_str()), ("enable.idempotence", "true"), ("message.timeout.ms", "0")];
        let producer: ClientConfig = producer.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let producer = producer.create().unwrap();
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut sending = Sending { fleet, log, producer, truth: Truth::default(), minutes: 0 };
            let mut behind = 0;
            for beat in 1u32.. {
                match stopped.recv_timeout(BEAT) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) => return sending.finish(),
                    // Whoever asked for it has failed.
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if beat.is_multiple_of(LOOK_EVERY) {
                    behind = group.behind().unwrap_or(0);
                }
                if behind < MOST_BEHIND {
                    sending.minute();
                }
            }
            Truth::default()
        });
        Self { stop, thread }
    }

    /// Nothing new happens; what is still held back is sent, and all of it is in Kafka.
    pub(crate) fn finish(self) -> Truth {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

struct Sending {
    fleet: Fleet,
    log: Log,
    producer: ThreadedProducer<DefaultProducerContext>,
    truth: Truth,
    minutes: u32,
}

impl Sending {
    fn minute(&mut self) {
        let now = self.fleet.at().plus_ms(MINUTE_MS);
        let reports: Vec<Report> = self.fleet.until(now).map(|sent| sent.report).collect();
        reports.into_iter().for_each(|report| self.send(report));
        self.minutes += 1;
        if self.minutes.is_multiple_of(CENSUS_EVERY) {
            self.count();
        }
    }

    fn count(&mut self) {
        self.truth.census.push((self.fleet.at(), self.fleet.people().census()));
    }

    /// Sends a report, every other one to a partition that is not its DPU's.
    fn send(&mut self, report: Report) {
        let (log, truth) = (&self.log, &mut self.truth);
        truth.reports += 1;
        let partition = (report.dpu.murmur2() % log.partitions + truth.reports % 2) % log.partitions;
        let payload = wire::report::encode(&report);
        let record = BaseRecord::to(&log.topic).key("").payload(&payload).partition(i32::try_from(partition).unwrap());
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        truth.sent.entry(report.dpu).or_default().extend(report.crossings.into_iter().flatten());
    }

    fn finish(mut self) -> Truth {
        let rest: Vec<Report> = self.fleet.rest().map(|sent| sent.report).collect();
        rest.into_iter().for_each(|report| self.send(report));
        self.count();
        self.producer.flush(PATIENCE).unwrap();
        self.truth
    }
}
