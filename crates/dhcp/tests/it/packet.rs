use std::net::Ipv4Addr;

use dhcp::message::MessageType;
use dhcp::packet::{Kind, Packet, PacketError, Truncated};

use crate::support::{ADDRESS, MAC, Message, OTHER_SERVER, RELAY, SERVER};

#[test]
fn every_field_is_read_from_its_place() {
    let message = Message::discover()
        .at(3, &[2])
        .at(8, &[0x01, 0x02])
        .broadcast_flag()
        .ciaddr(ADDRESS)
        .at(16, &[1, 2, 3, 4])
        .at(20, &[5, 6, 7, 8])
        .giaddr(RELAY);
    let packet = Packet::parse(&message.octets).unwrap();
    assert_eq!((packet.op(), packet.htype(), packet.hlen(), packet.hops()), (1, 1, 6, 2));
    assert_eq!((packet.xid(), packet.secs(), packet.flags()), (0xdead_beef, 0x0102, 0x8000));
    assert!(packet.broadcast_flag());
    assert_eq!(packet.ciaddr(), ADDRESS);
    assert_eq!(packet.yiaddr(), Ipv4Addr::new(1, 2, 3, 4));
    assert_eq!(packet.siaddr(), Ipv4Addr::new(5, 6, 7, 8));
    assert_eq!(packet.giaddr(), RELAY);
    assert!(packet.is_relayed());
    assert_eq!(packet.chaddr(), MAC);
    assert_eq!(packet.kind(), Kind::Dhcp(MessageType::Discover));
}

#[test]
fn every_option_accessor_reads_its_option() {
    let message = Message::request()
        .requested(ADDRESS)
        .server_id(SERVER)
        .option(51, &[0, 0, 14, 16])
        .option(55, &[1, 3, 6])
        .option(57, &[5, 220])
        .option(60, b"MSFT 5.0")
        .option(61, &[1, 2, 3])
        .option(12, b"host\0")
        .option(81, b"\x05\0\0\x04host\x03lan\0")
        .option(82, &[1, 2, 9, 9, 5, 4, 10, 78, 0, 0])
        .option(118, &[10, 79, 0, 0]);
    let packet = Packet::parse(&message.octets).unwrap();
    assert_eq!(packet.message_type(), Some(MessageType::Request));
    assert_eq!(packet.requested_ip(), Some(ADDRESS));
    assert_eq!(packet.server_id(), Some(SERVER));
    assert_eq!(packet.lease_time(), Some(3600));
    assert_eq!(packet.parameter_list().unwrap().as_ref(), [1, 3, 6]);
    assert_eq!(packet.max_size(), Some(1500));
    assert_eq!(packet.vendor_class().unwrap().as_ref(), b"MSFT 5.0");
    assert_eq!(packet.hostname().as_deref(), Some("host"));
    assert_eq!(packet.fqdn().as_deref(), Some("host.lan"));
    assert_eq!(packet.relay_info().unwrap().len(), 10);
    assert_eq!(packet.link_selection(), Some(Ipv4Addr::new(10, 78, 0, 0)));
    assert_eq!(packet.subnet_selection(), Some(Ipv4Addr::new(10, 79, 0, 0)));
    let client = packet.client();
    assert_eq!((client.hardware.kind, client.hardware.octets), (1, MAC.to_vec()));
    assert_eq!(client.id, Some(vec![1, 2, 3]));
}

#[test]
fn what_is_no_request_is_refused_with_its_reason() {
    let error = |octets: &[u8]| Packet::parse(octets).unwrap_err();
    assert_eq!(error(&[]), PacketError::TooShort { len: 0 });
    assert_eq!(error(&Message::bootp().octets[..239]), PacketError::TooShort { len: 239 });
    assert_eq!(error(&Message::discover().at(0, &[2]).octets), PacketError::NotRequest { op: 2 });
    assert_eq!(error(&Message::discover().at(236, &[0]).octets), PacketError::NoCookie);
    for hlen in [0, 5, 7, 16, 17, 255] {
        let octets = Message::discover().at(2, &[hlen]).octets;
        assert_eq!(error(&octets), PacketError::HardwareLength { htype: 1, hlen });
    }
    let octets = Message::discover().at(1, &[32, 17]).octets;
    assert_eq!(error(&octets), PacketError::HardwareLength { htype: 32, hlen: 17 });
}

#[test]
fn other_hardware_may_have_any_length_up_to_16() {
    for hlen in [0, 8, 16] {
        let octets = Message::discover().at(1, &[32, hlen]).octets;
        assert_eq!(Packet::parse(&octets).unwrap().chaddr().len(), usize::from(hlen));
    }
}

