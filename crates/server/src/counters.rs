//! Counts by family and label. Labels come from code, never from the network.

use std::collections::BTreeMap;

/// Counts that only rise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<(&'static str, &'static str), u64>);

impl Counters {
    /// Counts something.
    pub(crate) fn add(&mut self, family: &'static str, label: &'static str, count: u64) {
        if count > 0 {
            *self.0.entry((family, label)).or_default() += count;
        }
    }

    /// Everything counted so far.
    pub(crate) fn all(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.0
    }
}
