//! Plans hold what they promise, whatever is asked for.

#[cfg(test)]
mod asked;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod refused;
