use std::net::Ipv4Addr;

use api::pair::Options;
use api::time::Seconds;
use dhcp::network::{Network, ServedSubnet};
use dhcp::packet::Packet;
use dhcp::reply::{Answer, Destination, Grant, LeaseTimes, Reply};

use crate::support::{ADDRESS, MAC, Message, RELAY, SERVER, codes, config, custom, network, option, subnet};

const HOUR: LeaseTimes = LeaseTimes { lease: Seconds(3600), t1: Seconds(1800), t2: Seconds(3150) };
const NAK: Answer<'_> = Answer::Nak { message: "no such lease" };

fn grant<'a>(served: &'a ServedSubnet) -> Grant<'a> {
    Grant { address: ADDRESS, times: HOUR, served, hostname: None }
}

fn build(message: &Message, answer: Answer<'_>) -> (Vec<u8>, Destination) {
    let packet = Packet::parse(&message.octets).unwrap();
    Reply { packet: &packet, server_id: SERVER, answer }.build()
}

/// Offers from 10.77.0.0/24 of [`network`].
fn offer(message: &Message) -> Vec<u8> {
    let network = network();
    build(message, Answer::Offer(grant(network.subnet_of(ADDRESS).unwrap()))).0
}

/// Offers from a subnet with these options.
fn offer_with(options: Options, message: &Message) -> Vec<u8> {
    let network = Network::new(&config(vec![subnet("10.77.0.0/24", &[], options)]));
    build(message, Answer::Offer(grant(&network.subnets()[0]))).0
}

#[test]
fn the_header_of_each_reply_is_that_of_rfc_2131_table_3() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    let message = Message::request().ciaddr(ADDRESS).at(3, &[4]).at(8, &[0, 9]).broadcast_flag();
    let boot = Ipv4Addr::new(10, 77, 0, 4);
    let zero = Ipv4Addr::UNSPECIFIED;
    for (answer, ciaddr, yiaddr, siaddr, file) in [
        (Answer::Offer(grant(served)), zero, ADDRESS, boot, &b"pxelinux.0\0"[..]),
        (Answer::Ack(grant(served)), ADDRESS, ADDRESS, boot, b"pxelinux.0\0"),
        (Answer::Inform { ciaddr: ADDRESS, served }, ADDRESS, zero, boot, b"pxelinux.0\0"),
        (NAK, zero, zero, zero, b"\0"),
    ] {
        let (octets, _) = build(&message, answer);
        assert_eq!(octets[..4], [2, 1, 6, 0], "op, htype, hlen, hops");
        assert_eq!(octets[4..8], [0xde, 0xad, 0xbe, 0xef], "xid");
        assert_eq!(octets[8..12], [0, 0, 0x80, 0], "secs, flags");
        assert_eq!(octets[12..16], ciaddr.octets());
        assert_eq!(octets[16..20], yiaddr.octets());
        assert_eq!(octets[20..24], siaddr.octets());
        assert_eq!(octets[24..28], [0; 4], "giaddr");
        assert_eq!(octets[28..34], MAC);
        assert_eq!(octets[34..108], [0; 74], "rest of chaddr, sname");
        assert!(octets[108..].starts_with(file));
        assert_eq!(octets[236..240], [99, 130, 83, 99]);
    }
}

#[test]
fn an_offer_and_an_ack_carry_type_server_and_times_and_an_inform_no_times() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    let message = Message::request().ciaddr(ADDRESS).option(55, &[]);
    let (offer, _) = build(&message, Answer::Offer(grant(served)));
    assert_eq!(codes(&offer), [53, 54, 51, 58, 59]);
    assert_eq!(option(&offer, 53).unwrap(), [2]);
    assert_eq!(option(&offer, 54).unwrap(), SERVER.octets());
    assert_eq!(option(&offer, 51).unwrap(), 3600_u32.to_be_bytes());
    assert_eq!(option(&offer, 58).unwrap(), 1800_u32.to_be_bytes());
    assert_eq!(option(&offer, 59).unwrap(), 3150_u32.to_be_bytes());
    let (ack, _) = build(&message, Answer::Ack(grant(served)));
    assert_eq!(codes(&ack), [53, 54, 51, 58, 59]);
    assert_eq!(option(&ack, 53).unwrap(), [5]);
    let (inform, _) = build(&message, Answer::Inform { ciaddr: ADDRESS, served });
    assert_eq!(codes(&inform), [53, 54]);
    let (nak, _) = build(&message, NAK);
    assert_eq!(codes(&nak), [53, 54, 56]);
    assert_eq!(option(&nak, 53).unwrap(), [6]);
    assert_eq!(option(&nak, 56).unwrap(), b"no such lease");
}

