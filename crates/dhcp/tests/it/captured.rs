//! What udhcpc 1.35, dhclient 4.4.3 and dhcpcd 9.4.1 of Debian 12 really send, and what dhcproto
//! reads in it.

use std::net::Ipv4Addr;

use dhcp::classify::{Received, Request, classify};
use dhcp::packet::Packet;
use dhcproto::v4::{DhcpOption, Message, OptionCode};
use dhcproto::{Decodable, Decoder};

use crate::support::{ADDRESS, MAC, SERVER};

const CAPTURED: [(&str, &str, Request); 9] = [
    ("udhcpc-discover", include_str!("captured/udhcpc-discover.hex"), Request::Discover { requested: None }),
    (
        "udhcpc-selecting",
        include_str!("captured/udhcpc-selecting.hex"),
        Request::Selecting { server_id: SERVER, requested: ADDRESS },
    ),
    (
        "udhcpc-release",
        include_str!("captured/udhcpc-release.hex"),
        Request::Release { ciaddr: ADDRESS, server_id: SERVER },
    ),
    (
        "dhclient-discover",
        include_str!("captured/dhclient-discover.hex"),
        Request::Discover { requested: None },
    ),
    (
        "dhclient-selecting",
        include_str!("captured/dhclient-selecting.hex"),
        Request::Selecting { server_id: SERVER, requested: SECOND },
    ),
    (
        "dhclient-renewing",
        include_str!("captured/dhclient-renewing.hex"),
        Request::Renewing { ciaddr: SECOND },
    ),
    (
        "dhclient-release",
        include_str!("captured/dhclient-release.hex"),
        Request::Release { ciaddr: SECOND, server_id: SERVER },
    ),
    ("dhcpcd-discover", include_str!("captured/dhcpcd-discover.hex"), Request::Discover { requested: None }),
    (
        "dhcpcd-selecting",
        include_str!("captured/dhcpcd-selecting.hex"),
        Request::Selecting { server_id: SERVER, requested: ADDRESS },
    ),
];
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 101);

pub(crate) fn captured() -> impl Iterator<Item = (&'static str, Vec<u8>, Request)> {
    CAPTURED
        .into_iter()
        .map(|(name, hex, request)| (name, api::config::parse_hex(&joined(hex)).unwrap(), request))
}

fn joined(hex: &str) -> String {
    hex.split_whitespace().collect()
}

#[test]
fn each_captured_packet_is_classified_as_what_its_client_meant() {
    for (name, octets, request) in captured() {
        let packet = Packet::parse(&octets).unwrap();
        let on_broadcast = packet.ciaddr().is_unspecified();
        let received = Received { on_broadcast, source: packet.ciaddr() };
        assert_eq!(classify(&packet, SERVER, received), Ok(request), "{name}");
        assert_eq!(packet.chaddr(), MAC, "{name}");
        assert_eq!(packet.truncated(), None, "{name}");
    }
}

#[test]
fn the_clients_of_captured_packets_are_known_by_what_they_sent() {
    for (name, octets, _) in captured() {
        let packet = Packet::parse(&octets).unwrap();
        let (id, hostname) = match name.split('-').next() {
            Some("udhcpc") => (Some([&[1][..], &MAC].concat()), "udhcpc-host"),
            Some("dhclient") => (None, "pc"),
            _ => (
                packet.client_id().map(|id| id.into_owned()).filter(|id| id.starts_with(&[255])),
                "dhcpcd-host",
            ),
        };
        assert_eq!(packet.client().id, id, "{name}");
        if name != "udhcpc-release" {
            assert_eq!(packet.hostname().as_deref(), Some(hostname), "{name}");
        }
    }
}

#[test]
fn dhcproto_reads_the_same_in_captured_packets() {
    for (_, octets, _) in captured() {
        assert_same_reading(&octets);
    }
}

