//! What a power cut does to a list of unsynced changes.

use leases::log::testing::{Cut, Generator};

/// Takes those changes out of a list that are lost whole. The one after a prefix is returned apart.
pub(crate) fn choose<T>(cut: Cut, changes: &mut Vec<T>, generator: &mut Generator) -> Option<T> {
    match cut {
        Cut::Kept => None,
        Cut::Lost => {
            changes.clear();
            None
        }
        Cut::Prefix => {
            let end = generator.below(changes.len() as u64 + 1) as usize;
            changes.drain(end..).next()
        }
        Cut::Torn => {
            changes.retain(|_| generator.below(4) > 0);
            None
        }
    }
}
