//! The commit protocol under simulation, and the proof that the simulation notices what is wrong.

#[cfg(test)]
mod bugs;
#[cfg(test)]
mod seeds;
