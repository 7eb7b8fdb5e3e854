//! Kafka Streams: its program, and what it answers.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use engines::Process;
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::args::Plan;
use crate::client::{Connection, request};
use crate::counts::{Questions, Since, Took, compare};
use crate::fleet::Fleet;
use crate::report::Measured;
use crate::served::disk_bytes;
use crate::topic::Topic;

pub(crate) const NAME: &str = "Kafka Streams";
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Of the library that runs.
pub(crate) fn version(classes: &Path) -> Option<String> {
    let jars = std::fs::read_dir(classes.join("jars")).ok()?.flatten();
    let names = jars.filter_map(|jar| jar.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_prefix("kafka-streams-")?.strip_suffix(".jar")?.to_owned())).next()
}

/// A running instance.
struct Streams {
    process: Process,
    log: PathBuf,
    address: SocketAddr,
}

impl Streams {
    fn start(classes: &Path, topic: &Topic, application: &str, folder: &Path) -> Result<Self> {
        let java = std::env::var_os("JAVA_HOME").map_or_else(|| PathBuf::from("java"), |home| PathBuf::from(home).join("bin/java"));
        let threads = std::thread::available_parallelism()?.to_string();
        let mut command: Vec<OsString> = vec![java.into(), "-Xmx2g".into()];
        command.extend(["-Dsun.net.httpserver.nodelay=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"].map(OsString::from));
        command.push(format!("{0}:{0}/jars/*", classes.display()).into());
        command.extend(["headcount.Streams", &topic.brokers, &topic.name, application].map(OsString::from));
        command.extend([folder.join("state").into_os_string(), threads.into()]);
        let log = folder.join("log");
        let mut process = Process::start(&command, &log)?;
        let begun = Instant::now();
        loop {
            let said = std::fs::read_to_string(&log)?;
            let address = said.lines().find_map(|line| line.strip_prefix("answers at http://")?.parse().ok());
            if let Some(address) = address {
                return Ok(Self { process, log, address });
            }
            if process.ended().is_some() || begun.elapsed() > PATIENCE {
                bail!("{NAME} did not start; it said:\n{said}");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// One that has taken in what a fleet saw, and counts it right; `taken` waits until it has, and what that tells.
    fn filled<T>(
        classes: &Path,
        folder: &Path,
        runtime: &Runtime,
        topic: &Topic,
        application: &str,
        fleet: &Fleet,
        taken: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Self)> {
        std::fs::create_dir(folder)?;
        let mut streams = Self::start(classes, topic, application, folder)?;
        let told = taken(&mut streams)?;
        let all = streams.ask(runtime, "/all")?;
        let found = all.lines().map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().with_context(|| format!("{line:?} is no DPU"));
            anyhow::Ok((word()?.trim_start_matches('d').parse()?, word()?.parse()?, word()?.parse()?))
        });
        compare(NAME, fleet, found.collect::<Result<Vec<_>>>()?)?;
        Ok((told, streams))
    }

    fn check(&mut self) -> Result<()> {
        match self.process.ended() {
            None => Ok(()),
            Some(status) => bail!("{NAME} ended with {status}; it said:\n{}", std::fs::read_to_string(&self.log)?),
        }
    }

    fn ask(&self, runtime: &Runtime, path: &str) -> Result<String> {
        runtime.block_on(async { Ok(Connection::to(self.address).await?.succeed(&request("GET", path, "", "")).await?.to_owned()) })
    }

    /// Ends it in order, its state on disk.
    fn stop(mut self) -> Result<()> {
        self.process.signal(Signal::TERM);
        let begun = Instant::now();
        while self.process.ended().is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("{NAME} did not end within {PATIENCE:?}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

/// Has it take the topic in, then asks it.
pub(crate) fn measure(classes: &Path, folder: &Path, runtime: &Runtime, topic: &Topic, plan: &Plan, fleet: &Fleet) -> Result<Measured> {
    let application = format!("peers.streams.{}", std::process::id());
    let taken = |streams: &mut Streams| topic.await_taken(&application, plan, || streams.check());
    let (crossings_per_s, streams) = Streams::filled(classes, folder, runtime, topic, &application, fleet, taken)?;
    let questions = Questions { fleet, since: Since::Beginning, rooms: plan.rooms, counts: plan.lookups };
    let took = questions.of_streams(runtime, NAME, streams.address)?;
    let changelogs: u64 = streams.ask(runtime, "/changelogs")?.parse()?;
    streams.stop()?;
    let disk_bytes = changelogs + disk_bytes(&folder.join("state"))?;
    std::fs::remove_dir_all(folder)?;
    Ok(Measured { who: NAME, crossings_per_s, took, disk_bytes })
}

/// Has it take a long past in, of so many records, then asks it.
pub(crate) fn stored(
    classes: &Path,
    folder: &Path,
    runtime: &Runtime,
    topic: &Topic,
    records: usize,
    questions: &Questions<'_>,
) -> Result<Took> {
    let application = format!("{}.streams", topic.name);
    let taken = |streams: &mut Streams| topic.await_records(&application, records, || streams.check());
    let ((), streams) = Streams::filled(classes, folder, runtime, topic, &application, questions.fleet, taken)?;
    let took = questions.of_streams(runtime, NAME, streams.address)?;
    streams.stop()?;
    std::fs::remove_dir_all(folder)?;
    Ok(took)
}
