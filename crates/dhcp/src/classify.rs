//! What a client wants: the table of RFC 2131 §4.3.2 and the other messages of §4.3.

use std::net::Ipv4Addr;

use crate::message::MessageType;
use crate::packet::{Kind, Packet};

/// How a packet arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// The IP destination was a broadcast address.
    pub on_broadcast: bool,
    /// The IP source; unspecified for a client without an address.
    pub source: Ipv4Addr,
}

/// What the sender of a packet wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// DISCOVER: an offer, please (§4.3.1).
    Discover {
        /// Address that the client would like; never 0.0.0.0.
        requested: Option<Ipv4Addr>,
    },
    /// REQUEST in SELECTING: the client accepts this server's offer.
    Selecting {
        /// This server.
        server_id: Ipv4Addr,
        /// The offered address.
        requested: Ipv4Addr,
    },
    /// REQUEST in SELECTING that accepts another server's offer: never answered; an offer of ours to
    /// this client has lapsed.
    SelectingOther {
        /// The other server.
        server_id: Ipv4Addr,
        /// The address that it offered.
        requested: Ipv4Addr,
    },
    /// REQUEST in INIT-REBOOT: does the client's remembered address still hold?
    InitReboot {
        /// The remembered address.
        requested: Ipv4Addr,
    },
    /// REQUEST in RENEWING: by unicast to this server.
    Renewing {
        /// The client's address.
        ciaddr: Ipv4Addr,
    },
    /// REQUEST in REBINDING: by broadcast or through a relay, to any server.
    Rebinding {
        /// The client's address.
        ciaddr: Ipv4Addr,
    },
    /// RELEASE (§4.3.4). Never answered.
    Release {
        /// The address that the client gives back.
        ciaddr: Ipv4Addr,
        /// The server that the client means: this one or another.
        server_id: Ipv4Addr,
    },
    /// DECLINE (§4.3.3): somebody else uses the address. Never answered.
    Decline {
        /// The address in use.
        requested: Ipv4Addr,
        /// The server that the client means: this one or another.
        server_id: Ipv4Addr,
    },
    /// INFORM (§4.3.5): options only.
    Inform {
        /// The client's address, from the IP source if `ciaddr` is empty and no relay stands between.
        ciaddr: Ipv4Addr,
    },
}

impl Request {
    /// The name for logs and metric labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Discover { .. } => "discover",
            Self::Selecting { .. } => "selecting",
            Self::SelectingOther { .. } => "selecting_other",
            Self::InitReboot { .. } => "init_reboot",
            Self::Renewing { .. } => "renewing",
            Self::Rebinding { .. } => "rebinding",
            Self::Release { .. } => "release",
            Self::Decline { .. } => "decline",
            Self::Inform { .. } => "inform",
        }
    }
}

/// Why a packet gets no further.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// A BOOTP request, which is not served.
    #[error("a BOOTP request, which is not served")]
    Bootp,
    /// OFFER, ACK or NAK: only servers send these.
    #[error("{0} is a server's message")]
    ServerMessage(MessageType),
    /// A message type that is not served.
    #[error("{0} is not served")]
    Unsupported(MessageType),
    /// Neither hardware address nor client identifier.
    #[error("the client has neither hardware address nor identifier")]
    NoIdentity,
    /// A message that must name a server, and does not.
    #[error("{0} names no server")]
    NoServerId(MessageType),
    /// A message that must name an address, and does not.
    #[error("{0} names no address")]
    NoAddress(MessageType),
    /// A renewal that names another server. No state of a client sends that, but the meaning is clear.
    #[error("renewal that names the server {server_id}")]
    RenewalElsewhere {
        /// The other server.
        server_id: Ipv4Addr,
    },
    /// A REQUEST with two addresses: no state of a client sends that.
    #[error("request for {requested} by a client that has the address {ciaddr}")]
    TwoAddresses {
        /// Value of the field.
        ciaddr: Ipv4Addr,
        /// Content of option 50.
        requested: Ipv4Addr,
    },
    /// A truncated REQUEST that may or may not name a server: it may be meant for another one.
    #[error("request is truncated where it may name another server")]
    Truncated,
}

