//! The program as its users meet it: started, asked, killed, started again.

#[cfg(feature = "cql")]
#[cfg(test)]
mod both_engines;
#[cfg(test)]
mod calit2;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod copy;
#[cfg(feature = "cql")]
#[cfg(test)]
mod copy_cql;
#[cfg(test)]
mod corrections;
#[cfg(feature = "cql")]
#[cfg(test)]
mod cql;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod firmware;
#[cfg(test)]
mod kill_9;
#[cfg(feature = "cql")]
#[cfg(test)]
mod live;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod program;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod quarantine;
#[cfg(feature = "cql")]
#[cfg(test)]
mod roles;
#[cfg(test)]
mod stalled;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod watched;
