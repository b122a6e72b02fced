use std::net::Ipv4Addr;

use dhcp::classify::{Ignored, Received, Request, classify};
use dhcp::message::MessageType;
use dhcp::packet::Packet;

use crate::support::{ADDRESS, Message, OTHER_SERVER, RELAY, SERVER};

const BROADCAST: Received = Received { on_broadcast: true, source: Ipv4Addr::UNSPECIFIED };
const UNICAST: Received = Received { on_broadcast: false, source: ADDRESS };
const ANOTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 99);

fn read(message: &Message, received: Received) -> Result<Request, Ignored> {
    classify(&Packet::parse(&message.octets).unwrap(), SERVER, received)
}

#[test]
fn a_discover_may_ask_for_an_address_and_zero_is_none() {
    let asks = |message: Message| read(&message, BROADCAST);
    assert_eq!(asks(Message::discover()), Ok(Request::Discover { requested: None }));
    let zero = Message::discover().requested(Ipv4Addr::UNSPECIFIED);
    assert_eq!(asks(zero), Ok(Request::Discover { requested: None }));
    let one = Message::discover().requested(ADDRESS);
    assert_eq!(asks(one), Ok(Request::Discover { requested: Some(ADDRESS) }));
}

#[test]
fn a_request_that_names_this_server_accepts_its_offer() {
    let message = Message::request().server_id(SERVER).requested(ADDRESS);
    let selecting = Request::Selecting { server_id: SERVER, requested: ADDRESS };
    assert_eq!(read(&message, BROADCAST), Ok(selecting));
    assert_eq!(read(&message.giaddr(RELAY), UNICAST), Ok(selecting));
}

#[test]
fn a_request_that_names_another_server_is_told_apart() {
    let message = Message::request().server_id(OTHER_SERVER).requested(ADDRESS);
    let other = Request::SelectingOther { server_id: OTHER_SERVER, requested: ADDRESS };
    assert_eq!(read(&message, BROADCAST), Ok(other));
}

#[test]
fn a_request_with_an_address_only_in_option_50_is_init_reboot() {
    let message = Message::request().requested(ADDRESS);
    assert_eq!(read(&message, BROADCAST), Ok(Request::InitReboot { requested: ADDRESS }));
}

#[test]
fn a_request_with_ciaddr_renews_by_unicast_and_rebinds_by_broadcast_or_through_a_relay() {
    let message = Message::request().ciaddr(ADDRESS);
    assert_eq!(read(&message, UNICAST), Ok(Request::Renewing { ciaddr: ADDRESS }));
    assert_eq!(read(&message, BROADCAST), Ok(Request::Rebinding { ciaddr: ADDRESS }));
    assert_eq!(read(&message.giaddr(RELAY), UNICAST), Ok(Request::Rebinding { ciaddr: ADDRESS }));
}

#[test]
fn a_renewal_may_repeat_its_address_but_not_name_a_second_one() {
    let message = Message::request().ciaddr(ADDRESS);
    assert_eq!(read(&message.clone().requested(ADDRESS), UNICAST), Ok(Request::Renewing { ciaddr: ADDRESS }));
    let two = Ignored::TwoAddresses { ciaddr: ADDRESS, requested: ANOTHER };
    assert_eq!(read(&message.requested(ANOTHER), UNICAST), Err(two));
}

#[test]
fn a_request_without_any_address_is_ignored() {
    let no_address = Err(Ignored::NoAddress(MessageType::Request));
    assert_eq!(read(&Message::request(), BROADCAST), no_address);
    assert_eq!(read(&Message::request().requested(Ipv4Addr::UNSPECIFIED), BROADCAST), no_address);
    assert_eq!(read(&Message::request().server_id(SERVER), BROADCAST), no_address);
}

/// RFC 2131 table 5 forbids option 54 here, but clients exist that send it in every REQUEST. Ignored, they
/// would lose their address at the end of each lease.
#[test]
fn a_renewal_that_names_this_server_is_a_renewal() {
    let message = Message::request().server_id(SERVER).ciaddr(ADDRESS);
    for message in [message.clone(), message.clone().requested(ADDRESS)] {
        assert_eq!(read(&message, UNICAST), Ok(Request::Renewing { ciaddr: ADDRESS }));
        assert_eq!(read(&message, BROADCAST), Ok(Request::Rebinding { ciaddr: ADDRESS }));
    }
    let two = Ignored::TwoAddresses { ciaddr: ADDRESS, requested: ANOTHER };
    assert_eq!(read(&message.requested(ANOTHER), UNICAST), Err(two));
}

