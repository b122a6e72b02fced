//! What promises rest on (`spec/failover-behaviour.md` §14). A seed that breaks one is played on, but a promise that
//! rests on it is not held against the servers from then on.

use std::fmt;

use crate::check::Violation;

/// An assumption that a seed may break.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Assumption {
    /// A1: clocks differ by little, and every difference is known.
    Clocks,
    /// A2: a store that was lost or restored is noticed.
    Stores,
}

impl Assumption {
    /// Whether a violation may follow from its breach.
    #[must_use]
    pub(crate) fn excuses(self, violation: &Violation) -> bool {
        let excused: &[&str] = match self {
            Self::Clocks => &["I1", "I2", "I3", "I4", "I5", "I8", "I12"],
            Self::Stores => &["I1", "I2", "I3", "I5", "I7", "I8", "I13"],
        };
        let name = violation.invariant.split(' ').next().unwrap_or_default();
        excused.contains(&name)
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clocks => "A1 clocks",
            Self::Stores => "A2 stores",
        })
    }
}
