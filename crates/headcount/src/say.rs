//! What a person or another program reads: lines on standard output.

use std::fmt::Arguments;
use std::io::{Error, Write};
use std::sync::OnceLock;

/// Why a line could not be printed, the first that could not.
static UNPRINTED: OnceLock<Error> = OnceLock::new();

/// Prints a line, as `println!` does; but where that would panic, what is under way goes on to its end, which then tells.
macro_rules! say {
    () => { $crate::say::line(format_args!("")) };
    ($($told:tt)*) => { $crate::say::line(format_args!($($told)*)) };
}
pub(crate) use say;

pub(crate) fn line(told: Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{told}") {
        // Only the first is kept: the others say the same.
        let _ = UNPRINTED.set(error);
    }
}

/// Why not all that was said could be printed: nobody reads it any more (`headcount history hall | head -1`), or, say, the
/// disk is full.
pub(crate) fn unprinted() -> Option<&'static Error> {
    UNPRINTED.get()
}
