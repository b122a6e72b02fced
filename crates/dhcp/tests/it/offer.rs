use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use dhcp::network::{Network, ServedSubnet};
use dhcp::offer::{Addresses, Choice, NoAddress, Source, choose};
use leases::lease::Client;

use crate::support::{ADDRESS, client, network};

#[derive(Default)]
struct Table {
    active: Option<Ipv4Addr>,
    previous: Option<Ipv4Addr>,
    forbidden: BTreeSet<Ipv4Addr>,
    /// What each pool would give.
    fresh: [Option<Ipv4Addr>; 2],
}

impl Addresses for Table {
    fn active_of(&self, _: &Client, _: &ServedSubnet) -> Option<Ipv4Addr> {
        self.active
    }

    fn previous_of(&self, _: &Client, _: &ServedSubnet) -> Option<Ipv4Addr> {
        self.previous
    }

    fn may_have(&self, _: &Client, address: Ipv4Addr) -> bool {
        !self.forbidden.contains(&address)
    }

    fn pick(&self, _: &Client, _: &ServedSubnet, pool: usize) -> Option<Ipv4Addr> {
        self.fresh.get(pool).copied().flatten()
    }
}

fn own(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

fn offered(table: &Table, client: &Client, requested: Option<Ipv4Addr>) -> Result<(Source, u8), NoAddress> {
    let network: Network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    choose(table, served, client, requested).map(|Choice { address, source }| (source, address.octets()[3]))
}

#[test]
fn each_candidate_yields_to_the_next_when_the_client_may_not_have_it() {
    let mut table = Table {
        active: Some(own(101)),
        previous: Some(own(102)),
        fresh: [None, Some(own(200))],
        ..Table::default()
    };
    let printer = client(1, None);
    for (source, last) in
        [(Source::Reservation, 10), (Source::Current, 101), (Source::Previous, 102), (Source::Requested, 103)]
    {
        assert_eq!(offered(&table, &printer, Some(own(103))), Ok((source, last)));
        table.forbidden.insert(own(last));
    }
    assert_eq!(offered(&table, &printer, Some(own(103))), Ok((Source::New, 200)));
    table.fresh = [None, None];
    assert_eq!(offered(&table, &printer, Some(own(103))), Err(NoAddress::Exhausted));
}

#[test]
fn pools_are_asked_in_order() {
    let table = Table { fresh: [Some(own(104)), Some(own(200))], ..Table::default() };
    assert_eq!(offered(&table, &client(2, None), None), Ok((Source::New, 104)));
}

#[test]
fn an_address_that_the_configuration_no_longer_serves_is_not_offered_again() {
    let outside = Some(own(50));
    let table =
        Table { active: outside, previous: outside, fresh: [Some(own(104)), None], ..Table::default() };
    assert_eq!(offered(&table, &client(2, None), outside), Ok((Source::New, 104)));
    let reserved_since = Some(own(105));
    let table = Table { active: reserved_since, fresh: [Some(own(104)), None], ..Table::default() };
    assert_eq!(offered(&table, &client(2, None), reserved_since), Ok((Source::New, 104)));
}

#[test]
fn an_address_in_another_subnet_is_not_offered_on_request() {
    let table = Table { fresh: [Some(own(104)), None], ..Table::default() };
    let elsewhere = Some(Ipv4Addr::new(10, 78, 1, 1));
    assert_eq!(offered(&table, &client(2, None), elsewhere), Ok((Source::New, 104)));
}

#[test]
fn a_subnet_without_pools_serves_reservations_only() {
    let network = network();
    let served = network.subnet_of(Ipv4Addr::new(10, 79, 0, 0)).unwrap();
    let none = choose(&Table::default(), served, &client(2, None), None);
    assert_eq!(none, Err(NoAddress::NoPool));
}