#[test]
fn a_lease_without_end_has_neither_t1_nor_t2() {
    let network = network();
    let times = LeaseTimes::of(Seconds(u32::MAX));
    let grant = Grant { times, ..grant(network.subnet_of(ADDRESS).unwrap()) };
    let (octets, _) = build(&Message::request().option(55, &[]), Answer::Ack(grant));
    assert_eq!(codes(&octets), [53, 54, 51]);
    assert_eq!(option(&octets, 51).unwrap(), [0xff; 4]);
}

#[test]
fn usual_times_are_a_half_and_seven_eighths() {
    assert_eq!(LeaseTimes::of(Seconds(3600)), HOUR);
    for seconds in [0, 1, 2, 7, u32::MAX] {
        let times = LeaseTimes::of(Seconds(seconds));
        assert!(times.t1 <= times.t2);
        assert!(times.t2 <= times.lease);
    }
}

#[test]
fn options_come_in_the_order_of_the_clients_list_but_the_mask_before_the_router() {
    let list = [42, 3, 6, 1, 6, 0, 51, 53, 54, 61, 82, 255, 99, 28, 3];
    let octets = offer(&Message::discover().option(55, &list));
    assert_eq!(codes(&octets), [53, 54, 51, 58, 59, 42, 1, 3, 6, 28]);
    assert_eq!(option(&octets, 1).unwrap(), [255, 255, 255, 0]);
    assert_eq!(option(&octets, 28).unwrap(), [10, 77, 0, 255]);
    assert_eq!(option(&octets, 6).unwrap(), [10, 77, 0, 1, 10, 77, 0, 2]);
}

#[test]
fn a_router_without_a_mask_is_what_a_client_gets_that_asks_for_just_that() {
    assert_eq!(codes(&offer(&Message::discover().option(55, &[3]))), [53, 54, 51, 58, 59, 3]);
}

#[test]
fn a_client_without_a_list_gets_all_that_is_configured() {
    let octets = offer(&Message::discover());
    assert_eq!(codes(&octets), [53, 54, 51, 58, 59, 1, 3, 6, 15, 28, 42, 43, 67, 119, 121]);
}

#[test]
fn what_is_given_wins_over_what_follows_from_the_network_and_by_code_over_by_name() {
    let given = Options {
        broadcast_address: Some(Ipv4Addr::new(10, 77, 0, 63)),
        domain_name: Some("by.name".to_owned()),
        custom: vec![custom(1, "ffffffc0"), custom(15, "6279"), custom(80, "")],
        ..Options::default()
    };
    let octets = offer_with(given, &Message::discover());
    assert_eq!(option(&octets, 28).unwrap(), [10, 77, 0, 63]);
    assert_eq!(option(&octets, 1).unwrap(), [255, 255, 255, 192]);
    assert_eq!(option(&octets, 15).unwrap(), b"by");
    assert_eq!(option(&octets, 80).unwrap(), b"");
}

#[test]
fn a_network_of_two_addresses_has_no_broadcast_address() {
    let network = network();
    let served = network.subnet_of(Ipv4Addr::new(10, 79, 0, 0)).unwrap();
    let (octets, _) = build(&Message::discover(), Answer::Offer(grant(served)));
    assert_eq!(option(&octets, 28), None);
    assert_eq!(option(&octets, 1).unwrap(), [255, 255, 255, 254]);
}

#[test]
fn the_name_in_a_reservation_goes_to_a_client_that_asks_or_has_no_list() {
    let network = network();
    let named = Grant { hostname: Some("printer"), ..grant(network.subnet_of(ADDRESS).unwrap()) };
    let name = |message: Message| option(&build(&message, Answer::Ack(named)).0, 12);
    assert_eq!(name(Message::request().option(55, &[12])).unwrap(), b"printer");
    assert_eq!(name(Message::request()).unwrap(), b"printer");
    assert_eq!(name(Message::request().option(55, &[1])), None);
}

#[test]
fn options_61_and_82_are_echoed_as_received_with_82_last() {
    let info = [1, 4, 0, 0, 0, 7, 9, 0, 151, 1];
    let message = Message::request().giaddr(RELAY).option(82, &info).option(61, &[255, 1, 2]);
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    for answer in [
        Answer::Offer(grant(served)),
        Answer::Ack(grant(served)),
        Answer::Inform { ciaddr: ADDRESS, served },
        NAK,
    ] {
        let (octets, _) = build(&message, answer);
        assert!(codes(&octets).ends_with(&[61, 82]));
        assert_eq!(option(&octets, 82).unwrap(), info);
        assert_eq!(option(&octets, 61).unwrap(), [255, 1, 2]);
    }
}

