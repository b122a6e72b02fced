//! Deterministic simulation of a pair: the production servers, log included, in virtual time, with
//! clients, a network and disks that fail. One seed gives one history.
//!
//! [`World::run`] plays a seed and checks the invariants of `spec/failover-behaviour.md` §14 after every
//! step; a broken one ends it with [`Violation`]. [`Search`] plays every history of a small pair, as far as
//! time allows, instead of some of a large one. Nothing here reads a clock or draws a random number
//! from outside.

mod assumption;
mod check;
mod client;
mod coverage;
mod history;
mod hole;
mod isc;
mod network;
mod node;
mod plan;
mod search;
mod shrink;
mod world;

pub use assumption::Assumption;
pub use check::Violation;
pub use coverage::Coverage;
pub use hole::Hole;
pub use plan::Plan;
pub use search::{Broken, Found, Search};
pub use shrink::shrink;
pub use world::{Outcome, World};
