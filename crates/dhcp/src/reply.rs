//! The octets of a reply and where they go (RFC 2131 §4.1 and tables 3 and 5).

use std::net::Ipv4Addr;

use api::time::Seconds;

use crate::layout::Layout;
use crate::message::{MessageType, code, field};
use crate::network::ServedSubnet;
use crate::packet::Packet;

/// Port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// Port of clients.
pub const CLIENT_PORT: u16 = 68;
/// Least length of a reply in octets (RFC 1542 §2.1).
pub const REPLY_LEN_MIN: usize = 300;
/// Greatest length of a reply in octets: what fits into an Ethernet frame of 1500 octets with IP and
/// UDP headers. No reply is ever fragmented.
pub const REPLY_LEN_MAX: usize = DATAGRAM_LEN_MAX as usize - HEADERS_LEN;

/// A reply to a packet.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// What is answered.
    pub packet: &'a Packet<'a>,
    /// This server's address: option 54.
    pub server_id: Ipv4Addr,
    /// What it says.
    pub answer: Answer<'a>,
}

/// What a reply says.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// OFFER.
    Offer(Grant<'a>),
    /// ACK to a REQUEST.
    Ack(Grant<'a>),
    /// ACK to an INFORM: options, no lease.
    Inform {
        /// The client's address, as classified.
        ciaddr: Ipv4Addr,
        /// The subnet whose options the client gets.
        served: &'a ServedSubnet,
    },
    /// NAK.
    Nak {
        /// Why, for people: option 56, ASCII. What is beyond 255 octets is cut.
        message: &'a str,
    },
}

/// A lease, offered or granted.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The client's address.
    pub address: Ipv4Addr,
    /// For how long.
    pub times: LeaseTimes,
    /// The subnet whose options the client gets.
    pub served: &'a ServedSubnet,
    /// Option 12: the name in the client's reservation.
    pub hostname: Option<&'a str>,
}

/// What a client is told about time, in seconds from now. T1 and T2 are not sent with a lease without
/// end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeaseTimes {
    /// Option 51. `u32::MAX` is without end.
    pub lease: Seconds,
    /// Option 58, T1: when to renew. At most `t2`.
    pub t1: Seconds,
    /// Option 59, T2: when to rebind. At most `lease`.
    pub t2: Seconds,
}

impl LeaseTimes {
    /// T1 and T2 at their usual places, a half and seven eighths (RFC 2131 §4.4.5).
    #[must_use]
    pub const fn of(lease: Seconds) -> Self {
        let seconds = lease.0;
        Self { lease, t1: Seconds(seconds / 2), t2: Seconds(seconds - seconds / 8) }
    }

    const fn is_infinite(self) -> bool {
        self.lease.0 == u32::MAX
    }
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destination {
    /// By UDP to an address that answers ARP or is routed.
    Unicast {
        /// Relay or client.
        address: Ipv4Addr,
        /// [`SERVER_PORT`] of a relay, [`CLIENT_PORT`] of a client.
        port: u16,
    },
    /// To 255.255.255.255, [`CLIENT_PORT`], on the interface that received the packet.
    Broadcast,
    /// To a client that has no address yet and answers no ARP, on the interface that received the
    /// packet.
    Hardware {
        /// Ethernet destination.
        octets: [u8; field::ETHERNET_LEN],
        /// IP destination: the client's address to be; [`CLIENT_PORT`].
        address: Ipv4Addr,
    },
}

impl<'a> Reply<'a> {
    /// The octets and where they go.
    #[must_use]
    pub fn build(&self) -> (Vec<u8>, Destination) {
        let mut octets = Vec::with_capacity(REPLY_LEN_MAX);
        self.write(&mut octets);
        (octets, self.destination())
    }

    /// Replaces the content of `out` by the octets. The length is between [`REPLY_LEN_MIN`] and
    /// [`REPLY_LEN_MAX`]; without option 82, which relays remove, it keeps to the client's limit
    /// (option 57, or 576 octets, less the headers of IP and UDP).
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.resize(field::OPTIONS, 0);
        self.header(out);
        let mut layout = Layout::new(self.packet);
        layout.protocol(code::MESSAGE_TYPE, &[self.message_type().wire()]);
        layout.protocol(code::SERVER_ID, &self.server_id.octets());
        if let Some(subnet) = self.packet.subnet_selection().filter(|_| !self.is_nak()) {
            // A client that sent it takes no offer without it (RFC 3011 §2).
            layout.protocol(code::SUBNET_SELECTION, &subnet.octets());
        }
        match self.answer {
            Answer::Nak { message } => {
                layout.want(code::MESSAGE, &message.as_bytes()[..message.len().min(CONTENT_LEN_MAX)]);
            }
            Answer::Inform { served, .. } => self.want_options(&mut layout, served, None),
            Answer::Offer(grant) | Answer::Ack(grant) => {
                let times = grant.times;
                layout.protocol(code::LEASE_TIME, &times.lease.0.to_be_bytes());
                if !times.is_infinite() {
                    layout.protocol(code::RENEWAL_TIME, &times.t1.0.to_be_bytes());
                    layout.protocol(code::REBINDING_TIME, &times.t2.0.to_be_bytes());
                }
                self.want_options(&mut layout, grant.served, grant.hostname);
            }
        }
        layout.write(out);
        if out.len() < REPLY_LEN_MIN {
            out.resize(REPLY_LEN_MIN, 0);
        }
    }

