//! Marks of the protocol's rules: each is hit where its rule acts, so that a run can tell which rules it has never
//! needed.
//!
//! A mark is a cell of a table of `spec/failover-behaviour.md` ([`Mark::Transition`] and others) or a named
//! [`Rule`]. Off, as in all that ships, [`sometimes!`] is no code. With the feature `on`, which only the simulator and
//! tests have, a hit sets a bit of the thread. [`needs`] is all that a run must hit, and [`unreachable()`]
//! what it cannot hit, each with a proof.

mod mark;
mod need;
mod rule;
mod set;
mod unreachable;

pub use self::mark::{Mark, Place};
pub use self::need::{Need, needs};
pub use self::rule::Rule;
pub use self::set::{Hits, at, hit, take};
pub use self::unreachable::{Reach, unreachable};

/// Whether marks are kept.
pub const ON: bool = cfg!(feature = "on");

/// Marks that a rule acted: `sometimes!(Rule::BarrierOpens)`, or a cell of a table as a [`Mark`]; with a condition,
/// if that holds. Without the feature `on` neither is looked at.
#[macro_export]
macro_rules! sometimes {
    ($mark:expr) => {
        if $crate::ON {
            $crate::hit($crate::Mark::from($mark));
        }
    };
    ($mark:expr, $condition:expr) => {
        if $crate::ON && $condition {
            $crate::hit($crate::Mark::from($mark));
        }
    };
}
