//! Real Apache Kafka and Apache Cassandra for tests and for trying out: on loopback, on free ports, without containers.
//!
//! Their jars come from Maven once and are kept in the target folder; Java 17 and Maven are all that is needed.
//!
//! # Guarantees
//! An engine lives no longer than the process that started it, whatever ends that process: each JVM has a watcher, a
//! shell that reads from a pipe held by this process. At its end, which even kill -9 brings about, the watcher kills
//! the JVM. The data folder has a watcher of the same kind that removes it. [`Process`] and
//! [`Folder`] do so for any program.

mod cassandra;
mod error;
mod folder;
mod jars;
mod kafka;
mod node;
mod port;
mod postgres;
mod process;
mod proxy;

pub use cassandra::{Cassandra, CassandraOptions};
pub use error::EngineError;
pub use folder::Folder;
pub use kafka::{Kafka, KafkaOptions};
pub use node::Node;
pub use postgres::postgres;
pub use process::Process;
pub use proxy::Proxy;

/// Sees to it that both engines could be started: Java is there, and their jars.
///
/// # Errors
/// Java or Maven is missing, or the jars cannot be fetched.
pub fn prepare() -> Result<(), EngineError> {
    jars::java()?;
    ["kafka", "cassandra"].into_iter().try_for_each(|name| jars::jars(name).map(drop))
}

/// The engine, or `None` where Java or Maven is missing, with one line that says what to install. Where the
/// environment holds `CI=true` that is an error too: there, nothing may go untested unseen.
///
/// # Errors
/// Whatever else kept the engine from starting.
pub fn or_skip<T, E: std::borrow::Borrow<EngineError>>(started: Result<T, E>) -> Result<Option<T>, E> {
    match started {
        Ok(engine) => Ok(Some(engine)),
        Err(error) if error.borrow().is_missing() && std::env::var_os("CI").is_none_or(|ci| ci != "true") => {
            eprintln!("not tested: {}", error.borrow());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
