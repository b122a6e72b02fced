//! Numbers of leases by status.

use crate::lease::{Lease, Status};

/// Numbers of leases by status. A reserved lease counts as both, so that it can be left out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    all: [u32; STATUSES],
    reserved: [u32; STATUSES],
}

impl Counts {
    /// Number of leases in this status.
    #[must_use]
    pub const fn of(&self, status: Status) -> u32 {
        self.all[status as usize]
    }

    /// Number of leases in this status that are reserved for no client: what the servers share out
    /// (`spec/failover-behaviour.md` §6.2).
    #[must_use]
    pub const fn unreserved(&self, status: Status) -> u32 {
        self.all[status as usize] - self.reserved[status as usize]
    }

    /// Number of all leases.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.all.iter().sum()
    }

    pub(super) fn add(&mut self, lease: &Lease) {
        self.all[lease.status as usize] += 1;
        self.reserved[lease.status as usize] += u32::from(lease.flags.reserved);
    }

    pub(super) fn subtract(&mut self, lease: &Lease) {
        self.all[lease.status as usize] -= 1;
        self.reserved[lease.status as usize] -= u32::from(lease.flags.reserved);
    }
}

const STATUSES: usize = Status::ALL.len();
