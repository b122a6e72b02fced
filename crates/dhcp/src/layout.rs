//! Where each option of a reply goes: into the option field, into `file` or `sname` (RFC 2131 §4.1,
//! option 52), or nowhere for want of room.

use std::borrow::Cow;

use crate::message::{code, field};
use crate::packet::Packet;
use crate::reply::{DATAGRAM_LEN_MAX, DATAGRAM_LEN_MIN, HEADERS_LEN, REPLY_LEN_MAX};

/// Collects the options of one reply.
///
/// In the option field: what the protocol demands, the wanted options that fit, option 52 if need be,
/// option 61 (RFC 6842) and, last of all, option 82 (RFC 3046 §2.2). Wanted options that don't fit go to
/// `file`, if that holds no boot file, and to `sname`.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    /// Demanded by the protocol; always sent. At most 33 octets.
    protocol: Vec<u8>,
    /// Wanted options without repetition, most wanted first.
    wanted: Vec<(u8, &'a [u8])>,
    seen: [bool; 256],
    client_id: Option<Cow<'a, [u8]>>,
    relay_info: Option<Cow<'a, [u8]>>,
    /// Longest reply that the client takes, without option 82.
    len_max: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Main,
    File,
    Sname,
    Nowhere,
}

impl<'a> Layout<'a> {
    /// An empty reply to a packet. Its options 61 and 82 are at most 255 octets each, so that they
    /// and what the protocol demands fit into the smallest datagram that a client may insist on.
    pub(crate) fn new(packet: &Packet<'a>) -> Self {
        let datagram = packet.max_size().unwrap_or(DATAGRAM_LEN_MIN);
        let datagram = datagram.clamp(DATAGRAM_LEN_MIN, DATAGRAM_LEN_MAX);
        Self {
            protocol: Vec::with_capacity(32),
            wanted: Vec::with_capacity(16),
            seen: [false; 256],
            client_id: packet.client_id(),
            relay_info: packet.relay_info(),
            len_max: usize::from(datagram) - HEADERS_LEN,
        }
    }

    /// Adds an option that must be sent; at most 4 octets.
    pub(crate) fn protocol(&mut self, code: u8, content: &[u8]) {
        push(&mut self.protocol, code, content);
        self.seen[usize::from(code)] = true;
    }

    /// Adds an option that should be sent if there is room. What was added before is kept.
    pub(crate) fn want(&mut self, code: u8, content: &'a [u8]) {
        if !std::mem::replace(&mut self.seen[usize::from(code)], true) {
            self.wanted.push((code, content));
        }
    }

    /// Appends the option field to the header in `out`, and fills the other two fields where needed.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let tail = 1
            + self.client_id.as_deref().map_or(0, encoded_len)
            + self.relay_info.as_deref().map_or(0, encoded_len);
        // Relays take option 82 away, so the client's limit need not hold for it; the link's must.
        let relay = self.relay_info.as_deref().map_or(0, encoded_len);
        let len_max = (self.len_max + relay).min(REPLY_LEN_MAX);
        let room = len_max.saturating_sub(field::OPTIONS + self.protocol.len() + tail);
        let file_room = match out.get(field::FILE.start) {
            Some(0) => field::FILE.len() - 1,
            _ => 0,
        };
        let mut places = self.place(room, 0, 0);
        if places.contains(&Place::Nowhere) {
            let overloaded = self.place(room.saturating_sub(OVERLOAD_LEN), file_room, field::SNAME.len() - 1);
            // Nothing moved: then option 52 must not be sent, nor room be kept for it.
            if overloaded.iter().any(|place| matches!(place, Place::File | Place::Sname)) {
                places = overloaded;
            }
        }
        out.extend_from_slice(&self.protocol);
        for (code, content) in self.at(&places, Place::Main) {
            push(out, code, content);
        }
        let in_file = self.fill(out, &places, Place::File, field::FILE);
        let in_sname = self.fill(out, &places, Place::Sname, field::SNAME);
        let overload = u8::from(in_file) + 2 * u8::from(in_sname);
        if overload != 0 {
            push(out, code::OVERLOAD, &[overload]);
        }
        if let Some(id) = &self.client_id {
            push(out, code::CLIENT_ID, id);
        }
        if let Some(info) = &self.relay_info {
            push(out, code::RELAY_INFO, info);
        }
        out.push(code::END);
    }

    /// First fit, in the order of the list. An option is never split between fields.
    fn place(&self, main: usize, file: usize, sname: usize) -> Vec<Place> {
        let mut rooms = [(Place::Main, main), (Place::File, file), (Place::Sname, sname)];
        let mut place = |content: &[u8]| {
            let len = encoded_len(content);
            let Some((place, room)) = rooms.iter_mut().find(|(_, room)| *room >= len) else {
                return Place::Nowhere;
            };
            *room -= len;
            *place
        };
        self.wanted.iter().map(|(_, content)| place(content)).collect()
    }

    /// The options at a place, in order.
    fn at<'b>(&'b self, places: &'b [Place], wanted: Place) -> impl Iterator<Item = (u8, &'a [u8])> + 'b {
        let placed = self.wanted.iter().zip(places);
        placed.filter(move |(_, place)| **place == wanted).map(|(option, _)| *option)
    }

    /// Fills a field of the header with its options and END. Says whether there were any.
    fn fill(&self, out: &mut [u8], places: &[Place], place: Place, range: std::ops::Range<usize>) -> bool {
        let mut content = Vec::new();
        for (code, octets) in self.at(places, place) {
            push(&mut content, code, octets);
        }
        if content.is_empty() {
            return false;
        }
        content.push(code::END);
        if let Some(target) = out.get_mut(range).and_then(|field| field.get_mut(..content.len())) {
            target.copy_from_slice(&content);
        }
        true
    }
}

/// Length of option 52 with its header.
const OVERLOAD_LEN: usize = 3;
/// Longest content of one part of an option.
const PART_LEN_MAX: usize = 255;

/// Length of an option in all its parts.
fn encoded_len(content: &[u8]) -> usize {
    content.len() + 2 * content.len().div_ceil(PART_LEN_MAX).max(1)
}

/// Appends an option, in several parts if it is longer than one can be (RFC 3396 §6).
fn push(out: &mut Vec<u8>, code: u8, content: &[u8]) {
    let (mut part, mut rest) = content.split_at(content.len().min(PART_LEN_MAX));
    loop {
        // The cast cannot truncate: a part has at most 255 octets.
        out.extend_from_slice(&[code, part.len() as u8]);
        out.extend_from_slice(part);
        if rest.is_empty() {
            return;
        }
        (part, rest) = rest.split_at(rest.len().min(PART_LEN_MAX));
    }
}