    /// OFFER, ACK or NAK.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self.answer {
            Answer::Offer(_) => MessageType::Offer,
            Answer::Ack(_) | Answer::Inform { .. } => MessageType::Ack,
            Answer::Nak { .. } => MessageType::Nak,
        }
    }

    /// Where the octets go.
    ///
    /// The answer to an INFORM goes straight to the client even if a relay passed the question on
    /// (RFC 2131 §4.3.5): it has no `yiaddr` by which a relay could find the client. A `ciaddr` that lies
    /// outside the client's subnet is not sent to: nobody there would hear it, or the wrong one.
    #[must_use]
    pub fn destination(&self) -> Destination {
        let packet = self.packet;
        let to_client = |address| Destination::Unicast { address, port: CLIENT_PORT };
        let grant = match self.answer {
            Answer::Inform { ciaddr, .. } => return to_client(ciaddr),
            _ if packet.is_relayed() => {
                return Destination::Unicast { address: packet.giaddr(), port: SERVER_PORT };
            }
            // The client must hear it even if it has no right to its address.
            Answer::Nak { .. } => return Destination::Broadcast,
            Answer::Offer(grant) | Answer::Ack(grant) => grant,
        };
        if grant.served.subnet().cidr.is_host(packet.ciaddr()) {
            return to_client(packet.ciaddr());
        }
        match <[u8; field::ETHERNET_LEN]>::try_from(packet.chaddr()) {
            Ok(octets) if packet.htype() == field::ETHERNET && !packet.broadcast_flag() => {
                Destination::Hardware { octets, address: grant.address }
            }
            _ => Destination::Broadcast,
        }
    }

    fn is_nak(&self) -> bool {
        self.message_type() == MessageType::Nak
    }

    fn header(&self, out: &mut [u8]) {
        let packet = self.packet;
        let mut put = |at: usize, octets: &[u8]| {
            if let Some(target) = out.get_mut(at..at + octets.len()) {
                target.copy_from_slice(octets);
            }
        };
        let mut flags = packet.flags();
        if packet.is_relayed() && self.is_nak() {
            // Else the relay would send it to an address that the client may not have (§4.3.2).
            flags |= field::BROADCAST_FLAG;
        }
        put(0, &[field::BOOTREPLY, packet.htype(), packet.hlen(), 0]);
        put(4, &packet.xid().to_be_bytes());
        put(field::FLAGS, &flags.to_be_bytes());
        put(field::GIADDR, &packet.giaddr().octets());
        put(field::CHADDR, packet.chaddr());
        put(field::COOKIE.start, &field::MAGIC);
        let served = match self.answer {
            Answer::Nak { .. } => return,
            Answer::Offer(grant) => {
                put(field::YIADDR, &grant.address.octets());
                grant.served
            }
            Answer::Ack(grant) => {
                put(field::CIADDR, &packet.ciaddr().octets());
                put(field::YIADDR, &grant.address.octets());
                grant.served
            }
            Answer::Inform { ciaddr, served } => {
                put(field::CIADDR, &ciaddr.octets());
                served
            }
        };
        let options = &served.subnet().options;
        put(field::SIADDR, &options.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        put(field::FILE.start, boot_file(served).unwrap_or_default());
    }

    /// Adds the configured options that the client asks for, in its order; all of them for a client
    /// without a list.
    fn want_options(&self, layout: &mut Layout<'a>, served: &'a ServedSubnet, hostname: Option<&'a str>) {
        let options = served.options();
        let mut want = |code| {
            let name = hostname.filter(|_| code == code::HOST_NAME).map(str::as_bytes);
            if let Some(content) = name.or_else(|| options.get(code)) {
                layout.want(code, content);
            }
        };
        if let Some(list) = self.packet.parameter_list() {
            for code in list.iter().copied() {
                // RFC 2132 §3.3: the mask comes first if both are sent.
                if code == code::ROUTERS && list.contains(&code::SUBNET_MASK) {
                    want(code::SUBNET_MASK);
                }
                want(code);
            }
        } else {
            want(code::HOST_NAME);
            options.codes().for_each(&mut want);
        }
        if boot_file(served).is_none() {
            // A name that is too long for its field reaches the client in this way only.
            want(code::BOOTFILE_NAME);
        }
    }
}

/// What goes into the `file` field, if it fits there with the NUL that ends it.
fn boot_file(served: &ServedSubnet) -> Option<&[u8]> {
    let name = served.subnet().options.bootfile_name.as_deref().unwrap_or_default().as_bytes();
    (name.len() < field::FILE.len()).then_some(name)
}

const CONTENT_LEN_MAX: usize = 255;
/// IP header without options, and UDP header.
pub(crate) const HEADERS_LEN: usize = 28;
/// What every client must take (RFC 2131 §2), headers included.
pub(crate) const DATAGRAM_LEN_MIN: u16 = 576;
/// What every link is taken to carry, headers included.
pub(crate) const DATAGRAM_LEN_MAX: u16 = 1500;
