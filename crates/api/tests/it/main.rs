//! The routes, over the memory store and the embedded intake.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod corrections;
#[cfg(test)]
mod doubts;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod history;
#[cfg(test)]
mod live;
#[cfg(test)]
mod manners;
#[cfg(test)]
mod model;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod trouble;
