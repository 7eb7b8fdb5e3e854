//! The program as its users meet it: started, asked, killed, started again.

#[cfg(test)]
mod calit2;
#[cfg(test)]
mod commands;
#[cfg(feature = "cql")]
#[cfg(test)]
mod cql;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod kill_9;
#[cfg(feature = "cql")]
#[cfg(test)]
mod live;
#[cfg(test)]
mod program;
#[cfg(test)]
mod tidy;
