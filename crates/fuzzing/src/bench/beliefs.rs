//! What clients believe of addresses, by the replies that they got.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::time::{Seconds, UnixTime};
use dhcp::message::MessageType;
use dhcp::packet::Packet;

/// Who believes in an address, and until when.
#[derive(Default)]
pub(crate) struct Beliefs(BTreeMap<Ipv4Addr, (Vec<u8>, UnixTime)>);

impl Beliefs {
    /// A client says something: one that gives its address up does not believe in it any more.
    pub(crate) fn hears(&mut self, message: &[u8]) {
        let Ok(packet) = Packet::parse(message) else { return };
        if matches!(packet.message_type(), Some(MessageType::Release | MessageType::Decline)) {
            self.forget(packet.ciaddr());
            packet.requested_ip().iter().for_each(|address| self.forget(*address));
        }
    }

    /// A client is answered.
    pub(crate) fn replied(&mut self, reply: &[u8], now: UnixTime) {
        let mut turned = reply.to_vec();
        turned[0] = 1;
        let packet = Packet::parse(&turned).expect("a reply is a message");
        let (Some(MessageType::Ack), Some(seconds)) = (packet.message_type(), packet.lease_time()) else {
            return;
        };
        let client = packet.client();
        let who =
            client.id.unwrap_or_else(|| [&[client.hardware.kind], &client.hardware.octets[..]].concat());
        if let Some((holder, until)) = self.0.get(&packet.yiaddr()) {
            assert!(
                *holder == who || *until <= now,
                "{} for {who:02x?}, and {holder:02x?} has it until {until}, it is {now}",
                packet.yiaddr()
            );
        }
        self.0.insert(packet.yiaddr(), (who, now + Seconds(seconds)));
    }

    /// The partner or an operator has spoken of an address: what became of its client is not known here.
    pub(crate) fn forget(&mut self, address: Ipv4Addr) {
        self.0.remove(&address);
    }

    pub(crate) fn forget_all(&mut self) {
        self.0.clear();
    }
}
