//! What a power cut does.

use leases::log::testing::Generator;

/// What becomes of the unsynced changes of one file, or of one directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// All of them reached the disk.
    Kept,
    /// None of them did.
    Lost,
    /// The first ones did, and of the next write some octets.
    Prefix,
    /// Any of them did, of a write any sectors, and one sector in part.
    Torn,
}

impl Cut {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Lost, Self::Prefix, Self::Torn];

    /// One of them.
    pub fn any(generator: &mut Generator) -> Self {
        Self::ALL[generator.below(Self::ALL.len() as u64) as usize]
    }

    /// Takes those changes out of a list that are lost whole. The one after a prefix is returned apart.
    pub(crate) fn choose<T>(self, changes: &mut Vec<T>, generator: &mut Generator) -> Option<T> {
        match self {
            Self::Kept => None,
            Self::Lost => {
                changes.clear();
                None
            }
            Self::Prefix => {
                let end = generator.below(changes.len() as u64 + 1) as usize;
                changes.drain(end..).next()
            }
            Self::Torn => {
                changes.retain(|_| generator.below(4) > 0);
                None
            }
        }
    }
}
