//! Reports as NDJSON: on each line one, as it is sent over HTTP.

use std::collections::VecDeque;
use std::io::BufRead;

use wire::Report;

use crate::replay::lines::Lines;
use crate::replay::{Line, Problem, ReplayError};

/// Reads reports as NDJSON. Where parts of a report cannot be read, an error for each comes first, then the report
/// with the rest.
#[derive(Debug)]
pub struct Reports<R> {
    lines: Lines<R>,
    /// What else the last line has to say.
    more: VecDeque<Result<Line, ReplayError>>,
}

impl<R: BufRead> Reports<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self { lines: Lines::new(input), more: VecDeque::new() }
    }
}

impl<R: BufRead> Iterator for Reports<R> {
    type Item = Result<Line, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.more.is_empty() {
            let (number, text) = match self.lines.next_line()? {
                Ok(next) => next,
                Err(error) => return Some(Err(error)),
            };
            match decode(text) {
                Ok(report) => self.more.extend(parts(number, report)),
                Err(problem) => return Some(Err(ReplayError { line: number, problem })),
            }
        }
        self.more.pop_front()
    }
}

fn decode(text: &str) -> Result<Report, Problem> {
    if !text.starts_with('{') {
        return Err(Problem::NotAnObject);
    }
    wire::report::decode(text.as_bytes()).map_err(Problem::Report)
}

/// The parts that cannot be read, then the report without them.
fn parts(number: u64, mut report: Report) -> Vec<Result<Line, ReplayError>> {
    let bad = report.crossings.iter().enumerate().filter_map(|(index, crossing)| {
        let detail = crossing.as_ref().err()?.detail.clone();
        Some(Err(ReplayError { line: number, problem: Problem::Part { index, detail } }))
    });
    let mut parts: Vec<_> = bad.collect();
    report.crossings.retain(Result::is_ok);
    parts.push(Ok(Line { number, report }));
    parts
}