/// RFC 3011 §2: a client that sent it discards every reply without it, and never asked for it by its list.
#[test]
fn option_118_is_given_back_once_whether_asked_for_or_not() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    for list in [&[][..], &[118, 1]] {
        let message = Message::request().option(118, &[10, 77, 0, 0]).option(55, list);
        for answer in [
            Answer::Offer(grant(served)),
            Answer::Ack(grant(served)),
            Answer::Inform { ciaddr: ADDRESS, served },
        ] {
            let (octets, _) = build(&message, answer);
            assert_eq!(option(&octets, 118).unwrap(), [10, 77, 0, 0], "{list:?}");
        }
    }
    let wrong = Message::request().option(118, &[10, 77, 0]);
    assert_eq!(option(&build(&wrong, Answer::Ack(grant(served))).0, 118), None, "it was not heeded either");
    let configured = Options { custom: vec![custom(118, "0a4e0000")], ..Options::default() };
    let octets = offer_with(configured, &Message::discover().option(118, &[10, 77, 0, 0]));
    assert_eq!(option(&octets, 118).unwrap(), [10, 77, 0, 0]);
}

#[test]
fn a_short_reply_is_padded_to_300_octets() {
    let (octets, _) = build(&Message::request(), NAK);
    assert_eq!(octets.len(), 300);
}

#[test]
fn a_reply_without_option_57_has_at_most_548_octets_and_moves_what_does_not_fit() {
    let octets = offer_with(long_options(), &Message::discover());
    assert!(octets.len() <= 548, "{}", octets.len());
    assert_eq!(option(&octets, 52).unwrap(), [3], "file and sname are both in use");
    assert_eq!(option(&octets, 200).unwrap(), [0xaa; 230]);
    assert_eq!(option(&octets, 201).unwrap(), [0xbb; 100], "in file");
    assert_eq!(option(&octets, 202).unwrap(), [0xcc; 50], "in sname");
    assert_eq!(option(&octets, 203), None, "fits nowhere");
    assert_eq!(option(&octets, 204).unwrap(), [0xee; 10], "fits where the longer one did not");
}

#[test]
fn a_client_that_takes_more_gets_all_in_the_option_field() {
    let octets = offer_with(long_options(), &Message::discover().option(57, &1500_u16.to_be_bytes()));
    assert_eq!(option(&octets, 52), None);
    assert_eq!(option(&octets, 203).unwrap(), [0xdd; 150]);
    assert_eq!(octets[44..236], [0; 192]);
}

#[test]
fn a_boot_file_keeps_its_field_when_options_move() {
    let mut options = long_options();
    options.bootfile_name = Some("pxelinux.0".to_owned());
    let octets = offer_with(options, &Message::discover().option(55, &[200, 201, 202]));
    assert_eq!(option(&octets, 52).unwrap(), [2]);
    assert!(octets[108..].starts_with(b"pxelinux.0\0"));
    assert_eq!(option(&octets, 201), None);
    assert_eq!(option(&octets, 202).unwrap(), [0xcc; 50]);
}

#[test]
fn an_option_52_that_would_help_nothing_is_not_sent() {
    let options = Options { custom: vec![custom(200, "aa".repeat(400))], ..Options::default() };
    let octets = offer_with(options, &Message::discover().option(55, &[1, 200]));
    assert_eq!(codes(&octets), [53, 54, 51, 58, 59, 1]);
}

#[test]
fn an_option_moves_into_file_only_if_end_fits_behind_it() {
    let moved = |len: usize| {
        let custom = vec![custom(200, "aa".repeat(250)), custom(201, "bb".repeat(len))];
        let message = Message::discover().option(55, &[200, 201]);
        let octets = offer_with(Options { custom, ..Options::default() }, &message);
        (option(&octets, 52), option(&octets, 201))
    };
    assert_eq!(moved(125), (Some(vec![1]), Some(vec![0xbb; 125])));
    assert_eq!(moved(126), (None, None));
}

#[test]
fn options_without_content_count_with_their_two_octets() {
    let codes: Vec<u8> = (1..=49).chain(83..=117).chain(120..=254).collect();
    let custom = codes.iter().map(|code| custom(*code, "")).collect();
    let octets = offer_with(Options { custom, ..Options::default() }, &Message::discover());
    assert!(octets.len() <= 548, "{}", octets.len());
}

#[test]
fn a_client_that_says_it_takes_less_than_576_octets_is_not_believed() {
    let options = || Options { custom: vec![custom(200, "aa".repeat(230))], ..Options::default() };
    for size in [0_u16, 300, 575, 576] {
        let octets = offer_with(options(), &Message::discover().option(57, &size.to_be_bytes()));
        assert_eq!(option(&octets, 52), None, "{size}");
        assert_eq!(option(&octets, 200).unwrap(), [0xaa; 230], "{size}");
    }
}