#[test]
fn a_packet_without_message_type_is_bootp() {
    let octets = Message::bootp().option(12, b"old").octets;
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!((packet.kind(), packet.message_type()), (Kind::Bootp, None));
    assert_eq!(Packet::parse(&Message::bootp().octets).unwrap().kind(), Kind::Bootp);
}

#[test]
fn options_before_a_truncated_one_stay_usable() {
    let octets = Message::request().requested(ADDRESS).raw(&[12, 9, b'h']).octets;
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.requested_ip(), Some(ADDRESS));
    assert_eq!(packet.hostname(), None);
    assert_eq!(packet.truncated(), Some(Truncated { code: 12, offset: 249 }));
}

#[test]
fn a_packet_whose_message_type_is_hidden_by_a_truncated_option_is_refused() {
    let octets = Message::bootp().raw(&[12, 9, 53, 1, 1]).octets;
    let error = Packet::parse(&octets).unwrap_err();
    assert_eq!(error, PacketError::Truncated { code: 12, offset: 240 });
}

#[test]
fn a_wrong_length_of_what_decides_the_meaning_refuses_the_packet() {
    for (code, len) in [(50, 3), (50, 5), (53, 0), (53, 2), (54, 0), (54, 8)] {
        let message = if code == 53 { Message::bootp() } else { Message::request() };
        let octets = message.option(code, &vec![1; len]).octets;
        assert_eq!(Packet::parse(&octets).unwrap_err(), PacketError::OptionLength { code, len });
    }
    for code in [61, 82] {
        let octets = Message::discover().option(code, &[1; 200]).option(code, &[1; 56]).octets;
        assert_eq!(Packet::parse(&octets).unwrap_err(), PacketError::OptionLength { code, len: 256 });
    }
}

#[test]
fn a_server_named_twice_is_refused_and_not_taken_for_none() {
    let octets = Message::request().requested(ADDRESS).server_id(SERVER).server_id(OTHER_SERVER).octets;
    assert_eq!(Packet::parse(&octets).unwrap_err(), PacketError::OptionLength { code: 54, len: 8 });
}

#[test]
fn a_wrong_length_of_anything_else_counts_as_absent() {
    let octets = Message::discover().option(51, &[1]).option(57, &[1]).option(118, &[1]).octets;
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!((packet.lease_time(), packet.max_size(), packet.subnet_selection()), (None, None, None));
}

#[test]
fn an_empty_client_identifier_counts_as_absent() {
    let octets = Message::discover().option(61, &[]).octets;
    assert_eq!(Packet::parse(&octets).unwrap().client().id, None);
}

#[test]
fn parts_of_an_option_are_joined_in_the_order_of_rfc_3396_across_all_three_fields() {
    let octets = Message::discover()
        .option(52, &[3])
        .option(60, b"one ")
        .raw(&[0, 0])
        .option(60, b"two ")
        .raw(&[255])
        .file(b"\x3c\x06three \xff")
        .sname(b"\0\x3c\x04four\xff\x0c\x04gone")
        .octets;
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.vendor_class().unwrap().as_ref(), b"one two three four");
    assert_eq!(packet.hostname(), None, "nothing is read after END");
}

#[test]
fn file_and_sname_hold_options_only_where_option_52_says_so() {
    let with = |overload: &[u8]| {
        Message::discover().option(52, overload).file(b"\x0c\x04file\xff").sname(b"\x51\x08\0\0\0sname\xff")
    };
    for (overload, hostname, fqdn) in [
        (&[0][..], None, None),
        (&[1], Some("file"), None),
        (&[2], None, Some("sname")),
        (&[3], Some("file"), Some("sname")),
        (&[1, 1], None, None),
    ] {
        let octets = with(overload).octets;
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!((packet.hostname().as_deref(), packet.fqdn().as_deref()), (hostname, fqdn));
    }
}

#[test]
fn the_message_type_may_lie_in_an_overloaded_field() {
    let octets = Message::bootp().option(52, &[1]).file(&[53, 1, 1, 255]).octets;
    assert_eq!(Packet::parse(&octets).unwrap().message_type(), Some(MessageType::Discover));
}

#[test]
fn a_broken_relay_sub_option_hides_the_link_and_nothing_else() {
    let octets = Message::discover().option(82, &[1, 9, 1, 5, 4, 10, 78, 0, 0]).octets;
    let packet = Packet::parse(&octets).unwrap();
    assert_eq!(packet.link_selection(), None);
    assert_eq!(packet.relay_info().unwrap().len(), 9);
}
