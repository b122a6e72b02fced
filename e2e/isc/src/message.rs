//! The few DHCP messages that the tests' own clients send, and what they read of the answers (RFC 2131).

use std::net::Ipv4Addr;

/// Option 53.
pub const MESSAGE_TYPE: u8 = 53;
/// Option 51.
pub const LEASE_TIME: u8 = 51;
/// Option 54.
pub const SERVER_ID: u8 = 54;
/// Option 50.
const REQUESTED_ADDRESS: u8 = 50;
const OPTIONS_AT: usize = 240;

/// Values of option 53.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// None: a BOOTP client (RFC 951).
    Bootp = 0,
    /// DHCPDISCOVER.
    Discover = 1,
    /// DHCPOFFER.
    Offer = 2,
    /// DHCPREQUEST.
    Request = 3,
    /// DHCPDECLINE.
    Decline = 4,
    /// DHCPACK.
    Ack = 5,
    /// DHCPRELEASE.
    Release = 7,
}

/// What a client says.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Option 53.
    pub kind: Kind,
    /// Which answer is to which question.
    pub xid: u32,
    /// The client.
    pub hardware: [u8; 6],
    /// Its address, if it has one.
    pub ciaddr: Option<Ipv4Addr>,
    /// The relay that passes the message on.
    pub giaddr: Option<Ipv4Addr>,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
}

impl Question {
    /// The datagram.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = vec![0; 236];
        packet[..4].copy_from_slice(&[1, 1, 6, u8::from(self.giaddr.is_some())]);
        packet[4..8].copy_from_slice(&self.xid.to_be_bytes());
        for (at, address) in [(12, self.ciaddr), (24, self.giaddr)] {
            packet[at..at + 4].copy_from_slice(&address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        }
        packet[28..34].copy_from_slice(&self.hardware);
        packet.extend([99, 130, 83, 99]);
        if self.kind != Kind::Bootp {
            packet.extend([MESSAGE_TYPE, 1, self.kind as u8]);
        }
        for (code, address) in [(REQUESTED_ADDRESS, self.requested), (SERVER_ID, self.server)] {
            if let Some(address) = address {
                packet.extend([code, 4]);
                packet.extend(address.octets());
            }
        }
        packet.push(255);
        packet.resize(300, 0);
        packet
    }
}

/// What a server answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a>(pub &'a [u8]);

impl Answer<'_> {
    /// Which question it is to.
    #[must_use]
    pub fn xid(&self) -> Option<u32> {
        self.0.get(4..8)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The address that the client gets.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.0.get(16..20)?.try_into().ok().map(<[u8; 4]>::into)
    }

    /// `siaddr`, by which a BOOTP server tells its own address.
    #[must_use]
    pub fn next_server(&self) -> Option<Ipv4Addr> {
        self.0.get(20..24)?.try_into().ok().map(<[u8; 4]>::into)
    }

    /// Option 53.
    #[must_use]
    pub fn kind(&self) -> Option<u8> {
        self.option(MESSAGE_TYPE)?.first().copied()
    }

    /// Option 54.
    #[must_use]
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.option(SERVER_ID)?.try_into().ok().map(<[u8; 4]>::into)
    }

    /// Option 51.
    #[must_use]
    pub fn lease_seconds(&self) -> Option<u32> {
        self.option(LEASE_TIME)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn option(&self, code: u8) -> Option<&[u8]> {
        let mut rest = self.0.get(OPTIONS_AT..)?;
        loop {
            match rest {
                [0, more @ ..] => rest = more,
                [found, len, more @ ..] if *found != 255 => {
                    let (value, after) = more.split_at_checked(usize::from(*len))?;
                    if *found == code {
                        return Some(value);
                    }
                    rest = after;
                }
                _ => return None,
            }
        }
    }
}
