//! What the simulated campus, its faults and the readers of recorded files promise.

#[cfg(test)]
mod calit2;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod simulation;