impl Ignored {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Bootp => "bootp",
            Self::ServerMessage(_) => "server_message",
            Self::Unsupported(_) => "unsupported",
            Self::NoIdentity => "no_identity",
            Self::NoServerId(_) => "no_server_id",
            Self::NoAddress(_) => "no_address",
            Self::RenewalElsewhere { .. } => "renewal_elsewhere",
            Self::TwoAddresses { .. } => "two_addresses",
            Self::Truncated => "truncated",
        }
    }
}

/// Says what a packet is to the server that goes by `server_id` (its option 54).
///
/// 0.0.0.0 in option 50 counts as absent, since some clients send it in a DISCOVER. A renewal that
/// repeats `ciaddr` in option 50, or names this server in option 54, is forbidden by the RFC but clear,
/// so it passes.
pub fn classify(packet: &Packet<'_>, server_id: Ipv4Addr, received: Received) -> Result<Request, Ignored> {
    let Kind::Dhcp(message_type) = packet.kind() else { return Err(Ignored::Bootp) };
    if packet.chaddr().is_empty() && packet.client_id().is_none() {
        return Err(Ignored::NoIdentity);
    }
    let given = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
    let requested = packet.requested_ip().and_then(given);
    let ciaddr = given(packet.ciaddr());
    let no_address = Ignored::NoAddress(message_type);
    let named = || packet.server_id().ok_or(Ignored::NoServerId(message_type));
    match message_type {
        MessageType::Discover => Ok(Request::Discover { requested }),
        MessageType::Request => request(packet, server_id, received, requested, ciaddr),
        MessageType::Release => {
            Ok(Request::Release { ciaddr: ciaddr.ok_or(no_address)?, server_id: named()? })
        }
        MessageType::Decline => {
            Ok(Request::Decline { requested: requested.ok_or(no_address)?, server_id: named()? })
        }
        MessageType::Inform => {
            let source = given(received.source).filter(|_| !packet.is_relayed());
            // The answer goes there.
            let ciaddr = ciaddr.or(source).filter(|address| is_a_hosts(*address));
            Ok(Request::Inform { ciaddr: ciaddr.ok_or(no_address)? })
        }
        MessageType::Offer | MessageType::Ack | MessageType::Nak => Err(Ignored::ServerMessage(message_type)),
        MessageType::Unknown(_) => Err(Ignored::Unsupported(message_type)),
    }
}

fn request(
    packet: &Packet<'_>,
    this_server: Ipv4Addr,
    received: Received,
    requested: Option<Ipv4Addr>,
    ciaddr: Option<Ipv4Addr>,
) -> Result<Request, Ignored> {
    match (packet.server_id(), ciaddr, requested) {
        (Some(server_id), None, Some(requested)) if server_id == this_server => {
            Ok(Request::Selecting { server_id, requested })
        }
        (Some(server_id), None, Some(requested)) => Ok(Request::SelectingOther { server_id, requested }),
        (Some(server_id), Some(_), _) if server_id != this_server => {
            Err(Ignored::RenewalElsewhere { server_id })
        }
        // Without `ciaddr`, option 54 may lie in the part that could not be read.
        (None, None, _) if packet.truncated().is_some() => Err(Ignored::Truncated),
        (None, None, Some(requested)) => Ok(Request::InitReboot { requested }),
        (_, None, None) => Err(Ignored::NoAddress(MessageType::Request)),
        (_, Some(ciaddr), Some(requested)) if requested != ciaddr => {
            Err(Ignored::TwoAddresses { ciaddr, requested })
        }
        (_, Some(ciaddr), _) if received.on_broadcast || packet.is_relayed() => {
            Ok(Request::Rebinding { ciaddr })
        }
        (_, Some(ciaddr), _) => Ok(Request::Renewing { ciaddr }),
    }
}

/// Whether a host on a network may have the address: not this host, everybody, a group, or reserved.
fn is_a_hosts(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    (1..=223).contains(&first) && !address.is_loopback()
}
