//! `replay`: send a file of crossings, reports or interval counts. Sending a line twice changes nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use fleet::replay::{Crossings, Intervals, Line, ReplayError, Reports};
use indicatif::{ProgressBar, ProgressStyle};
use wire::Report;

use crate::args::{Format, Replay};
use crate::outlet::{Outlet, Sent};
use crate::run::told_to_stop;
use crate::say::say;

/// How many bad lines are shown; the rest is counted.
const SHOWN: u64 = 20;

/// A line of the file, or what is wrong with it.
type Item = std::result::Result<Line, ReplayError>;

/// Sends the file. Exit status 1 if a line could not be read, or was kept out of the ledgers.
pub(crate) async fn replay(args: Replay) -> Result<ExitCode> {
    let bar = progress(&args.file);
    let input = bar.wrap_read(open(&args.file)?);
    let lines = lines(args.format, args.interval, Box::new(BufReader::new(input)))?;
    let outlet = Outlet::open(&args.to).await?;
    let mut job = Job {
        bar,
        batch: args.batch.into(),
        pending: Vec::new(),
        crossings: 0,
        read: 0,
        done: args.from_line.saturating_sub(1),
        sent: Sent::default(),
        bad: 0,
    };
    let stop = told_to_stop()?;
    tokio::pin!(stop);
    let ended = tokio::select! {
        ended = job.send(lines, &outlet) => ended.map(|()| true),
        () = &mut stop => Ok(false),
    };
    job.bar.finish_and_clear();
    say!("{}; {} lines could not be read", job.sent, job.bad);
    if matches!(ended, Ok(true)) && args.from_line > 1 && job.read < args.from_line {
        anyhow::bail!("the file ends at line {}, before --from-line {}", job.read, args.from_line);
    }
    if !matches!(ended, Ok(true)) {
        say!("go on with --from-line {}: what was sent twice counts once", job.done + 1);
    }
    Ok(if ended? && job.bad + job.sent.quarantined == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A replay under way.
struct Job {
    bar: ProgressBar,
    /// Crossings to send at once.
    batch: usize,
    pending: Vec<Report>,
    /// Crossings pending.
    crossings: usize,
    /// The last line that was read.
    read: u64,
    /// The last line that need not be sent again.
    done: u64,
    sent: Sent,
    bad: u64,
}

impl Job {
    async fn send(&mut self, lines: impl Iterator<Item = Item>, outlet: &Outlet) -> Result<()> {
        let from = self.done;
        for item in lines {
            self.read = item.as_ref().map_or_else(|error| error.line, |line| line.number);
            match item {
                _ if self.read <= from => {}
                Ok(line) => self.add(line.report),
                Err(error) => {
                    self.bad += 1;
                    if self.bad <= SHOWN {
                        self.bar.suspend(|| eprintln!("{error}"));
                    }
                }
            }
            if self.crossings >= self.batch {
                self.flush(outlet).await?;
            }
        }
        self.flush(outlet).await
    }

    /// Adds a report to the batch: to the DPU's last one, so that runs of one DPU's lines travel as one report, and in
    /// parts where it is larger than a batch.
    fn add(&mut self, report: Report) {
        self.crossings += report.crossings.len();
        let batch = self.batch;
        match self.pending.last_mut() {
            Some(last) if continues(last, &report) && last.crossings.len() + report.crossings.len() <= batch => {
                last.crossings.extend(report.crossings);
            }
            _ if report.crossings.len() <= batch => self.pending.push(report),
            _ => {
                let part = |crossings: &[_]| Report { crossings: crossings.to_vec(), ..report.clone() };
                self.pending.extend(report.crossings.chunks(batch).map(part));
            }
        }
    }

    async fn flush(&mut self, outlet: &Outlet) -> Result<()> {
        let sent = outlet.send(&self.pending).await?;
        self.pending.clear();
        self.crossings = 0;
        self.sent = self.sent.plus(sent);
        self.done = self.done.max(self.read);
        self.bar.set_message(self.sent.to_string());
        Ok(())
    }
}

/// Whether a report's crossings may travel in the report before it.
fn continues(last: &Report, report: &Report) -> bool {
    last.dpu == report.dpu && last.accept_clock == report.accept_clock && report.heartbeat.is_none()
}

fn open(file: &Path) -> Result<Box<dyn io::Read + Send>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?))
}

fn progress(file: &Path) -> ProgressBar {
    let bytes = std::fs::metadata(file).map_or(0, |found| found.len());
    let style = ProgressStyle::with_template("{bar:40} {percent}% {bytes_per_sec} {msg}");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The reader of a format.
pub(crate) fn lines(
    format: Format,
    interval: Option<Duration>,
    input: Box<dyn BufRead + Send>,
) -> Result<Box<dyn Iterator<Item = Item> + Send>> {
    Ok(match format {
        Format::Crossings => Box::new(Crossings::open(input)?),
        Format::Reports => Box::new(Reports::new(input)),
        Format::Intervals => {
            let ms = interval.and_then(|interval| u32::try_from(interval.as_millis()).ok()).and_then(NonZeroU32::new);
            Box::new(Intervals::open(input, ms.context("--interval must be between 1 ms and 49 days")?)?)
        }
    })
}
