//! What the log stores.

use std::fmt;

use api::identity::Lsn;

/// Identity of a store, drawn once at its creation. Files of another store are never read as ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StoreId(pub [u8; 16]);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// One record. The log does not look into it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// 1 is a [`Lease`](crate::lease::Lease); the others belong to the `server` crate.
    pub kind: u8,
    /// Content, at most [`Entry::BODY_BYTES_MAX`] octets.
    pub body: Vec<u8>,
}

impl Entry {
    /// Kind of an entry whose body is an encoded [`Lease`](crate::lease::Lease).
    pub const LEASE: u8 = 1;
    /// Longest body, in octets.
    pub const BODY_BYTES_MAX: usize = 16 << 20;
}

/// Changes that become durable together or not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// Start counter plus store generation; never lower than that of the batch before.
    pub epoch: u64,
    /// First change: the one after the last change of the batch before. The first of a store is 1.
    pub first: Lsn,
    /// Last change, at least `first`.
    pub last: Lsn,
    /// The records, to be read back in this order. Their number need not be that of the changes.
    pub entries: Vec<Entry>,
    /// Every live record was logged (again) at this change or later, this batch included. Segments
    /// that end before it may go once the batch is durable. Zero keeps everything; at most `last`.
    pub floor: Lsn,
}
