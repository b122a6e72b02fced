//! Stories that are told on a real cluster with real DHCP clients: what they stand on.
//!
//! `e2e/cluster-tests` makes the cluster and calls them. Everything here drives `kubectl` and the
//! commands of `e2e/cluster/` as processes, as a person would, so a story proves what a person sees.

pub mod client;
pub mod cluster;
pub mod failure;
pub mod kubectl;
pub mod pair;
pub mod process;
pub mod story;

pub use failure::{Failure, Told, ensure, wait_until};
pub use pair::{Pair, Role};
pub use story::{Story, story};
