//! Lanes and the embedded intake over a memory store that can be held up and made to fail.

#[cfg(test)]
mod embedded;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod lane;
#[cfg(test)]
mod order;
#[cfg(test)]
mod pieces;
#[cfg(test)]
mod steered;
