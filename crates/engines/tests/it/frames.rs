//! The few bytes it takes to ask an engine something, without a client library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use engines::EngineError;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The engine a test asked for, or `None` where Java is missing.
pub(crate) fn there<T, E: std::borrow::Borrow<EngineError> + std::fmt::Debug>(started: Result<T, E>) -> Option<T> {
    engines::or_skip(started).unwrap()
}

/// Whether a broker answers ApiVersions: with the request's number and without an error.
pub(crate) fn api_versions(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    // Length, request 18, version 0, number 7, no client id.
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).unwrap();
    answer[4..] == [0, 0, 0, 7, 0, 0]
}

/// A connection to Cassandra.
pub(crate) struct Cql(TcpStream);

impl Cql {
    const ERROR: u8 = 0;
    const OPTIONS: u8 = 5;
    const SUPPORTED: u8 = 6;

    /// Connects, after asking what is supported.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut cql = Self(connect(address));
        let (opcode, body) = cql.frame(Self::OPTIONS, &[]);
        assert_eq!(opcode, Self::SUPPORTED);
        assert!(String::from_utf8_lossy(&body).contains("CQL_VERSION"));
        let startup = [&[0, 1][..], &short("CQL_VERSION"), &short("3.0.0")].concat();
        let (opcode, body) = cql.frame(1, &startup);
        assert_eq!(opcode, 2, "{}", String::from_utf8_lossy(&body));
        cql
    }

    /// A connection that is told when tables change, once the node knows.
    pub(crate) fn told_of_tables(address: SocketAddr) -> Self {
        let mut cql = Self::connect(address);
        let (opcode, body) = cql.frame(11, &[&[0, 1][..], &short("SCHEMA_CHANGE")].concat());
        assert_eq!(opcode, 2, "{}", String::from_utf8_lossy(&body));
        cql
    }

    /// Waits until it is told.
    pub(crate) fn hear(&mut self) {
        let (opcode, body) = self.read();
        assert_eq!(opcode, 12, "{}", String::from_utf8_lossy(&body));
    }

    /// Runs a statement at a consistency (1 is ONE, 4 is QUORUM): the body of its result.
    pub(crate) fn run(&mut self, statement: &str, consistency: u8) -> Vec<u8> {
        self.ask(statement, consistency).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// The same, or the error.
    pub(crate) fn ask(&mut self, statement: &str, consistency: u8) -> Result<Vec<u8>, String> {
        let length = u32::try_from(statement.len()).unwrap().to_be_bytes();
        let (opcode, body) = self.frame(7, &[&length[..], statement.as_bytes(), &[0, consistency, 0]].concat());
        if opcode == Self::ERROR { Err(String::from_utf8_lossy(&body).into_owned()) } else { Ok(body) }
    }

    /// One request and its answer, in version 4 of the protocol: (opcode, body).
    fn frame(&mut self, opcode: u8, body: &[u8]) -> (u8, Vec<u8>) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&[4, 0, 0, 0, opcode][..], &length, body].concat()).unwrap();
        self.read()
    }

    fn read(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes(*head.last_chunk().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (head[4], body)
    }
}

/// A text as the protocol writes it.
fn short(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}