#[test]
fn an_option_above_255_octets_is_sent_in_parts() {
    let options = Options { custom: vec![custom(200, "ab".repeat(600))], ..Options::default() };
    let message = Message::discover().option(55, &[200]).option(57, &1500_u16.to_be_bytes());
    let octets = offer_with(options, &message);
    assert_eq!(codes(&octets), [53, 54, 51, 58, 59, 200, 200, 200]);
    assert_eq!(option(&octets, 200).unwrap(), [0xab; 600]);
}

#[test]
fn a_boot_file_name_too_long_for_its_field_goes_into_option_67_unasked() {
    let name = |len: usize| Options { bootfile_name: Some("b".repeat(len)), ..Options::default() };
    let message = Message::discover().option(55, &[1]);
    let fits = offer_with(name(127), &message);
    assert_eq!((fits[108], fits[234], fits[235]), (b'b', b'b', 0));
    assert_eq!(option(&fits, 67), None);
    let long = offer_with(name(128), &message);
    assert_eq!(long[108], 0);
    assert_eq!(option(&long, 67).unwrap(), [b'b'; 128]);
}

#[test]
fn search_domains_are_compressed() {
    let names = ["lab.example.", "Example", "www.lab.example"];
    let domain_search = names.map(str::to_owned).to_vec();
    let octets = offer_with(Options { domain_search, ..Options::default() }, &Message::discover());
    let expected = b"\x03lab\x07example\0\xc0\x04\x03www\xc0\0";
    assert_eq!(option(&octets, 119).unwrap(), expected);
}

#[test]
fn each_reply_goes_where_rfc_2131_4_1_says() {
    let network = network();
    let served = network.subnet_of(ADDRESS).unwrap();
    let to = |message: &Message, answer| build(message, answer).1;
    let lease = [Answer::Offer(grant(served)), Answer::Ack(grant(served))];
    let relay = Destination::Unicast { address: RELAY, port: 67 };
    let client = Destination::Unicast { address: ADDRESS, port: 68 };
    let hardware = Destination::Hardware { octets: MAC, address: ADDRESS };
    let plain = Message::request();
    for answer in lease {
        assert_eq!(to(&plain.clone().giaddr(RELAY).ciaddr(ADDRESS).broadcast_flag(), answer), relay);
        assert_eq!(to(&plain.clone().ciaddr(ADDRESS).broadcast_flag(), answer), client);
        assert_eq!(to(&plain.clone().broadcast_flag(), answer), Destination::Broadcast);
        assert_eq!(to(&plain, answer), hardware);
        assert_eq!(to(&plain.clone().at(1, &[32, 0]), answer), Destination::Broadcast, "no Ethernet");
    }
    assert_eq!(to(&plain.clone().giaddr(RELAY), NAK), relay);
    assert_eq!(to(&plain.clone().ciaddr(ADDRESS), NAK), Destination::Broadcast);
    assert_eq!(to(&plain, NAK), Destination::Broadcast);
    let inform = Answer::Inform { ciaddr: ADDRESS, served };
    assert_eq!(to(&plain, inform), client);
    assert_eq!(to(&plain.giaddr(RELAY), inform), client);
}

/// A DISCOVER has no `ciaddr` (RFC 2131 table 5). One with it must not make the server send to whom it likes.
#[test]
fn an_offer_does_not_go_to_an_address_outside_the_clients_subnet() {
    let network = network();
    let offer = Answer::Offer(grant(network.subnet_of(ADDRESS).unwrap()));
    for elsewhere in [
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 77, 0, 255),
        Ipv4Addr::new(10, 77, 0, 0),
        Ipv4Addr::LOCALHOST,
    ] {
        let (_, to) = build(&Message::discover().ciaddr(elsewhere), offer);
        assert_eq!(to, Destination::Hardware { octets: MAC, address: ADDRESS }, "{elsewhere}");
    }
}

#[test]
fn a_nak_through_a_relay_asks_it_to_broadcast_and_nothing_else_does() {
    let network = network();
    let ack = Answer::Ack(grant(network.subnet_of(ADDRESS).unwrap()));
    let message = Message::request().giaddr(RELAY);
    assert_eq!(build(&message, NAK).0[10..12], [0x80, 0]);
    assert_eq!(build(&message, NAK).0[24..28], RELAY.octets());
    // Also while it rebinds: it may have moved.
    assert_eq!(build(&message.clone().ciaddr(ADDRESS), NAK).0[10..12], [0x80, 0]);
    assert_eq!(build(&message, ack).0[10..12], [0, 0]);
    assert_eq!(build(&Message::request(), NAK).0[10..12], [0, 0]);
}

/// 540 octets of options, of which 230 fit beside the usual ones.
fn long_options() -> Options {
    let options = [(200, "aa", 230), (201, "bb", 100), (202, "cc", 50), (203, "dd", 150), (204, "ee", 10)];
    let custom = options.map(|(code, octet, len)| custom(code, octet.repeat(len))).to_vec();
    Options { custom, ..Options::default() }
}
