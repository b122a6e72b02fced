//! The indexes of the table. They hold addresses as numbers, which compare faster than their octets.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;

use api::time::UnixTime;

use crate::lease::{Client, ClientKey, HardwareAddress, Lease, Status, Sync};
use crate::table::{Counts, Range};

#[derive(Clone, Debug, Default)]
pub(super) struct Indexes {
    pub(super) counts: Counts,
    /// Hash of the client's key, address.
    clients: BTreeSet<(u64, u32)>,
    /// Hash of the client's hardware address, address.
    hardware: BTreeSet<(u64, u32)>,
    /// `held_until` of Active leases, address.
    expiry: BTreeSet<(UnixTime, u32)>,
    available: [BTreeSet<u32>; AVAILABLE],
    /// When it became due, address.
    due: BTreeMap<u64, u32>,
    /// Address, when it became due.
    due_since: BTreeMap<u32, u64>,
    due_next: u64,
    /// By their first address.
    ranges: BTreeMap<u32, RangeIndex>,
}

#[derive(Clone, Debug)]
struct RangeIndex {
    last: u32,
    counts: Counts,
    /// When it was last used, address.
    by_use: [BTreeSet<(UnixTime, u32)>; AVAILABLE],
}

impl Indexes {
    /// Forgets all ranges; the leases in the new ones must be counted again.
    pub(super) fn register(&mut self, ranges: impl IntoIterator<Item = Range>) {
        self.ranges.clear();
        let mut ranges: Vec<Range> = ranges.into_iter().filter(|range| range.first <= range.last).collect();
        ranges.sort_unstable();
        let mut end = None;
        for Range { first, last } in ranges {
            if end.is_none_or(|end| end < first) {
                end = Some(last);
                let index = RangeIndex {
                    last: last.to_bits(),
                    counts: Counts::default(),
                    by_use: Default::default(),
                };
                self.ranges.insert(first.to_bits(), index);
            }
        }
    }

    /// Follows a change of one lease, at the same address. Touches only what differs.
    pub(super) fn change(&mut self, old: Option<&Lease>, new: Option<&Lease>) {
        let Some(address) = new.or(old).map(|lease| lease.address.to_bits()) else { return };
        let (old_client, new_client) =
            (old.and_then(|lease| lease.client.as_ref()), new.and_then(|lease| lease.client.as_ref()));
        if old_client != new_client {
            let hashes = |client: &Client| (client_hash(client), hardware_hash(&client.hardware));
            let (old, new) = (old_client.map(hashes), new_client.map(hashes));
            replace(&mut self.clients, old.map(|keys| (keys.0, address)), new.map(|keys| (keys.0, address)));
            replace(&mut self.hardware, old.map(|keys| (keys.1, address)), new.map(|keys| (keys.1, address)));
        }

        let expiry = |lease: &Lease| (lease.status == Status::Active).then_some((lease.held_until, address));
        replace(&mut self.expiry, old.and_then(expiry), new.and_then(expiry));

        let slot = |lease: &Lease| slot(lease.status);
        let (old_slot, new_slot) = (old.and_then(slot), new.and_then(slot));
        if old_slot != new_slot {
            if let Some(slot) = old_slot {
                self.available[slot].remove(&address);
            }
            if let Some(slot) = new_slot {
                self.available[slot].insert(address);
            }
        }

        let is_due = |lease: Option<&Lease>| lease.is_some_and(|lease| lease.sync == Sync::Due);
        match (is_due(old), is_due(new)) {
            (false, true) => {
                self.due.insert(self.due_next, address);
                self.due_since.insert(address, self.due_next);
                self.due_next += 1;
            }
            (true, false) => {
                if let Some(since) = self.due_since.remove(&address) {
                    self.due.remove(&since);
                }
            }
            (true, true) | (false, false) => {}
        }

        let counted = |lease: &Lease| (lease.status, lease.flags.reserved, use_key(lease));
        if old.map(counted) != new.map(counted) {
            if let Some(old) = old {
                self.counts.subtract(old);
            }
            if let Some(new) = new {
                self.counts.add(new);
            }
            self.count_in_range(old, new);
        }
    }

