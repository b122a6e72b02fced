//! IPv4 and UDP around a DHCP message: what packet sockets need and UDP sockets hide.

use std::net::Ipv4Addr;

/// Port of the servers and relays.
pub const SERVER_PORT: u16 = 67;
/// Port of the clients.
pub const CLIENT_PORT: u16 = 68;

const IP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;

/// A UDP datagram to port 67 as received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Datagram<'a> {
    /// Source of the IP packet.
    pub source: Ipv4Addr,
    /// Destination of the IP packet.
    pub destination: Ipv4Addr,
    /// Source port: 67 of a relay, 68 of a client, mostly.
    pub source_port: u16,
    /// The DHCP message.
    pub payload: &'a [u8],
}

/// Why a packet was not even looked at as DHCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Its header ends before it should.
    #[error("packet is too short")]
    Short,
    /// A length field says something impossible.
    #[error("length fields contradict each other")]
    Length,
    /// Not IPv4, not UDP, or not to port 67.
    #[error("not a datagram to port 67")]
    Foreign,
    /// A part of a datagram.
    #[error("is a fragment")]
    Fragment,
    /// Checksum of the IP header.
    #[error("IP header checksum is wrong")]
    IpChecksum,
    /// Checksum of the datagram.
    #[error("UDP checksum is wrong")]
    UdpChecksum,
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Short => "short_packet",
            Self::Length => "bad_length",
            Self::Foreign => "not_dhcp",
            Self::Fragment => "fragment",
            Self::IpChecksum => "ip_checksum",
            Self::UdpChecksum => "udp_checksum",
        }
    }
}

/// Reads an IP packet. With `checksum_pending` the UDP checksum is not looked at: the sender is a
/// process of this host, and its network card would have filled it in.
pub fn parse(packet: &[u8], checksum_pending: bool) -> Result<Datagram<'_>, Error> {
    let header_len = match packet.first() {
        None => return Err(Error::Short),
        Some(first) if first >> 4 != 4 => return Err(Error::Foreign),
        Some(first) => usize::from(first & 0x0f) * 4,
    };
    if header_len < IP_HEADER_BYTES {
        return Err(Error::Length);
    }
    let header = packet.get(..header_len).ok_or(Error::Short)?;
    let total = usize::from(u16_at(header, 2));
    if total < header_len + UDP_HEADER_BYTES {
        return Err(Error::Length);
    }
    // Ethernet pads short frames, so more than `total` may have arrived, but never less.
    let datagram = packet.get(header_len..total).ok_or(Error::Short)?;
    if header[9] != UDP {
        return Err(Error::Foreign);
    }
    if u16_at(header, 6) & MORE_FRAGMENTS_OR_OFFSET != 0 {
        return Err(Error::Fragment);
    }
    if fold(sum(header)) != 0xffff {
        return Err(Error::IpChecksum);
    }
    let (source, destination) = (address_at(header, 12), address_at(header, 16));
    if u16_at(datagram, 2) != SERVER_PORT {
        return Err(Error::Foreign);
    }
    let udp_len = usize::from(u16_at(datagram, 4));
    if udp_len < UDP_HEADER_BYTES {
        return Err(Error::Length);
    }
    let udp = datagram.get(..udp_len).ok_or(Error::Length)?;
    let checksum_used = u16_at(udp, 6) != 0 && !checksum_pending;
    if checksum_used && fold(pseudo_sum(source, destination, udp.len()) + sum(udp)) != 0xffff {
        return Err(Error::UdpChecksum);
    }
    Ok(Datagram { source, destination, source_port: u16_at(udp, 0), payload: &udp[UDP_HEADER_BYTES..] })
}

