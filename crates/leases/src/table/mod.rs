//! All leases of a server in memory, and every question that is asked of them at each packet.
//!
//! Whatever the table holds, a lookup costs at most a few steps of a tree. The indexes follow from the
//! leases alone and are never stored; only the order of what the partner must be told follows from the
//! order of the calls.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::time::UnixTime;

use crate::lease::{Client, ClientKey, HardwareAddress, Lease, Status};
use crate::table::indexes::{Indexes, hardware_hash, key_hash, last_used};

mod counts;
mod indexes;

pub use counts::Counts;

/// Addresses that are counted together, and from which one may be taken: a range of a pool.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Range {
    /// Lowest address.
    pub first: Ipv4Addr,
    /// Highest address, not below the lowest.
    pub last: Ipv4Addr,
}

/// Leases by address, with indexes.
#[derive(Clone, Debug, Default)]
pub struct Table {
    leases: BTreeMap<u32, Lease>,
    indexes: Indexes,
}

impl Table {
    /// An empty table; for the ranges see [`register`](Self::register).
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut table = Self::default();
        table.register(ranges);
        table
    }

    /// Puts other ranges in the place of those registered before. Reads the whole table.
    ///
    /// Ranges do not overlap. One that does, or that ends before it begins, is left out: it is then
    /// answered for by a scan, as every range is that was not registered.
    pub fn register(&mut self, ranges: impl IntoIterator<Item = Range>) {
        self.indexes.register(ranges);
        for lease in self.leases.values() {
            self.indexes.count_in_range(None, Some(lease));
        }
    }

    /// Puts a lease in the place of the one with the same address, which is returned.
    pub fn put(&mut self, lease: Lease) -> Option<Lease> {
        match self.leases.get_mut(&lease.address.to_bits()) {
            Some(present) => {
                let old = std::mem::replace(present, lease);
                self.indexes.change(Some(&old), Some(present));
                Some(old)
            }
            None => {
                self.indexes.change(None, Some(&lease));
                self.leases.insert(lease.address.to_bits(), lease)
            }
        }
    }

    /// Takes a lease out.
    pub fn remove(&mut self, address: Ipv4Addr) -> Option<Lease> {
        let old = self.leases.remove(&address.to_bits())?;
        self.indexes.change(Some(&old), None);
        Some(old)
    }

    /// The lease of an address.
    #[must_use]
    pub fn get(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.leases.get(&address.to_bits())
    }

    /// Number of leases.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is no lease.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// All leases by address, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Lease> {
        self.leases.values()
    }

    /// The leases from one address to another, both included, lowest first.
    pub fn range(&self, first: Ipv4Addr, last: Ipv4Addr) -> impl DoubleEndedIterator<Item = &Lease> {
        bounds(first, last).flat_map(|bounds| self.leases.range(bounds)).map(|(_, lease)| lease)
    }

    /// Addresses that this client holds or last held, in any status, lowest first.
    pub fn by_client<'a>(&'a self, key: &'a ClientKey) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let candidates = self.indexes.by_client(key_hash(key));
        self.known(candidates, move |client| match (&client.id, key) {
            (Some(id), ClientKey::Id(key)) => id == key,
            (None, ClientKey::Hardware(key)) => client.hardware == *key,
            _ => false,
        })
    }

    /// Addresses that clients with this hardware address hold or last held, in any status, with or
    /// without a client id, lowest first.
    pub fn by_hardware<'a>(&'a self, hardware: &'a HardwareAddress) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let candidates = self.indexes.by_hardware(hardware_hash(hardware));
        self.known(candidates, move |client| client.hardware == *hardware)
    }

    /// The Active address that is held the shortest, and until when.
    #[must_use]
    pub fn next_expiry(&self) -> Option<(UnixTime, Ipv4Addr)> {
        self.indexes.expiring().next()
    }

    /// Active addresses whose `held_until` lies before `time`, earliest first, then lowest first.
    pub fn expiring_before(&self, time: UnixTime) -> impl Iterator<Item = (UnixTime, Ipv4Addr)> {
        self.indexes.expiring().take_while(move |(held_until, _)| *held_until < time)
    }

    /// Addresses from `first` to `last` in this status, Free or Backup, lowest first, or highest first
    /// from the back. Nothing for another status.
    pub fn available(
        &self,
        first: Ipv4Addr,
        last: Ipv4Addr,
        status: Status,
    ) -> impl DoubleEndedIterator<Item = Ipv4Addr> {
        let available = self.indexes.available(status);
        bounds(first, last).zip(available).flat_map(|(bounds, set)| set.range(bounds)).map(to_address)
    }

    /// The same, those first that nobody used for the longest time, then lowest first. The time is the
    /// latest of `held_until`, `starts` and `cltt`.
    ///
    /// Sorts all of them unless the range is registered.
    pub fn least_recently_used(
        &self,
        first: Ipv4Addr,
        last: Ipv4Addr,
        status: Status,
    ) -> impl Iterator<Item = Ipv4Addr> {
        let range = Range { first, last };
        let registered = self.indexes.least_recently_used(range, status);
        let mut sorted: Vec<(UnixTime, u32)> = Vec::new();
        if registered.is_none() {
            let leases = self.available(first, last, status).filter_map(|address| self.get(address));
            sorted.extend(leases.map(|lease| (last_used(lease), lease.address.to_bits())));
            sorted.sort_unstable();
        }
        registered
            .into_iter()
            .flatten()
            .copied()
            .chain(sorted)
            .map(|(_, address)| Ipv4Addr::from_bits(address))
    }

    /// Addresses whose state the partner must be told, in the order in which they became due. An
    /// address that changes again keeps its place.
    pub fn due(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.indexes.due()
    }

    /// Number of addresses whose state the partner must be told.
    #[must_use]
    pub fn due_len(&self) -> usize {
        self.indexes.due_len()
    }

    /// Number of leases in each status.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.indexes.counts
    }

    /// The same from one address to another, both included. Counts them one by one unless the range is
    /// registered.
    #[must_use]
    pub fn range_counts(&self, first: Ipv4Addr, last: Ipv4Addr) -> Counts {
        self.indexes.range_counts(Range { first, last }).unwrap_or_else(|| {
            let mut counts = Counts::default();
            self.range(first, last).for_each(|lease| counts.add(lease));
            counts
        })
    }

    /// Those of the candidates whose client `is` the one sought: two may have the same hash.
    fn known<'a>(
        &'a self,
        candidates: impl Iterator<Item = u32> + 'a,
        is: impl Fn(&Client) -> bool + 'a,
    ) -> impl Iterator<Item = Ipv4Addr> + 'a {
        candidates
            .filter_map(|address| self.leases.get(&address))
            .filter(move |lease| lease.client.as_ref().is_some_and(&is))
            .map(|lease| lease.address)
    }
}

/// What a tree can be asked for; nothing if `last` is below `first`, at which a tree panics.
fn bounds(
    first: Ipv4Addr,
    last: Ipv4Addr,
) -> impl DoubleEndedIterator<Item = std::ops::RangeInclusive<u32>> + ExactSizeIterator {
    (first <= last).then(|| first.to_bits()..=last.to_bits()).into_iter()
}

fn to_address(address: &u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(*address)
}
