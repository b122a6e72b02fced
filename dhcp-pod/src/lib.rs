//! The process around the server core: sockets, disk, threads, admin API and metrics.
//!
//! The core ([`server::Server`]) decides everything and does no I/O. One engine thread owns it and
//! the sockets towards clients; one commit thread owns the log; the link to the partner, the admin API and
//! signals run on tokio. They meet in bounded channels only.

pub mod admin;
pub mod cli;
pub mod client;
pub mod engine;
pub mod handle;
pub mod link;
pub mod logging;
pub mod manifest;
pub mod metrics;
pub mod net;
pub mod serve;
pub mod snapshot;
pub mod store;
pub mod task;
pub mod tls;
pub mod tools;
pub mod wake;
