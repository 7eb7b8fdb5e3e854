//! Pulling from a real HTTP server that makes trouble.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod file;
#[cfg(test)]
mod intervals;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod secured;
