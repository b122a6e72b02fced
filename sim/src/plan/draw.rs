//! Numbers of a plan.

use leases::log::testing::Generator;

/// Draws the numbers of one part of a plan.
pub(crate) struct Draw(Generator);

impl Draw {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Generator::new(seed))
    }

    /// Any number from `least` to `most`.
    pub(crate) const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.below(most - least + 1)
    }

    /// One time of so many.
    pub(crate) const fn one_of(&mut self, count: u64) -> bool {
        self.between(0, count - 1) == 0
    }

    /// The mean time between faults of a kind that one plan of so many has, in milliseconds, drawn in seconds; 0 for none.
    pub(crate) const fn mean(&mut self, one_of: u64, least: u64, most: u64) -> u64 {
        if self.one_of(one_of) { self.between(least, most) * 1000 } else { 0 }
    }
}
