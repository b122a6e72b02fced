//! The few messages of a client that the tests of a whole server need, and what they read of the answers.

use std::net::Ipv4Addr;

/// A client's message.
#[derive(Default)]
pub(crate) struct Dhcp {
    pub(crate) kind: u8,
    pub(crate) requested: Option<Ipv4Addr>,
    pub(crate) server: Option<Ipv4Addr>,
    pub(crate) ciaddr: Option<Ipv4Addr>,
}

impl Dhcp {
    pub(crate) fn bytes(&self, client: u8) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        (bytes[0], bytes[1], bytes[2]) = (1, 1, 6);
        bytes[4..8].copy_from_slice(&[0, 0, self.kind, client]);
        if let Some(address) = self.ciaddr {
            bytes[12..16].copy_from_slice(&address.octets());
        }
        bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, client]);
        bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
        bytes.extend([53, 1, self.kind]);
        for (code, address) in [(50, self.requested), (54, self.server)] {
            if let Some(address) = address {
                bytes.extend([code, 4]);
                bytes.extend(address.octets());
            }
        }
        bytes.push(255);
        bytes.resize(300, 0);
        bytes
    }
}

/// An option of an answer.
pub(crate) fn option(reply: &[u8], code: u8) -> Option<&[u8]> {
    let mut at = 240;
    while reply.get(at).is_some_and(|code| *code != 255) {
        let len = usize::from(*reply.get(at + 1)?);
        if reply[at] == code {
            return reply.get(at + 2..at + 2 + len);
        }
        at += 2 + len;
    }
    None
}

/// The address that the client gets.
pub(crate) fn address(reply: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(reply[16], reply[17], reply[18], reply[19])
}

/// Option 51; zero if there is none.
pub(crate) fn lease_seconds(reply: &[u8]) -> u32 {
    option(reply, 51).map_or(0, |octets| u32::from_be_bytes(octets.try_into().expect("four octets")))
}
