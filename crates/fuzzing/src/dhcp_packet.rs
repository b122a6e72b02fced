//! What clients and relays send: an IP packet as a packet socket gives it, or a DHCP message as a UDP socket does.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use api::config::PairConfig;
use api::time::Seconds;
use dhcp::classify::{Received, Request, classify};
use dhcp::network::Network;
use dhcp::packet::Packet;
use dhcp::reply::{Answer, Grant, LeaseTimes, REPLY_LEN_MAX, REPLY_LEN_MIN, Reply};
use dhcp_pod::net::datagram;

use crate::bench::{SERVER, manifest};

/// The octets as an IP packet, with and without a checksum still to be filled in, and as a DHCP message.
pub fn check(octets: &[u8]) {
    for pending in [false, true] {
        if let Ok(datagram) = datagram::parse(octets, pending) {
            assert!(datagram.payload.len() <= octets.len());
            message(datagram.payload);
        }
    }
    message(octets);
    if let Some(packet) = datagram::build(SERVER, Ipv4Addr::BROADCAST, octets) {
        // Our own packets go to port 68, where no server listens.
        assert_eq!(datagram::parse(&packet, false), Err(datagram::Error::Foreign));
    }
}

/// Reads everything in a message, and answers it in every way that there is.
fn message(octets: &[u8]) {
    let Ok(packet) = Packet::parse(octets) else { return };
    let _ = (packet.client(), packet.hostname(), packet.fqdn(), packet.vendor_class(), packet.lease_time());
    let again: Vec<_> = packet.options().map(|(code, _)| code).collect();
    for code in again {
        assert!(packet.option(code).is_some(), "option {code} is listed and not there");
    }
    let client = packet.client();
    for on_broadcast in [false, true] {
        let received = Received { on_broadcast, source: Ipv4Addr::new(10, 50, 0, 105) };
        if let Ok(Request::Selecting { server_id, .. } | Request::Release { server_id, .. }) =
            classify(&packet, SERVER, received)
        {
            assert_eq!(packet.server_id(), Some(server_id));
        }
        if let Some(served) = NETWORK.choose(&packet, received, SERVER)
            && let Some((address, _)) = served.reservation_for(&client)
        {
            assert!(
                served.serves(address, &client),
                "{address} is reserved for {client:?}, who may not have it"
            );
        }
    }
    let Some(served) = NETWORK.subnet_of(SERVER) else { unreachable!("the server is in its own subnet") };
    let address = Ipv4Addr::new(10, 50, 0, 105);
    for lease in [1, 600, u32::MAX] {
        let grant =
            Grant { address, times: LeaseTimes::of(Seconds(lease)), served, hostname: Some("printer") };
        for answer in [
            Answer::Offer(grant),
            Answer::Ack(grant),
            Answer::Inform { ciaddr: address, served },
            Answer::Nak { message: "because" },
        ] {
            reply(&packet, Reply { packet: &packet, server_id: SERVER, answer });
        }
    }
}

/// A reply is as long as it may be, and says what it must.
fn reply(packet: &Packet<'_>, reply: Reply<'_>) {
    let (octets, _) = reply.build();
    assert!((REPLY_LEN_MIN..=REPLY_LEN_MAX).contains(&octets.len()), "{} octets", octets.len());
    let relay = packet.relay_info().map_or(0, |info| info.len() + 2);
    let limit = usize::from(packet.max_size().unwrap_or(576).clamp(576, 1500)) - 28;
    assert!(octets.len() <= (limit + relay).max(REPLY_LEN_MIN), "{} octets for {limit}", octets.len());
    // Our own view takes it too, but for the direction.
    let mut turned = octets;
    turned[0] = 1;
    let read = Packet::parse(&turned).expect("a reply is a message");
    assert_eq!(read.truncated(), None);
    assert_eq!(read.server_id(), Some(SERVER));
    assert_eq!(read.message_type(), Some(reply.message_type()));
    assert_eq!((read.xid(), read.giaddr()), (packet.xid(), packet.giaddr()));
    assert_eq!(read.client_id(), packet.client_id());
    assert_eq!(read.relay_info(), packet.relay_info());
}

static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    let manifest = manifest(&serde_json::json!({}));
    Network::new(&PairConfig::new(&manifest).expect("the bench has a valid manifest"))
});
