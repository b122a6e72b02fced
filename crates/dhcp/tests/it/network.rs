use std::net::Ipv4Addr;

use dhcp::classify::Received;
use dhcp::packet::Packet;
use leases::lease::HardwareAddress;

use crate::support::{ADDRESS, Message, RELAY, SERVER, client, network};

const OWN: &str = "10.77.0.0/24";
const RELAYED: &str = "10.78.0.0/16";
const TINY: &str = "10.79.0.0/31";

fn chosen(message: Message, on_broadcast: bool, interface: Ipv4Addr) -> Option<String> {
    let network = network();
    let packet = Packet::parse(&message.octets).unwrap();
    let received = Received { on_broadcast, source: packet.ciaddr() };
    network.choose(&packet, received, interface).map(|served| served.subnet().cidr.to_string())
}

fn link_selection(octets: [u8; 4]) -> Vec<u8> {
    [&[5, 4][..], &octets].concat()
}

#[test]
fn a_broadcast_is_from_the_interfaces_subnet_whatever_address_the_client_claims() {
    assert_eq!(chosen(Message::discover(), true, SERVER).as_deref(), Some(OWN));
    assert_eq!(chosen(Message::request().ciaddr(RELAY), true, SERVER).as_deref(), Some(OWN));
    assert_eq!(chosen(Message::discover(), true, Ipv4Addr::new(192, 0, 2, 1)), None);
}

#[test]
fn a_unicast_renewal_is_from_the_subnet_of_ciaddr() {
    assert_eq!(chosen(Message::request().ciaddr(RELAY), false, SERVER).as_deref(), Some(RELAYED));
    assert_eq!(chosen(Message::request().ciaddr(Ipv4Addr::new(192, 0, 2, 9)), false, SERVER), None);
}

#[test]
fn giaddr_decides_for_a_relayed_packet_even_if_it_is_none_of_ours() {
    let message = Message::request().ciaddr(ADDRESS);
    assert_eq!(chosen(message.clone().giaddr(RELAY), false, SERVER).as_deref(), Some(RELAYED));
    assert_eq!(chosen(message.giaddr(Ipv4Addr::new(192, 0, 2, 1)), false, SERVER), None);
}

#[test]
fn link_selection_goes_before_giaddr_and_counts_from_a_relay_only() {
    let message = Message::discover().option(82, &link_selection([10, 79, 0, 0]));
    assert_eq!(chosen(message.clone().giaddr(RELAY), false, SERVER).as_deref(), Some(TINY));
    assert_eq!(chosen(message, true, SERVER).as_deref(), Some(OWN));
    let unknown = Message::discover().option(82, &link_selection([192, 0, 2, 0])).giaddr(RELAY);
    assert_eq!(chosen(unknown, false, SERVER), None);
}

#[test]
fn option_118_goes_before_giaddr_ciaddr_and_interface_and_after_link_selection() {
    let message = Message::request().ciaddr(ADDRESS).option(118, &[10, 78, 0, 0]);
    assert_eq!(chosen(message.clone(), false, SERVER).as_deref(), Some(RELAYED));
    assert_eq!(chosen(message.clone(), true, SERVER).as_deref(), Some(RELAYED));
    let relayed = message.giaddr(SERVER);
    assert_eq!(chosen(relayed.clone(), false, SERVER).as_deref(), Some(RELAYED));
    let both = relayed.option(82, &link_selection([10, 79, 0, 0]));
    assert_eq!(chosen(both, false, SERVER).as_deref(), Some(TINY));
    let unknown = Message::discover().option(118, &[192, 0, 2, 0]).giaddr(RELAY);
    assert_eq!(chosen(unknown, false, SERVER), None, "no address of another subnet instead");
}

#[test]
fn subnet_of_finds_first_and_last_address_and_nothing_between_subnets() {
    let network = network();
    let found = |text: &str| network.subnet_of(text.parse().unwrap()).map(|s| s.subnet().cidr.to_string());
    for (address, cidr) in [
        ("10.76.255.255", None),
        ("10.77.0.0", Some(OWN)),
        ("10.77.0.255", Some(OWN)),
        ("10.77.1.0", None),
        ("10.78.255.255", Some(RELAYED)),
        ("10.79.0.1", Some(TINY)),
        ("10.79.0.2", None),
        ("0.0.0.0", None),
        ("255.255.255.255", None),
    ] {
        assert_eq!(found(address).as_deref(), cidr, "{address}");
    }
}

#[test]
fn a_reservation_is_found_by_identifier_first_and_by_hardware_address_else() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    let found = |client| served.reservation_for(&client).map(|(address, _)| address.octets()[3]);
    assert_eq!(found(client(1, None)), Some(10));
    assert_eq!(found(client(1, Some(b"\xff\x01"))), Some(10));
    assert_eq!(found(client(1, Some(b"\0abc"))), Some(11));
    assert_eq!(found(client(9, Some(b"\0abc"))), Some(11));
    assert_eq!(found(client(9, None)), None);
    let mut token_ring = client(1, None);
    token_ring.hardware = HardwareAddress { kind: 6, ..token_ring.hardware };
    assert_eq!(found(token_ring), None);
    let (_, reservation) = served.reservation_for(&client(1, None)).unwrap();
    assert_eq!(reservation.hostname.as_deref(), Some("printer"));
}

#[test]
fn a_reserved_address_is_for_its_client_alone() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    let reserved = |last, client| served.reserved_for_other(Ipv4Addr::new(10, 77, 0, last), &client);
    assert!(!reserved(10, client(1, None)));
    assert!(!reserved(10, client(1, Some(b"\0abc"))));
    assert!(reserved(10, client(2, None)));
    assert!(reserved(11, client(1, None)));
    assert!(!reserved(11, client(1, Some(b"\0abc"))));
    assert!(!reserved(100, client(1, None)));
}

#[test]
fn served_are_pool_addresses_and_own_reservations() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    let serves = |last, client| served.serves(Ipv4Addr::new(10, 77, 0, last), &client);
    assert!(serves(10, client(1, None)));
    assert!(!serves(10, client(2, None)));
    assert!(serves(105, client(5, None)));
    assert!(!serves(105, client(2, None)));
    for (last, pool) in [(99, None), (100, Some(0)), (109, Some(0)), (110, None), (200, Some(1)), (210, None)]
    {
        assert_eq!(served.pool_of(Ipv4Addr::new(10, 77, 0, last)), pool);
        assert_eq!(serves(last, client(2, None)), pool.is_some());
    }
}