    /// Follows a change of one lease in the range that it lies in.
    pub(super) fn count_in_range(&mut self, old: Option<&Lease>, new: Option<&Lease>) {
        let Some(address) = new.or(old).map(|lease| lease.address.to_bits()) else { return };
        let before = self.ranges.range_mut(..=address).next_back();
        let Some((_, range)) = before.filter(|(_, range)| address <= range.last) else { return };
        if let Some(old) = old {
            range.counts.subtract(old);
            if let Some((slot, used)) = use_key(old) {
                range.by_use[slot].remove(&(used, address));
            }
        }
        if let Some(new) = new {
            range.counts.add(new);
            if let Some((slot, used)) = use_key(new) {
                range.by_use[slot].insert((used, address));
            }
        }
    }

    pub(super) fn by_client(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.clients.range((hash, 0)..=(hash, u32::MAX)).map(|(_, address)| *address)
    }

    pub(super) fn by_hardware(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.hardware.range((hash, 0)..=(hash, u32::MAX)).map(|(_, address)| *address)
    }

    pub(super) fn expiring(&self) -> impl Iterator<Item = (UnixTime, Ipv4Addr)> {
        self.expiry.iter().map(|(time, address)| (*time, Ipv4Addr::from_bits(*address)))
    }

    pub(super) fn available(&self, status: Status) -> Option<&BTreeSet<u32>> {
        slot(status).map(|slot| &self.available[slot])
    }

    /// `None` if the range is not registered, or the status is not Free or Backup.
    pub(super) fn least_recently_used(
        &self,
        range: Range,
        status: Status,
    ) -> Option<&BTreeSet<(UnixTime, u32)>> {
        let slot = slot(status)?;
        self.registered(range).map(|range| &range.by_use[slot])
    }

    /// `None` if the range is not registered.
    pub(super) fn range_counts(&self, range: Range) -> Option<Counts> {
        self.registered(range).map(|range| range.counts)
    }

    pub(super) fn due(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.due.values().map(|address| Ipv4Addr::from_bits(*address))
    }

    pub(super) fn due_len(&self) -> usize {
        self.due.len()
    }

    fn registered(&self, range: Range) -> Option<&RangeIndex> {
        self.ranges.get(&range.first.to_bits()).filter(|index| index.last == range.last.to_bits())
    }
}

/// When an address was last in use.
pub(super) fn last_used(lease: &Lease) -> UnixTime {
    lease.held_until.max(lease.starts).max(lease.cltt.unwrap_or_default())
}

/// Hash of the key of a client, without making the key.
fn client_hash(client: &Client) -> u64 {
    client.id.as_ref().map_or_else(|| hardware_hash(&client.hardware), |id| id_hash(id))
}

/// Hash of a key.
pub(super) fn key_hash(key: &ClientKey) -> u64 {
    match key {
        ClientKey::Id(id) => id_hash(id),
        ClientKey::Hardware(hardware) => hardware_hash(hardware),
    }
}

/// Hash of a hardware address.
pub(super) fn hardware_hash(hardware: &HardwareAddress) -> u64 {
    hash((1_u8, hardware))
}

fn id_hash(id: &[u8]) -> u64 {
    hash((0_u8, id))
}

/// The same in every process, as no key is drawn. Clients choose what is hashed; SipHash gives them two
/// of the same hash only after 2^32 attempts, and two cost no more than one comparison.
fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn use_key(lease: &Lease) -> Option<(usize, UnixTime)> {
    slot(lease.status).map(|slot| (slot, last_used(lease)))
}

const fn slot(status: Status) -> Option<usize> {
    match status {
        Status::Free => Some(0),
        Status::Backup => Some(1),
        Status::Active | Status::Expired | Status::Released | Status::Abandoned | Status::Reset => None,
    }
}

fn replace<K: Ord>(index: &mut BTreeSet<K>, old: Option<K>, new: Option<K>) {
    if old == new {
        return;
    }
    if let Some(old) = old {
        index.remove(&old);
    }
    if let Some(new) = new {
        index.insert(new);
    }
}

/// Number of statuses from which a new client may be given an address.
const AVAILABLE: usize = 2;
