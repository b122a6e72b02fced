//! Programs in the classic Berkeley Packet Filter that the kernel runs before it queues a packet.

use std::net::Ipv4Addr;

use socket2::SockFilter;

use super::datagram::SERVER_PORT;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_OCTET: u16 = 0x30;
/// Loads at the index register plus a constant.
const LOAD_HALF_INDEXED: u16 = 0x48;
/// Puts four times the low nibble of an octet into the index register: the length of the IP header.
const LOAD_HEADER_LEN: u16 = 0xb1;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where the kernel's own facts about a packet are found (`SKF_AD_OFF` and beyond).
const ANCILLARY: u32 = 0xffff_f000;
const PACKET_TYPE: u32 = ANCILLARY + 4;
const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
const OTHER_HOST: u32 = 3;
const OUTGOING: u32 = 4;
const BROADCAST: u32 = u32::MAX;
const WHOLE_PACKET: u32 = 0x0004_0000;

/// Lets through what a pair's server must see: whole UDP datagrams to port 67, to its own address or to
/// everybody. For sockets whose packets begin at the IP header.
///
/// Which subnet a broadcast belongs to is the server's business; several pairs on one interface all
/// see it.
#[must_use]
pub fn dhcp_for(address: Ipv4Addr) -> Vec<SockFilter> {
    const DROP: u8 = u8::MAX;
    // (code, operand, jump if true, jump if false); DROP stands for the last instruction.
    let program: &[(u16, u32, u8, u8)] = &[
        (LOAD_OCTET, PACKET_TYPE, 0, 0),
        (JUMP_EQUAL, OTHER_HOST, DROP, 0),
        (JUMP_EQUAL, OUTGOING, DROP, 0),
        (LOAD_OCTET, VLAN_TAG_PRESENT, 0, 0),
        (JUMP_EQUAL, 0, 0, DROP),
        (LOAD_OCTET, 0, 0, 0),
        (AND, 0xf0, 0, 0),
        (JUMP_EQUAL, 0x40, 0, DROP),
        (LOAD_OCTET, 9, 0, 0),
        (JUMP_EQUAL, 17, 0, DROP),
        (LOAD_HALF, 6, 0, 0),
        (JUMP_SET, 0x3fff, DROP, 0),
        (LOAD_WORD, 16, 0, 0),
        (JUMP_EQUAL, u32::from(address), 1, 0),
        (JUMP_EQUAL, BROADCAST, 0, DROP),
        (LOAD_HEADER_LEN, 0, 0, 0),
        (LOAD_HALF_INDEXED, 2, 0, 0),
        (JUMP_EQUAL, SERVER_PORT as u32, 0, DROP),
        (RETURN, WHOLE_PACKET, 0, 0),
        (RETURN, 0, 0, 0),
    ];
    let last = program.len() as u8 - 1;
    program
        .iter()
        .enumerate()
        .map(|(index, &(code, operand, yes, no))| {
            let jump = |to: u8| if to == DROP { last - index as u8 - 1 } else { to };
            SockFilter::new(code, jump(yes), jump(no), operand)
        })
        .collect()
}

/// Lets nothing through.
#[must_use]
pub fn nothing() -> Vec<SockFilter> {
    vec![SockFilter::new(RETURN, 0, 0, 0)]
}
