//! The admin API: what operators, probes and `dhcp-pod ctl` ask a running server.
//!
//! On the unix socket and on a loopback address it is plain HTTP, and the caller counts as a human;
//! everywhere else the caller proves by certificate that it is the pair's operator.

pub mod body;
mod force;
mod listener;
mod problem;
mod routes;
mod watch;

use std::sync::Arc;

use api::identity::Role;

pub use listener::{Error, serve_tcp, serve_unix};
pub use problem::Problem;

use crate::handle::Handle;
use crate::link::Tracer;
use crate::metrics::Metrics;

/// What the routes need.
#[derive(Clone)]
pub struct Admin {
    /// The engine.
    pub engine: Handle,
    /// Which of the two servers this is.
    pub role: Role,
    /// For `/metrics`, and to count requests.
    pub metrics: Arc<Metrics>,
    /// For `/v1/trace`.
    pub tracer: Tracer,
}

#[cfg(test)]
mod tests;
