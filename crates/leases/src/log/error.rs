//! What can go wrong with a log.

use api::identity::Lsn;

use crate::log::DiskError;

/// Why a log cannot be opened or created.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something that was durable is damaged or missing, or was never ours. Nothing was changed.
    #[error("{file} at {offset}: {what}")]
    Corrupt {
        /// The segment; for a missing one, the name that it would have.
        file: String,
        /// Where in the file, in octets.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The disk failed.
    #[error("disk error while opening the log")]
    Disk(#[from] DiskError),
    /// There is no log here.
    #[error("no log here")]
    Empty,
    /// There is a log here already.
    #[error("there is a log here already")]
    Exists,
    /// Written by a newer release.
    #[error("{file} has unknown version {version}")]
    Version {
        /// The segment.
        file: String,
        /// Its version.
        version: u16,
    },
}

impl OpenError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "corrupt",
            Self::Disk(error) => error.class(),
            Self::Empty => "empty",
            Self::Exists => "exists",
            Self::Version { .. } => "version",
        }
    }
}

/// Why a batch is not, or not certainly, durable. After any of them the log takes no more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk failed.
    #[error("disk error while writing the log")]
    Disk(#[from] DiskError),
    /// The batch has an epoch before that of the log.
    #[error("batch of epoch {given} after one of {last}")]
    EpochFell {
        /// Epoch of the log.
        last: u64,
        /// Epoch of the batch.
        given: u64,
    },
    /// The floor lies behind the batch that states it.
    #[error("floor {floor} behind the last change {last}")]
    FloorAhead {
        /// The floor.
        floor: Lsn,
        /// Last change of the batch.
        last: Lsn,
    },
    /// The batch does not begin with the next change, or ends before it begins.
    #[error("batch of changes {first} to {last} where {expected} comes next")]
    OutOfOrder {
        /// The next change of the log.
        expected: Lsn,
        /// First change of the batch.
        first: Lsn,
        /// Last change of the batch.
        last: Lsn,
    },
    /// An earlier call failed; open the log again.
    #[error("an earlier write failed")]
    Poisoned,
    /// An entry or the whole batch is over its limit.
    #[error("batch of {bytes} octets is too large")]
    TooLarge {
        /// Octets of the frame.
        bytes: usize,
    },
}

impl StoreError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Disk(error) => error.class(),
            Self::EpochFell { .. } => "epoch_fell",
            Self::FloorAhead { .. } => "floor_ahead",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::Poisoned => "poisoned",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
