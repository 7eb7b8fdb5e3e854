//! Running one task to its end.

use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, Task};
use crate::say;

/// What shells say of a program that ended because nobody read what it printed (128 + SIGPIPE).
const NOBODY_READS: u8 = 141;

/// Runs the task; errors go to standard error, each cause on its own line.
pub(crate) fn run(args: Args) -> ExitCode {
    let usual = if matches!(args.task, Task::Demo(_)) { "warn" } else { "info" };
    match logging(args.log.as_deref().unwrap_or(usual))
        .and_then(|()| tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into))
    {
        Ok(runtime) => runtime.block_on(async { task(args.task).await.and_then(printed).unwrap_or_else(|error| failed(&error)) }),
        Err(error) => failed(&error),
    }
}

async fn task(task: Task) -> Result<ExitCode> {
    match task {
        Task::Demo(args) => crate::demo::demo(args).await,
        Task::Serve(args) => crate::serve::serve(args).await,
        Task::Ingest(args) => crate::consume::ingest(args).await,
        Task::Simulate(args) => crate::simulate::simulate(args).await,
        Task::Replay(args) => crate::replay::replay(args).await,
        Task::Pull(args) => crate::pull::pull(args).await,
        Task::Topology(args) => crate::topology::topology(args).await,
        Task::Count(args) => crate::count::count(args).await,
        Task::Explain(args) => crate::explain::explain(args).await,
        Task::Correct(args) => crate::correct::correct(args).await,
        Task::History(args) => crate::history::history(args).await,
        Task::Watch(args) => crate::watch::watch(args).await,
        Task::Quarantine(args) => crate::quarantine::quarantine(args).await,
        Task::Verify(args) => crate::verify::verify(args).await,
        Task::Copy(args) => crate::copy::copy(args).await,
        Task::Status(args) => crate::status::status(args).await,
        Task::Plan(args) => crate::plan::plan(&args),
        Task::Log(args) => crate::log::log(args).await,
        #[cfg(feature = "cql")]
        Task::Migrate(args) => crate::migrate::migrate(args).await,
    }
}

/// How a task ends whose lines may not all have been printed.
fn printed(ended: ExitCode) -> Result<ExitCode> {
    match say::unprinted() {
        None => Ok(ended),
        Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::from(NOBODY_READS)),
        Some(error) => Err(anyhow::anyhow!("cannot print the answer: {error}")),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("headcount: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
    ExitCode::FAILURE
}

fn logging(filter: &str) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    log.with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).try_init().map_err(anyhow::Error::msg)
}

/// Completes at Ctrl-C or SIGTERM, which from this call on no longer kill.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
