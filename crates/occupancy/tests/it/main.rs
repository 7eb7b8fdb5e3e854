//! The core against models written apart from it.

#[cfg(test)]
mod bucket;
#[cfg(test)]
mod count;
#[cfg(test)]
mod flip;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod topology;
