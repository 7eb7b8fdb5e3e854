//! The engines as tests use them: they start, answer, keep data over kill -9, and go away with whoever started them.

#[cfg(test)]
mod cassandra;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod parent;