#[test]
fn a_renewal_that_names_another_server_is_ignored() {
    let message = Message::request().server_id(OTHER_SERVER).ciaddr(ADDRESS);
    let ignored = Err(Ignored::RenewalElsewhere { server_id: OTHER_SERVER });
    assert_eq!(read(&message, BROADCAST), ignored);
    assert_eq!(read(&message.requested(ADDRESS), BROADCAST), ignored);
}

#[test]
fn a_truncated_request_is_never_taken_for_init_reboot() {
    let broken = |message: Message| message.raw(&[12, 99]);
    let reboot = broken(Message::request().requested(ADDRESS));
    assert_eq!(read(&reboot, BROADCAST), Err(Ignored::Truncated));
    let renewal = broken(Message::request().ciaddr(ADDRESS));
    assert_eq!(read(&renewal, UNICAST), Ok(Request::Renewing { ciaddr: ADDRESS }));
    let selecting = broken(Message::request().requested(ADDRESS).server_id(SERVER));
    assert_eq!(read(&selecting, BROADCAST), Ok(Request::Selecting { server_id: SERVER, requested: ADDRESS }));
}

#[test]
fn a_release_names_its_address_in_ciaddr_and_its_server() {
    let message = Message::dhcp(7).ciaddr(ADDRESS);
    let release = |server_id| Ok(Request::Release { ciaddr: ADDRESS, server_id });
    assert_eq!(read(&message.clone().server_id(SERVER), UNICAST), release(SERVER));
    assert_eq!(read(&message.clone().server_id(OTHER_SERVER), UNICAST), release(OTHER_SERVER));
    assert_eq!(read(&message, UNICAST), Err(Ignored::NoServerId(MessageType::Release)));
    let nothing = Message::dhcp(7).server_id(SERVER).requested(ADDRESS);
    assert_eq!(read(&nothing, UNICAST), Err(Ignored::NoAddress(MessageType::Release)));
}

#[test]
fn a_decline_names_its_address_in_option_50_and_its_server() {
    let message = Message::dhcp(4).requested(ADDRESS);
    let decline = Request::Decline { requested: ADDRESS, server_id: SERVER };
    assert_eq!(read(&message.clone().server_id(SERVER), BROADCAST), Ok(decline));
    assert_eq!(read(&message, BROADCAST), Err(Ignored::NoServerId(MessageType::Decline)));
    let nothing = Message::dhcp(4).server_id(SERVER).ciaddr(ADDRESS);
    assert_eq!(read(&nothing, BROADCAST), Err(Ignored::NoAddress(MessageType::Decline)));
}

#[test]
fn an_inform_without_ciaddr_counts_with_its_source_unless_that_is_a_relays() {
    let inform = |ciaddr| Ok(Request::Inform { ciaddr });
    assert_eq!(read(&Message::dhcp(8).ciaddr(ANOTHER), UNICAST), inform(ANOTHER));
    assert_eq!(read(&Message::dhcp(8), UNICAST), inform(ADDRESS));
    let no_address = Err(Ignored::NoAddress(MessageType::Inform));
    assert_eq!(read(&Message::dhcp(8), BROADCAST), no_address);
    assert_eq!(read(&Message::dhcp(8).giaddr(RELAY), UNICAST), no_address);
}

/// The answer goes to that address: a LAN's client must not aim it at everybody, or at the server itself.
#[test]
fn an_inform_for_no_hosts_address_is_ignored() {
    for address in
        [Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::new(0, 0, 0, 7)]
    {
        let no_address = Err(Ignored::NoAddress(MessageType::Inform));
        assert_eq!(read(&Message::dhcp(8).ciaddr(address), BROADCAST), no_address, "{address}");
        let received = Received { source: address, ..UNICAST };
        assert_eq!(read(&Message::dhcp(8), received), no_address, "{address}");
    }
}

#[test]
fn messages_of_servers_and_unknown_ones_are_ignored_each_with_its_class() {
    for (value, message_type) in [(2, MessageType::Offer), (5, MessageType::Ack), (6, MessageType::Nak)] {
        assert_eq!(read(&Message::dhcp(value), BROADCAST), Err(Ignored::ServerMessage(message_type)));
    }
    for value in [0, 9, 10, 13, 255] {
        let ignored = Ignored::Unsupported(MessageType::Unknown(value));
        assert_eq!(read(&Message::dhcp(value), BROADCAST), Err(ignored));
        assert_eq!(ignored.class(), "unsupported");
    }
    assert_eq!(read(&Message::bootp(), BROADCAST), Err(Ignored::Bootp));
}

#[test]
fn a_client_without_hardware_address_needs_an_identifier() {
    let message = Message::discover().at(1, &[32, 0]);
    assert_eq!(read(&message, BROADCAST), Err(Ignored::NoIdentity));
    let named = message.option(61, &[255, 1]);
    assert_eq!(read(&named, BROADCAST), Ok(Request::Discover { requested: None }));
}
