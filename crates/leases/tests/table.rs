//! The table against a plain list of leases that is searched from end to end.

use std::net::Ipv4Addr;

use api::time::UnixTime;
use leases::lease::{Client, ClientKey, HardwareAddress, Lease, Status, Sync};
use leases::table::{Range, Table};
use proptest::prelude::*;

/// Addresses 10.0.0.0 to 10.0.0.7: few, so that each changes often.
const ADDRESSES: u8 = 8;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn range(first: u8, last: u8) -> Range {
    Range { first: address(first), last: address(last) }
}

#[derive(Clone, Debug)]
enum Operation {
    Put(Lease),
    Remove(u8),
    Register(Vec<Range>),
}

prop_compose! {
    fn client()(mac in 0..3_u8, id in proptest::option::of(0..3_u8)) -> Client {
        Client { hardware: HardwareAddress { kind: 1, octets: vec![2, mac] }, id: id.map(|id| vec![2, id]) }
    }
}

prop_compose! {
    fn lease()(
        last in 0..ADDRESSES,
        status in prop_oneof![
            3 => Just(Status::Free),
            2 => Just(Status::Backup),
            2 => Just(Status::Active),
            2 => proptest::sample::select(Status::ALL.to_vec()),
        ],
        sync in proptest::sample::select(vec![Sync::Agreed, Sync::Due, Sync::Rejected]),
        client in proptest::option::of(client()),
        held_until in 0..5_u64, starts in 0..5_u64, cltt in proptest::option::of(0..5_u64),
        without_end in proptest::bool::weighted(0.1),
        reserved: bool,
    ) -> Lease {
        let mut lease = Lease::new(address(last));
        lease.status = status;
        lease.sync = sync;
        lease.client = client;
        lease.held_until = if without_end { UnixTime::INFINITE } else { UnixTime::new(held_until) };
        lease.starts = UnixTime::new(starts);
        lease.cltt = cltt.map(UnixTime::new);
        lease.flags.reserved = reserved;
        lease
    }
}

prop_compose! {
    /// May overlap, or end before they begin.
    fn ranges()(ends in proptest::collection::vec((0..ADDRESSES, 0..ADDRESSES), 0..4)) -> Vec<Range> {
        ends.into_iter().map(|(first, last)| range(first, last)).collect()
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        20 => lease().prop_map(Operation::Put),
        3 => (0..ADDRESSES).prop_map(Operation::Remove),
        1 => ranges().prop_map(Operation::Register),
    ]
}

/// A list of leases by address, and of the due ones by when they became due.
#[derive(Default)]
struct Model {
    leases: Vec<Lease>,
    due: Vec<Ipv4Addr>,
}

impl Model {
    fn put(&mut self, lease: Lease) -> Option<Lease> {
        if lease.sync != Sync::Due {
            self.due.retain(|due| *due != lease.address);
        } else if !self.due.contains(&lease.address) {
            self.due.push(lease.address);
        }
        match self.leases.binary_search_by_key(&lease.address, |lease| lease.address) {
            Ok(at) => Some(std::mem::replace(&mut self.leases[at], lease)),
            Err(at) => {
                self.leases.insert(at, lease);
                None
            }
        }
    }

    fn remove(&mut self, address: Ipv4Addr) -> Option<Lease> {
        self.due.retain(|due| *due != address);
        let at = self.leases.iter().position(|lease| lease.address == address)?;
        Some(self.leases.remove(at))
    }

    fn addresses(&self, is: impl Fn(&Lease) -> bool) -> Vec<Ipv4Addr> {
        self.leases.iter().filter(|lease| is(lease)).map(|lease| lease.address).collect()
    }
}

fn collect(addresses: impl Iterator<Item = Ipv4Addr>) -> Vec<Ipv4Addr> {
    addresses.collect()
}

fn compare(table: &Table, model: &Model) -> Result<(), TestCaseError> {
    prop_assert!(table.iter().eq(&model.leases));
    prop_assert_eq!(table.len(), model.leases.len());
    prop_assert_eq!(table.is_empty(), model.leases.is_empty());
    for last in 0..ADDRESSES {
        let found = model.leases.iter().find(|lease| lease.address == address(last));
        prop_assert_eq!(table.get(address(last)), found);
    }
    compare_clients(table, model)?;
    compare_expiry(table, model)?;
    prop_assert_eq!(collect(table.due()), model.due.clone());
    prop_assert_eq!(table.due_len(), model.due.len());
    for status in Status::ALL {
        let count = |lease: &&Lease| lease.status == status;
        prop_assert_eq!(table.counts().of(status) as usize, model.leases.iter().filter(count).count());
    }
    prop_assert_eq!(table.counts().total() as usize, model.leases.len());
    for first in 0..ADDRESSES {
        for last in 0..ADDRESSES {
            compare_range(table, model, range(first, last))?;
        }
    }
    Ok(())
}