/// Writes an IP packet from `source`:67 to `destination`:68 around a DHCP message. `None` if the message
/// does not fit into an IP packet.
#[must_use]
pub fn build(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Option<Vec<u8>> {
    let udp_len = UDP_HEADER_BYTES + payload.len();
    let total = u16::try_from(IP_HEADER_BYTES + udp_len).ok()?;
    let mut packet = Vec::with_capacity(usize::from(total));
    packet.extend([0x45, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(DONT_FRAGMENT.to_be_bytes());
    packet.extend([TTL, UDP, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let checksum = !fold(sum(&packet));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());

    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend((udp_len as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    let checksum = !fold(pseudo_sum(source, destination, udp_len) + sum(&packet[IP_HEADER_BYTES..]));
    // Zero would mean "no checksum"; its other representation says the same sum.
    let checksum = if checksum == 0 { 0xffff } else { checksum };
    packet[IP_HEADER_BYTES + 6..IP_HEADER_BYTES + 8].copy_from_slice(&checksum.to_be_bytes());
    Some(packet)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn address_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

fn pseudo_sum(source: Ipv4Addr, destination: Ipv4Addr, udp_len: usize) -> u64 {
    sum(&source.octets()) + sum(&destination.octets()) + u64::from(UDP) + udp_len as u64
}

/// Sum of the 16-bit words. At most 2^16 octets come here, so 64 bits never overflow.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let whole: u64 = words.by_ref().map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    whole + words.remainder().first().map_or(0, |last| u64::from(*last) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

    /// A client's datagram: built with the ports of a reply, then turned round.
    fn request(payload: &[u8]) -> Vec<u8> {
        let mut packet = build(CLIENT, SERVER, payload).expect("fits");
        packet[20..24].copy_from_slice(&[0, 68, 0, 67]);
        packet
    }

    proptest! {
        #[test]
        fn what_was_built_is_read_back(payload in proptest::collection::vec(any::<u8>(), 0..1472)) {
            let packet = request(&payload);
            let read = parse(&packet, false).expect("valid");
            prop_assert_eq!(read, Datagram {
                source: CLIENT, destination: SERVER, source_port: 68, payload: &payload,
            });
        }

        #[test]
        fn no_octets_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), pending in any::<bool>()) {
            let _ = parse(&bytes, pending);
        }

        #[test]
        fn one_wrong_bit_is_noticed(payload in proptest::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut packet = request(&payload);
            let at = at.index(packet.len());
            packet[at] ^= 1 << bit;
            // The one exception of the format: a UDP checksum that became zero says "none".
            prop_assume!(packet[26..28] != [0, 0]);
            prop_assert!(parse(&packet, false).is_err());
        }

        #[test]
        fn a_truncated_packet_is_refused(payload in proptest::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>()) {
            let packet = request(&payload);
            prop_assert!(parse(&packet[..at.index(packet.len())], false).is_err());
        }
    }

    #[test]
    fn padding_of_short_frames_is_cut_off() {
        let mut packet = request(b"short");
        packet.extend([0; 13]);
        assert_eq!(parse(&packet, false).map(|datagram| datagram.payload), Ok(&b"short"[..]));
    }

    #[test]
    fn a_pending_checksum_is_not_looked_at() {
        let mut packet = request(b"from this host");
        packet[26] ^= 0x55;
        assert_eq!(parse(&packet, false), Err(Error::UdpChecksum));
        assert!(parse(&packet, true).is_ok());
    }

    #[test]
    fn a_datagram_without_checksum_is_read() {
        let mut packet = request(b"old relay");
        packet[26..28].copy_from_slice(&[0, 0]);
        assert!(parse(&packet, false).is_ok());
    }

    #[test]
    fn fragments_are_refused_first_and_last() {
        for flags in [0x2000_u16, 0x0001, 0x3fff] {
            let mut packet = request(b"part");
            packet[6..8].copy_from_slice(&flags.to_be_bytes());
            assert_eq!(parse(&packet, false), Err(Error::Fragment));
        }
    }

    #[test]
    fn a_message_beyond_the_ip_length_is_not_built() {
        assert!(build(SERVER, CLIENT, &vec![0; 65_535 - 28]).is_some());
        assert!(build(SERVER, CLIENT, &vec![0; 65_535 - 27]).is_none());
    }
}