/// Compares all that our view reads with dhcproto's decoding. Holds for packets without overload,
/// whose options are all well-formed: dhcproto does not follow option 52 and stops at a bad option.
pub(crate) fn assert_same_reading(octets: &[u8]) {
    let packet = Packet::parse(octets).unwrap();
    let theirs = Message::decode(&mut Decoder::new(octets)).unwrap();
    assert_eq!(packet.op(), u8::from(theirs.opcode()));
    assert_eq!(packet.htype(), u8::from(theirs.htype()));
    assert_eq!((packet.hlen(), packet.hops()), (theirs.hlen(), theirs.hops()));
    assert_eq!((packet.xid(), packet.secs()), (theirs.xid(), theirs.secs()));
    assert_eq!(packet.broadcast_flag(), theirs.flags().broadcast());
    assert_eq!((packet.ciaddr(), packet.yiaddr()), (theirs.ciaddr(), theirs.yiaddr()));
    assert_eq!((packet.siaddr(), packet.giaddr()), (theirs.siaddr(), theirs.giaddr()));
    assert_eq!(packet.chaddr(), theirs.chaddr());
    let message_type = theirs.opts().msg_type().map(u8::from);
    assert_eq!(packet.message_type().map(|message_type| message_type.wire()), message_type);
    let get = |code| theirs.opts().get(code);
    let address = |code| match get(code) {
        Some(
            DhcpOption::RequestedIpAddress(a)
            | DhcpOption::ServerIdentifier(a)
            | DhcpOption::SubnetSelection(a),
        ) => Some(*a),
        _ => None,
    };
    assert_eq!(packet.requested_ip(), address(OptionCode::RequestedIpAddress));
    assert_eq!(packet.server_id(), address(OptionCode::ServerIdentifier));
    assert_eq!(packet.subnet_selection(), address(OptionCode::SubnetSelection));
    let lease_time = match get(OptionCode::AddressLeaseTime) {
        Some(DhcpOption::AddressLeaseTime(seconds)) => Some(*seconds),
        _ => None,
    };
    assert_eq!(packet.lease_time(), lease_time);
    let max_size = match get(OptionCode::MaxMessageSize) {
        Some(DhcpOption::MaxMessageSize(size)) => Some(*size),
        _ => None,
    };
    assert_eq!(packet.max_size(), max_size);
    let list: Option<Vec<u8>> = match get(OptionCode::ParameterRequestList) {
        Some(DhcpOption::ParameterRequestList(codes)) => {
            Some(codes.iter().map(|code| (*code).into()).collect())
        }
        _ => None,
    };
    assert_eq!(packet.parameter_list().map(|list| list.into_owned()), list);
    let octets_of = |code| match get(code) {
        Some(DhcpOption::ClientIdentifier(octets) | DhcpOption::ClassIdentifier(octets)) => {
            Some(octets.clone())
        }
        _ => None,
    };
    // An empty identifier is none to us.
    let id = octets_of(OptionCode::ClientIdentifier).filter(|id| !id.is_empty());
    assert_eq!(packet.client_id().map(|id| id.into_owned()), id);
    assert_eq!(packet.vendor_class().map(|class| class.into_owned()), octets_of(OptionCode::ClassIdentifier));
    // An empty name is none to us. Only printable ones are compared: ours are cleaned.
    let hostname = match get(OptionCode::Hostname) {
        Some(DhcpOption::Hostname(name)) if !name.is_empty() => Some(name.as_str()),
        _ => None,
    };
    assert_eq!(packet.hostname().as_deref(), hostname);
    // dhcproto has no order in option 82, so only the sub-option that is read is compared.
    let link = match get(OptionCode::RelayAgentInformation) {
        Some(DhcpOption::RelayAgentInformation(info)) => {
            match info.get(dhcproto::v4::relay::RelayCode::LinkSelection) {
                Some(dhcproto::v4::relay::RelayInfo::LinkSelection(address)) => Some(*address),
                _ => None,
            }
        }
        _ => None,
    };
    assert_eq!(packet.link_selection(), link);
}
