//! Numbers of the protocol that more than one module needs.

use std::fmt;

/// Content of option 53 (RFC 2132 §9.6), in the order of the values.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MessageType {
    /// 1: a client looks for servers.
    Discover,
    /// 2: a server's answer to a DISCOVER.
    Offer,
    /// 3: a client accepts an offer, verifies or extends its lease.
    Request,
    /// 4: a client found its address in use by somebody else.
    Decline,
    /// 5: a server grants.
    Ack,
    /// 6: a server refuses.
    Nak,
    /// 7: a client gives its address back.
    Release,
    /// 8: a client with an address asks for options only.
    Inform,
    /// Any other value.
    Unknown(u8),
}

impl MessageType {
    /// The type of a value of option 53.
    #[must_use]
    pub const fn from_wire(value: u8) -> Self {
        match value {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            other => Self::Unknown(other),
        }
    }

    /// The value of option 53.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
            Self::Unknown(other) => other,
        }
    }

    /// The name for logs and metric labels. Unknown types share one, so that a client cannot make
    /// up labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Offer => "offer",
            Self::Request => "request",
            Self::Decline => "decline",
            Self::Ack => "ack",
            Self::Nak => "nak",
            Self::Release => "release",
            Self::Inform => "inform",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(value) => write!(f, "unknown type {value}"),
            known => f.write_str(known.as_str()),
        }
    }
}

/// Codes of the options that the protocol itself uses.
pub(crate) mod code {
    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTERS: u8 = 3;
    pub(crate) const DOMAIN_NAME_SERVERS: u8 = 6;
    pub(crate) const HOST_NAME: u8 = 12;
    pub(crate) const DOMAIN_NAME: u8 = 15;
    pub(crate) const INTERFACE_MTU: u8 = 26;
    pub(crate) const BROADCAST_ADDRESS: u8 = 28;
    pub(crate) const NTP_SERVERS: u8 = 42;
    pub(crate) const REQUESTED_IP: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER_ID: u8 = 54;
    pub(crate) const PARAMETER_LIST: u8 = 55;
    pub(crate) const MESSAGE: u8 = 56;
    pub(crate) const MAX_SIZE: u8 = 57;
    pub(crate) const RENEWAL_TIME: u8 = 58;
    pub(crate) const REBINDING_TIME: u8 = 59;
    pub(crate) const VENDOR_CLASS: u8 = 60;
    pub(crate) const CLIENT_ID: u8 = 61;
    pub(crate) const TFTP_SERVER_NAME: u8 = 66;
    pub(crate) const BOOTFILE_NAME: u8 = 67;
    pub(crate) const FQDN: u8 = 81;
    pub(crate) const RELAY_INFO: u8 = 82;
    pub(crate) const SUBNET_SELECTION: u8 = 118;
    pub(crate) const DOMAIN_SEARCH: u8 = 119;
    pub(crate) const END: u8 = 255;
    /// Sub-option of [`RELAY_INFO`] (RFC 3527).
    pub(crate) const LINK_SELECTION: u8 = 5;
}

/// Where the fields of a message lie (RFC 2131 §2).
pub(crate) mod field {
    use std::ops::Range;

    pub(crate) const SECS: usize = 8;
    pub(crate) const FLAGS: usize = 10;
    pub(crate) const CIADDR: usize = 12;
    pub(crate) const YIADDR: usize = 16;
    pub(crate) const SIADDR: usize = 20;
    pub(crate) const GIADDR: usize = 24;
    pub(crate) const CHADDR: usize = 28;
    pub(crate) const CHADDR_LEN: usize = 16;
    pub(crate) const SNAME: Range<usize> = 44..108;
    pub(crate) const FILE: Range<usize> = 108..236;
    pub(crate) const COOKIE: Range<usize> = 236..240;
    pub(crate) const OPTIONS: usize = 240;
    /// What [`COOKIE`] must hold (RFC 2131 §3).
    pub(crate) const MAGIC: [u8; 4] = [99, 130, 83, 99];
    /// The only flag in use: answer by broadcast.
    pub(crate) const BROADCAST_FLAG: u16 = 0x8000;
    pub(crate) const BOOTREQUEST: u8 = 1;
    pub(crate) const BOOTREPLY: u8 = 2;
    /// `htype` of Ethernet.
    pub(crate) const ETHERNET: u8 = 1;
    pub(crate) const ETHERNET_LEN: usize = 6;
}
