//! What a person or another program reads: lines on standard output.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::process::exit;

/// What shells say of a program that ended because nobody read it any more (128 + SIGPIPE).
const NOBODY_READS: i32 = 141;

/// Prints a line, as `println!` does; but where that would panic, [`line`] ends the program in order.
macro_rules! say {
    () => { $crate::say::line(format_args!("")) };
    ($($told:tt)*) => { $crate::say::line(format_args!($($told)*)) };
}
pub(crate) use say;

/// Ends the program where it cannot print: quietly once whoever read has left (`headcount history hall | head -1`), with
/// the reason where, say, the disk is full. What was made durable before is not touched by that.
pub(crate) fn line(told: Arguments<'_>) {
    match writeln!(std::io::stdout(), "{told}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(NOBODY_READS),
        Err(error) => {
            eprintln!("headcount: cannot print the answer: {error}");
            exit(1)
        }
    }
}
