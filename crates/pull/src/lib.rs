//! Crossings and interval counts fetched from somebody else's HTTP API, page by page, for good.
//!
//! ```text
//! Provider (the file) -> Fetcher (one page, within limits) -> batch::take (items to reports) -> Outlet -> State (the cursor)
//! ```
//!
//! # Guarantees
//!
//! Nothing is lost: the cursor moves past a page only once the [`Outlet`] says that all the page held is durable, and is
//! itself durable before the next page is asked for. A page that cannot be read is asked for again, never skipped; an
//! item that cannot be read goes to the outlet as [`Rejected`].
//!
//! Nothing counts twice: an item becomes the same crossings each time it is read, so a page may be read again after a
//! crash at any moment. For interval counts see [`wire::interval`]: a count that was raised adds the difference. Of
//! what an interval may have added is kept a note, durable *before* it is published; so an interval that was
//! lowered since is noticed and told, as it cannot be taken back.
//!
//! The future of [`Puller::round`] may be dropped at any await.

mod batch;
mod config;
mod fetch;
mod headers;
mod item;
mod limits;
mod memory;
mod pace;
mod page;
mod puller;
mod state;
mod wait;

pub use batch::{Batch, Rejected};
pub use config::{ConfigError, Provider};
pub use fetch::Trouble;
pub use limits::Limits;
pub use puller::{Outlet, PullError, Puller, Round};
pub use state::{State, StateError};
