//! For all inputs: nothing panics, dhcproto agrees on valid packets, and replies are well-formed.

use std::net::Ipv4Addr;

use api::pair::Options;
use api::time::Seconds;
use dhcp::classify::{Received, classify};
use dhcp::network::Network;
use dhcp::packet::Packet;
use dhcp::reply::{Answer, Grant, LeaseTimes, REPLY_LEN_MAX, REPLY_LEN_MIN, Reply};
use dhcproto::{Decodable, Decoder};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::captured::{assert_same_reading, captured};
use crate::support::{ADDRESS, Message, RELAY, SERVER, config, custom, network, option, options, subnet};

/// Runs all readers and, for what parses, all answers.
fn exercise(octets: &[u8], network: &Network) {
    let Ok(packet) = Packet::parse(octets) else { return };
    let _ = (packet.client(), packet.hostname(), packet.fqdn(), packet.relay_info(), packet.link_selection());
    let _ = (packet.requested_ip(), packet.server_id(), packet.lease_time(), packet.max_size());
    let _ = (packet.subnet_selection(), packet.vendor_class(), packet.parameter_list());
    for on_broadcast in [false, true] {
        let received = Received { on_broadcast, source: SERVER };
        let _ = classify(&packet, SERVER, received);
        let _ = network.choose(&packet, received, SERVER);
    }
    let served = network.subnet_of(ADDRESS).unwrap();
    let times = LeaseTimes::of(Seconds(3600));
    let grant = Grant { address: ADDRESS, times, served, hostname: Some("host") };
    for answer in [
        Answer::Offer(grant),
        Answer::Ack(grant),
        Answer::Inform { ciaddr: ADDRESS, served },
        Answer::Nak { message: "because" },
    ] {
        let (reply, _) = Reply { packet: &packet, server_id: SERVER, answer }.build();
        assert_well_formed(&packet, &reply);
    }
}

/// What holds for every reply.
fn assert_well_formed(packet: &Packet<'_>, reply: &[u8]) {
    assert!((REPLY_LEN_MIN..=REPLY_LEN_MAX).contains(&reply.len()), "{} octets", reply.len());
    let read = options(reply);
    assert_eq!(read.first().map(|(code, _)| *code), Some(53));
    assert_eq!(option(reply, 54).unwrap(), SERVER.octets());
    assert_eq!(option(reply, 61), packet.client_id().map(|id| id.into_owned()));
    assert_eq!(option(reply, 82), packet.relay_info().map(|info| info.into_owned()));
    let selected = packet.subnet_selection().map(|subnet| subnet.octets().to_vec());
    assert!(selected.is_none() || is_nak(reply) || option(reply, 118) == selected);
    let relay = packet.relay_info().map_or(0, |info| info.len() + 2);
    let limit = usize::from(packet.max_size().unwrap_or(576).clamp(576, 1500)) - 28;
    assert!(reply.len() <= (limit + relay).max(REPLY_LEN_MIN), "{} octets for {limit}", reply.len());
    // Our own view takes it too, but for the direction.
    let mut as_request = reply.to_vec();
    as_request[0] = 1;
    let ours = Packet::parse(&as_request).unwrap();
    assert_eq!(ours.truncated(), None);
    assert_eq!(ours.server_id(), Some(SERVER));
    assert_eq!(ours.options().map(|(code, content)| (code, content.to_vec())).collect::<Vec<_>>(), read);
}

fn is_nak(reply: &[u8]) -> bool {
    option(reply, 53).as_deref() == Some(&[6])
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let address = any::<[u8; 4]>().prop_map(|octets| octets.to_vec());
    let one = prop_oneof![
        address.clone().prop_map(|content| (50, content)),
        address.clone().prop_map(|content| (51, content)),
        address.clone().prop_map(|content| (54, content)),
        address.clone().prop_map(|content| (118, content)),
        vec(any::<u8>(), 1..100).prop_map(|content| (55, content)),
        vec(any::<u8>(), 2).prop_map(|content| (57, content)),
        vec(any::<u8>(), 0..200).prop_map(|content| (60, content)),
        vec(any::<u8>(), 0..200).prop_map(|content| (61, content)),
        "[ -~]{0,200}".prop_map(|name| (12, name.into_bytes())),
        address.prop_map(|content| (82, [&[5, 4][..], &content].concat())),
    ];
    // At most one of each: dhcproto keeps one part of options that are repeated apart.
    let all =
        vec(one, 0..10).prop_map(|options| options.into_iter().collect::<std::collections::BTreeMap<_, _>>());
    let header = vec(any::<u8>(), 33);
    (header, 1_u8..=8, all, any::<bool>(), 0_usize..40).prop_map(|(header, kind, options, is_ended, pad)| {
        let mut message = Message::dhcp(kind).at(3, &header[..31]);
        for (code, content) in options {
            message = message.option(code, &content);
        }
        if is_ended {
            message = message.raw(&[255]);
        }
        message.raw(&vec![0; pad]).octets
    })
}

