//! Lines of a file, numbered, one in memory at a time.

use std::io::{BufRead, Read};

use crate::replay::{Problem, ReplayError};

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// The lines of a file that are not blank.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    number: u64,
    line: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, number: 0, line: Vec::new(), ended: false }
    }

    /// How many lines were read.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line that is not blank, with its number. A line that is no text is an error and the next one follows;
    /// after a failure to read nothing does.
    pub(crate) fn next_line(&mut self) -> Option<Result<(u64, &str), ReplayError>> {
        loop {
            match self.read() {
                Ok(true) if self.line.trim_ascii().is_empty() => {}
                Ok(true) => break,
                Ok(false) => return None,
                Err(problem) => return Some(Err(ReplayError { line: self.number, problem })),
            }
        }
        let number = self.number;
        // Some editors begin a file with a byte order mark.
        let bytes = if number == 1 { self.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.line) } else { &self.line };
        let text = std::str::from_utf8(bytes).map(str::trim);
        Some(text.map(|text| (number, text)).map_err(|_| ReplayError { line: number, problem: Problem::NotText }))
    }

    /// Reads a line; whether there was one.
    fn read(&mut self) -> Result<bool, Problem> {
        if self.ended {
            return Ok(false);
        }
        self.line.clear();
        self.number += 1;
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line).and_then(|read| {
            let too_long = self.line.len() > MAX_LINE_BYTES && !self.line.ends_with(b"\n");
            if too_long {
                self.input.skip_until(b'\n')?;
            }
            Ok((read, too_long))
        });
        match read {
            Ok((_, true)) => Err(Problem::TooLong),
            Ok((read, false)) => {
                self.ended = read == 0;
                Ok(!self.ended)
            }
            Err(error) => {
                self.ended = true;
                Err(Problem::Io(error.to_string()))
            }
        }
    }
}
