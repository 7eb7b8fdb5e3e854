//! Answers, over the memory store.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod corrections;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod flips;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hooked;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod live;
#[cfg(test)]
mod model;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod support;
#[cfg(test)]
mod suspects;
#[cfg(test)]
mod watch;