fn compare_clients(table: &Table, model: &Model) -> Result<(), TestCaseError> {
    for mac in 0..3 {
        let hardware = HardwareAddress { kind: 1, octets: vec![2, mac] };
        let with = |lease: &Lease| lease.client.as_ref().is_some_and(|client| client.hardware == hardware);
        prop_assert_eq!(collect(table.by_hardware(&hardware)), model.addresses(with));
        for key in [ClientKey::Hardware(hardware.clone()), ClientKey::Id(vec![2, mac])] {
            let with = |lease: &Lease| lease.client.as_ref().is_some_and(|client| client.key() == key);
            prop_assert_eq!(collect(table.by_client(&key)), model.addresses(with));
        }
    }
    Ok(())
}

fn compare_expiry(table: &Table, model: &Model) -> Result<(), TestCaseError> {
    let active = model.leases.iter().filter(|lease| lease.status == Status::Active);
    let mut expiring: Vec<_> = active.map(|lease| (lease.held_until, lease.address)).collect();
    expiring.sort();
    prop_assert_eq!(table.next_expiry(), expiring.first().copied());
    for time in (0..7).map(UnixTime::new).chain([UnixTime::INFINITE]) {
        let before: Vec<_> = expiring.iter().filter(|(held_until, _)| *held_until < time).copied().collect();
        prop_assert_eq!(table.expiring_before(time).collect::<Vec<_>>(), before);
    }
    Ok(())
}

fn compare_range(table: &Table, model: &Model, range: Range) -> Result<(), TestCaseError> {
    let Range { first, last } = range;
    let within = |lease: &Lease| first <= lease.address && lease.address <= last;
    prop_assert_eq!(collect(table.range(first, last).map(|lease| lease.address)), model.addresses(within));
    let counts = table.range_counts(first, last);
    for status in Status::ALL {
        let mut found: Vec<_> =
            model.leases.iter().filter(|lease| within(lease) && lease.status == status).collect();
        let unreserved = found.iter().filter(|lease| !lease.flags.reserved).count();
        prop_assert_eq!(
            (counts.of(status), counts.unreserved(status)),
            (found.len() as u32, unreserved as u32)
        );
        if !status.is_available() {
            found.clear();
        }
        let mut expected: Vec<_> = found.iter().map(|lease| lease.address).collect();
        prop_assert_eq!(collect(table.available(first, last, status)), expected.clone());
        expected.reverse();
        prop_assert_eq!(collect(table.available(first, last, status).rev()), expected);
        found.sort_by_key(|lease| {
            let used = lease.held_until.max(lease.starts).max(lease.cltt.unwrap_or_default());
            (used, lease.address)
        });
        let expected: Vec<_> = found.iter().map(|lease| lease.address).collect();
        prop_assert_eq!(collect(table.least_recently_used(first, last, status)), expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_that_of_a_search_from_end_to_end(
        registered in ranges(), operations in proptest::collection::vec(operation(), 1..40),
    ) {
        let mut table = Table::new(registered);
        let mut model = Model::default();
        for operation in operations {
            match operation {
                Operation::Put(lease) => prop_assert_eq!(table.put(lease.clone()), model.put(lease)),
                Operation::Remove(last) => {
                    prop_assert_eq!(table.remove(address(last)), model.remove(address(last)));
                }
                Operation::Register(ranges) => table.register(ranges),
            }
            compare(&table, &model)?;
        }
    }
}

#[test]
fn a_due_address_keeps_its_place_until_it_is_agreed() {
    let mut table = Table::default();
    let put = |table: &mut Table, last, sync| {
        table.put(Lease { sync, ..Lease::new(address(last)) });
    };
    for (last, sync) in [(2, Sync::Due), (1, Sync::Due), (2, Sync::Due), (3, Sync::Rejected)] {
        put(&mut table, last, sync);
    }
    assert_eq!(collect(table.due()), [address(2), address(1)]);
    put(&mut table, 2, Sync::Agreed);
    put(&mut table, 2, Sync::Due);
    assert_eq!(collect(table.due()), [address(1), address(2)]);
}