/// A subnet with options of all lengths.
fn any_options() -> impl Strategy<Value = Options> {
    let addresses = || vec(any::<[u8; 4]>().prop_map(Ipv4Addr::from), 0..=63);
    let by_code = vec((1_u8..=49, vec(any::<u8>(), 0..=1024)), 0..8);
    let file = proptest::option::of("[a-z]{1,255}");
    let names = vec("[a-z]{1,63}(\\.[a-z]{1,20}){0,6}\\.?", 0..20);
    (addresses(), addresses(), by_code, file, names).prop_map(
        |(routers, domain_name_servers, by_code, bootfile_name, domain_search)| {
            let by_code: std::collections::BTreeMap<_, _> = by_code.into_iter().collect();
            let hex =
                |content: Vec<u8>| content.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
            let custom = by_code.into_iter().map(|(code, content)| custom(code, hex(content))).collect();
            Options {
                routers,
                domain_name_servers,
                domain_search,
                bootfile_name,
                custom,
                ..Options::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..700)) {
        exercise(&octets, &network());
    }

    #[test]
    fn arbitrary_option_fields_never_panic(field in vec(any::<u8>(), 0..700), overload in 0_u8..4) {
        let message = Message::discover().option(52, &[overload]).raw(&field);
        exercise(&message.octets, &network());
    }

    #[test]
    fn mutated_packets_of_real_clients_never_panic(
        which in 0_usize..9,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (_, mut octets, _) = captured().nth(which).unwrap();
        for (index, value) in changes {
            let at = index.index(octets.len());
            octets[at] = value;
        }
        if is_cut {
            octets.truncate(240 + cut.index(octets.len() - 240));
        }
        exercise(&octets, &network());
    }

    #[test]
    fn dhcproto_reads_the_same_in_valid_packets(octets in message()) {
        assert_same_reading(&octets);
        exercise(&octets, &network());
    }

    #[test]
    fn replies_keep_all_limits_whatever_is_asked_and_configured(
        list in proptest::option::of(vec(any::<u8>(), 0..=255)),
        max_size in proptest::option::of(any::<u16>()),
        id in proptest::option::of(vec(any::<u8>(), 1..=255)),
        info in proptest::option::of(vec(any::<u8>(), 0..=255)),
        options in any_options(),
        is_relayed in any::<bool>(),
    ) {
        let mut message = Message::request();
        for (code, content) in
            [(55, list), (57, max_size.map(|size| size.to_be_bytes().to_vec())), (61, id), (82, info)]
        {
            if let Some(content) = content {
                message = message.option(code, &content);
            }
        }
        if is_relayed {
            message = message.giaddr(RELAY);
        }
        exercise(&message.octets, &Network::new(&config(vec![subnet("10.77.0.0/24", &[], options)])));
    }

    #[test]
    fn dhcproto_decodes_what_we_build(octets in message()) {
        let packet = Packet::parse(&octets).unwrap();
        let network = network();
        let served = network.subnet_of(ADDRESS).unwrap();
        let grant = Grant { address: ADDRESS, times: LeaseTimes::of(Seconds(3600)), served, hostname: Some("host") };
        let (reply, _) = Reply { packet: &packet, server_id: SERVER, answer: Answer::Ack(grant) }.build();
        let theirs = dhcproto::v4::Message::decode(&mut Decoder::new(&reply)).unwrap();
        prop_assert_eq!(theirs.yiaddr(), ADDRESS);
        let codes: std::collections::BTreeSet<u8> =
            theirs.opts().iter().map(|(code, _)| u8::from(*code)).collect();
        // dhcproto does not follow option 52, so only the option field is compared.
        let mut main = reply.clone();
        main[44..236].fill(0);
        prop_assert_eq!(codes, options(&main).into_iter().map(|(code, _)| code).collect());
    }
}
