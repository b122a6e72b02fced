//! Just enough of pcap, Ethernet, IPv4 and TCP to put a captured failover link back together.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// One direction of a TCP connection.
pub(crate) type Flow = (SocketAddrV4, SocketAddrV4);

/// Payload in the order of the stream, each piece with the number of the packet that brought it.
pub(crate) type Stream = Vec<(usize, Vec<u8>)>;

/// All TCP streams of a capture that carry anything. Panics on what it does not understand, so that
/// no test passes on half a capture.
pub(crate) fn streams(capture: &[u8]) -> BTreeMap<Flow, Stream> {
    let (header, mut rest) = capture.split_at(24);
    assert_eq!(le32(header, 0), 0xa1b2_c3d4, "little-endian pcap with microseconds");
    assert_eq!(le32(header, 20), 1, "Ethernet");
    let mut flows: BTreeMap<Flow, (u32, Stream)> = BTreeMap::new();
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        let (record, tail) = rest.split_at(16);
        assert_eq!(le32(record, 8), le32(record, 12), "packet {number} is cut off");
        let (packet, tail) = tail.split_at(le32(record, 8) as usize);
        rest = tail;
        let Some(segment) = segment(packet) else { continue };
        let (next, stream) = flows.entry(segment.flow).or_insert_with(|| (segment.sequence, Vec::new()));
        // The captures were taken on the bridge between the servers: nothing is lost or reordered
        // there, at most repeated. Anything else must not pass unnoticed.
        let repeated = next.wrapping_sub(segment.sequence) as usize;
        if repeated > segment.payload.len() + 1 && repeated < 1 << 31 {
            continue;
        }
        assert!(repeated <= segment.payload.len() + 1, "packet {number}: a hole in the stream");
        let fresh = segment.payload.get(repeated..).unwrap_or_default();
        if !fresh.is_empty() {
            stream.push((number, fresh.to_vec()));
        }
        let end = segment.sequence.wrapping_add(segment.payload.len() as u32 + segment.phantom);
        if (end.wrapping_sub(*next) as i32) > 0 {
            *next = end;
        }
    }
    let carrying = flows.into_iter().filter(|(_, (_, stream))| !stream.is_empty());
    carrying.map(|(flow, (_, stream))| (flow, stream)).collect()
}

struct Segment<'a> {
    flow: Flow,
    sequence: u32,
    /// SYN and FIN take one sequence number each.
    phantom: u32,
    payload: &'a [u8],
}

/// `None` for all that is not TCP over IPv4.
fn segment(packet: &[u8]) -> Option<Segment<'_>> {
    let ip = packet.get(14..).filter(|_| packet[12..14] == [8, 0])?;
    if ip[9] != 6 {
        return None;
    }
    let tcp = &ip[usize::from(ip[0] & 15) * 4..usize::from(be16(ip, 2))];
    let source = SocketAddrV4::new(Ipv4Addr::from_bits(be32(ip, 12)), be16(tcp, 0));
    let target = SocketAddrV4::new(Ipv4Addr::from_bits(be32(ip, 16)), be16(tcp, 2));
    let flags = tcp[13];
    Some(Segment {
        flow: (source, target),
        sequence: be32(tcp, 4),
        phantom: u32::from(flags & 1) + u32::from(flags >> 1 & 1),
        payload: &tcp[usize::from(tcp[12] >> 4) * 4..],
    })
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four octets"))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four octets"))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
