//! Packets of the two clients.

use std::net::Ipv4Addr;

use crate::client::Client;

/// DISCOVER, REQUEST and RELEASE as option 53 has them.
pub(super) const DISCOVER: u8 = 1;
pub(super) const REQUEST: u8 = 3;
pub(super) const RELEASE: u8 = 7;

/// What a client says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub(super) kind: u8,
    /// The address that it has.
    pub(super) has: Option<Ipv4Addr>,
    /// The address that it asks for.
    pub(super) wants: Option<Ipv4Addr>,
    /// The server that it means.
    pub(super) server: Option<Ipv4Addr>,
    /// How long a lease it asks for, in seconds.
    pub(super) lease: Option<u32>,
}

/// Longer than any server waits for its partner to answer: both do.
const WAITED_SECONDS: u16 = 100;

/// A packet as it arrives.
pub(super) fn packet(client: &Client, said: &Said) -> Vec<u8> {
    let mut bytes = vec![1, 1, 6, 0];
    // Each exchange stands alone.
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend(WAITED_SECONDS.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(said.has.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    bytes.extend([0; 12]);
    bytes.extend(client.hardware());
    bytes.resize(236, 0);
    bytes.extend([0x63, 0x82, 0x53, 0x63, 53, 1, said.kind]);
    for (code, address) in [(54, said.server), (50, said.wants)] {
        if let Some(address) = address {
            bytes.extend([code, 4]);
            bytes.extend(address.octets());
        }
    }
    if let Some(lease) = said.lease {
        bytes.extend([51, 4]);
        bytes.extend(lease.to_be_bytes());
    }
    bytes.push(255);
    bytes.resize(bytes.len().max(300), 0);
    bytes
}
