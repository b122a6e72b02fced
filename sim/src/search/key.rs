//! Which states are the same: two that differ only in when they are, in the names of both clients or of both
//! addresses, or in numbers of which only the order counts.
//!
//! A state is written as text, the text is cut into words and numbers, and each number is told by its size or
//! by the word before it:
//!
//! - a time of the wall clock counts from now; of those so old that no wait reaches back to them only the order;
//! - a time of the monotonic clock counts in whole steps;
//! - a change of the store counts by how much it is ahead of the disk;
//! - numbers of state changes, of stores' changes and of messages count by their order alone.
//!
//! Where a client leaves the choice to them, servers choose addresses by their number. So of two states that differ in
//! the names of addresses alone, what follows may differ as well, and only one of them is followed.

use std::fmt::Write;

use api::force::Fence;
use api::identity::StateStamp;
use failover::record::Record;
use failover::session::message_picture;
use failover::wire::{self, Decoded};

use super::pair::{Pair, STEP_MILLIS};
use crate::client::Client;
use crate::node::Node;

/// A state without what tells it from those that are the same.
pub(super) type Key = u128;

/// Older than the longest lease and the MCLT, twice: no wait counts from there any more.
const OLD_SECONDS: i64 = 360;
/// Monotonic timers run for a few steps at most.
const STEPS_MAX: i64 = 4;
/// A wall clock of a world shows numbers of this size, and nothing else has them.
const WALL: std::ops::RangeInclusive<u64> = 1_850_000_000..=2_100_000_000;
/// The same of monotonic clocks.
const MONOTONIC: std::ops::RangeInclusive<u64> = 90_000_000_000..=200_000_000_000;
/// Kinds of log entries and documents as the store has them (`server::journal`).
const DOCUMENT: u8 = 2;
const ENDPOINT: u32 = 1;
const PROMISE: u32 = 2;

/// A piece of a state.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// Text and plain numbers, hashed.
    Plain(u64),
    /// A time so old that only its place among such times counts.
    Old(i64),
    /// The number of a message, by the server that gave it.
    Message(usize, u64),
    Address(u8),
    Client(u8),
}

/// Whose words are being read.
#[derive(Clone, Copy, Debug, Default)]
struct Speaker {
    node: usize,
    wall: i64,
    mono: i64,
    durable: u64,
    link_edges: u64,
}

/// What is needed again and again.
#[derive(Debug, Default)]
pub(super) struct Keys {
    text: String,
    head: Vec<Piece>,
    by_address: [Vec<Piece>; 2],
    by_client: [Vec<Piece>; 2],
    /// For how long a client may believe in an address.
    believed: [[u64; 2]; 2],
    old: Vec<i64>,
    messages: [Vec<u64>; 2],
}

impl Keys {
    /// The least of the keys under all exchanges of names.
    pub(super) fn of(&mut self, pair: &Pair) -> Key {
        self.head.clear();
        self.by_address.iter_mut().chain(&mut self.by_client).for_each(Vec::clear);
        let speakers = [0, 1].map(|node| speaker(pair, node));
        for (node, speaker) in speakers.into_iter().enumerate() {
            self.text.clear();
            // Writing to a string cannot fail.
            let _ = write_node(pair, node, &mut self.text);
            cut(pair, &speaker, &self.text, &mut self.head);
            if let Some(link) = &pair.link {
                self.text.clear();
                for bytes in &link.to[1 - node] {
                    if let Ok(Decoded::Frame(frame)) = wire::decode(bytes, Node::dialect()) {
                        let _ = message_picture(&frame, &mut self.text);
                    }
                }
                let _ = write!(self.text, "{} {} ", link.open[node], link.dead);
                cut(pair, &speaker, &self.text, &mut self.head);
            }
            for (index, address) in pair.setting.addresses.into_iter().enumerate() {
                self.text.clear();
                let mine = &pair.nodes[node];
                if let Some(server) = &mine.server {
                    let _ = write!(self.text, "{:?} ", server.table().get(address));
                }
                if mine.server.is_none() || pair.hung[node] {
                    let _ = write!(self.text, "{:?} ", mine.durable.get(&address));
                }
                cut(pair, &speaker, &self.text, &mut self.by_address[index]);
            }
        }
        self.add_stamps(pair);
        self.add_clients(pair);
        self.head.push(Piece::Plain(u64::from(pair.left.faults) << 8 | u64::from(pair.left.commands)));
        self.rank();
        let ways = [(0, 0), (0, 1), (1, 0), (1, 1)];
        ways.into_iter().map(|(address, client)| self.hash(address, client)).min().unwrap_or_default()
    }

    /// What both know of each other's changes is only ever compared.
    fn add_stamps(&mut self, pair: &Pair) {
        for mine in 0..2 {
            let other = 1 - mine;
            let record =
                |node: usize| pair.nodes[node].server.as_ref().map(|server| server.endpoint().record());
            let partner = record(other).and_then(|record| record.partner);
            let stamp = |fence: Option<&Fence>| fence.map(Fence::stamp);
            let states: [Option<StateStamp>; 6] = [
                record(mine).map(|record| record.stamp),
                record(mine).and_then(|record| record.partner_down_after),
                partner.and_then(|partner| partner.stamp),
                stamp(record(other).and_then(|record| record.fence.as_ref())),
                record(other).and_then(|record| record.unfenced),
                stamp(pair.fences[other].as_ref()),
            ];
            let highest = partner.and_then(|partner| partner.highest).unwrap_or_default();
            let unconfirmed = record(mine).and_then(|record| record.unconfirmed).unwrap_or(highest);
            let unseen = record(mine).and_then(|record| record.unseen).unwrap_or(highest);
            let behind = [pair.disks[mine].stamp, unconfirmed, unseen].map(|stamp| stamp < highest);
            self.head.push(Piece::Plain(order(&states)));
            self.head
                .push(Piece::Plain(behind.iter().fold(0, |bits, behind| bits << 1 | u64::from(*behind))));
        }
    }

    fn add_clients(&mut self, pair: &Pair) {
        for client in 0..2 {
            let pieces = &mut self.by_client[client];
            let Some(held) = pair.holds(client) else {
                pieces.push(Piece::Plain(0));
                continue;
            };
            pieces.push(Piece::Plain((held.end - pair.time) << 1 | held.server as u64));
            pieces.extend(address_of(pair, &held.address.to_string()));
        }
        for (index, address) in pair.setting.addresses.into_iter().enumerate() {
            for (client, setting) in pair.setting.clients.iter().enumerate() {
                let mut believed = pair.checker.believed(address, pair.time);
                let end = believed.find(|(identity, _)| *identity == setting.identity);
                self.believed[index][client] = end.map_or(0, |(_, end)| end - pair.time);
            }
        }
    }

    /// Replaces what counts by its order by its place in that.
    fn rank(&mut self) {
        self.old.clear();
        self.messages.iter_mut().for_each(Vec::clear);
        let lists = [&mut self.head].into_iter().chain(&mut self.by_address).chain(&mut self.by_client);
        let mut all: Vec<&mut Piece> = lists.flatten().collect();
        for piece in &all {
            match piece {
                Piece::Old(time) => self.old.push(*time),
                Piece::Message(node, number) => self.messages[*node].push(*number),
                Piece::Plain(_) | Piece::Address(_) | Piece::Client(_) => {}
            }
        }
        self.old.sort_unstable();
        self.old.dedup();
        for numbers in &mut self.messages {
            numbers.sort_unstable();
            numbers.dedup();
        }
        for piece in &mut all {
            let place = match piece {
                Piece::Old(time) => self.old.binary_search(time).unwrap_or_default() as u64 | 1 << 60,
                Piece::Message(node, number) => {
                    self.messages[*node].binary_search(number).unwrap_or_default() as u64 | 2 << 60
                }
                Piece::Plain(_) | Piece::Address(_) | Piece::Client(_) => continue,
            };
            **piece = Piece::Plain(place);
        }
    }

    fn hash(&self, address: u8, client: u8) -> Key {
        let mut hash = Hash::default();
        let [first, second] = [0, 1].map(|index| &self.by_address[index ^ usize::from(address)]);
        let [one, two] = [0, 1].map(|index| &self.by_client[index ^ usize::from(client)]);
        for list in [&self.head, first, second, one, two] {
            list.iter().for_each(|piece| hash.piece(piece, address, client));
        }
        for index in 0..4 {
            let (of_address, of_client) =
                (index >> 1 ^ usize::from(address), index & 1 ^ usize::from(client));
            hash.add(self.believed[of_address][of_client]);
        }
        hash.end()
    }
}

/// 128 bits, good enough to tell some millions of states apart.
#[derive(Clone, Copy, Debug, Default)]
struct Hash(u64, u64);

impl Hash {
    fn add(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.1 = (self.1.rotate_left(29) ^ value).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 ^= self.0 >> 29;
        self.1 ^= self.1 >> 32;
    }

    fn piece(&mut self, piece: &Piece, address: u8, client: u8) {
        match piece {
            Piece::Plain(value) => self.add(*value),
            Piece::Address(index) => self.add(3 << 60 | u64::from(index ^ address)),
            Piece::Client(index) => self.add(5 << 60 | u64::from(index ^ client)),
            Piece::Old(_) | Piece::Message(..) => {}
        }
    }

    fn end(mut self) -> Key {
        self.add(0);
        u128::from(self.0) << 64 | u128::from(self.1)
    }
}

fn speaker(pair: &Pair, node: usize) -> Speaker {
    let now = pair.nodes[node].now(pair.time);
    let server = pair.nodes[node].server.as_ref();
    Speaker {
        node,
        wall: i64::from(now.wall.get()),
        mono: i64::try_from(now.mono.0).unwrap_or(i64::MAX),
        durable: pair.disks[node].stamp.lsn.0,
        link_edges: server.map_or(0, |server| server.endpoint().record().link_edges),
    }
}

fn write_node(pair: &Pair, node: usize, out: &mut String) -> std::fmt::Result {
    let mine = &pair.nodes[node];
    let flags = [pair.hung[node], mine.amnesic, mine.alone, mine.synced, mine.has_first_volume()];
    write!(out, "{flags:?} {:?} ", mine.state_on_disk)?;
    if let Some(server) = &mine.server {
        server.picture(out)?;
    }
    if mine.server.is_none() || pair.hung[node] {
        let document = |which| {
            let entry = pair.disks[node].entries.get(&(DOCUMENT, which))?;
            entry.body.get(1..)
        };
        let record = document(ENDPOINT).and_then(|json| serde_json::from_slice::<Record>(json).ok());
        let promise = document(PROMISE).and_then(|json| serde_json::from_slice::<u64>(json).ok());
        write!(out, "{record:?} {promise:?} {}", pair.disks[node].entries.len())?;
    }
    Ok(())
}

/// Each one's place among all, in one number.
fn order(all: &[Option<StateStamp>]) -> u64 {
    let mut sorted: Vec<StateStamp> = all.iter().flatten().copied().collect();
    sorted.sort_unstable();
    sorted.dedup();
    all.iter().fold(0, |number, one| {
        let place = one.map_or(0, |one| 1 + sorted.binary_search(&one).unwrap_or_default() as u64);
        number << 4 | place
    })
}

fn address_of(pair: &Pair, text: &str) -> Option<Piece> {
    let index = pair.setting.addresses.iter().position(|address| address.to_string() == text)?;
    Some(Piece::Address(index as u8))
}

/// Cuts text into pieces.
fn cut(pair: &Pair, speaker: &Speaker, text: &str, out: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let count = |from: usize, which: &dyn Fn(&u8) -> bool| {
        bytes[from..].iter().take_while(|byte| which(byte)).count()
    };
    let (mut at, mut plain_from) = (0, 0);
    let mut words = [&bytes[..0]; 2];
    // The place within the octets of a hardware address.
    let mut octet = 0;
    while let Some(&byte) = bytes.get(at) {
        let from = at;
        if byte.is_ascii_alphabetic() || byte == b'_' {
            at += count(at, &is_word);
            words = [words[1], &bytes[from..at]];
            octet = 0;
            continue;
        }
        if !byte.is_ascii_digit() {
            at += 1;
            continue;
        }
        at += count(at, &u8::is_ascii_digit);
        octet += 1;
        let piece = match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'.'), Some(next)) if next.is_ascii_digit() => {
                at += count(at, &|byte| byte.is_ascii_digit() || *byte == b'.');
                let Some(piece) = address_of(pair, &text[from..at]) else { continue };
                Some(piece)
            }
            // A date, which stands for a time that is there as a number as well.
            (Some(b'-'), Some(next)) if next.is_ascii_digit() => {
                at += count(at, &|byte| is_word(byte) || b"-:.".contains(byte));
                None
            }
            _ => number(pair, speaker, text[from..at].parse().unwrap_or(u64::MAX), words, octet),
        };
        out.push(plain(&bytes[plain_from..from]));
        out.extend(piece);
        plain_from = at;
    }
    out.push(plain(&bytes[plain_from..]));
}

/// What a number counts for, if it does; `words` are the last two before it, `octet` its place after them.
fn number(pair: &Pair, speaker: &Speaker, number: u64, words: [&[u8]; 2], octet: u32) -> Option<Piece> {
    let piece = match words {
        [_, b"epoch" | b"transition" | b"partner_epoch" | b"partner_transition"] | [b"lsn", b"Lsn"] => {
            return None;
        }
        [_, b"Lsn"] => Piece::Plain(number.saturating_sub(speaker.durable)),
        [_, b"link_edges"] => Piece::Plain(number & 1),
        [_, b"changed_at_edge"] => Piece::Plain(speaker.link_edges.saturating_sub(number).min(2)),
        [_, b"Mine"] => Piece::Message(speaker.node, number),
        [_, b"Theirs"] => Piece::Message(1 - speaker.node, number),
        [_, b"octets"] if octet == 6 => {
            let last = |client: &Client| u64::from(client.hardware()[5]) == number;
            let index = pair.setting.clients.iter().position(last);
            index.map_or(Piece::Plain(number), |index| Piece::Client(index as u8))
        }
        _ if WALL.contains(&number) => {
            let since = number as i64 - speaker.wall;
            if since < -OLD_SECONDS { Piece::Old(number as i64) } else { Piece::Plain(since as u64) }
        }
        _ if MONOTONIC.contains(&number) => {
            let step = STEP_MILLIS as i64;
            let steps = (number as i64 - speaker.mono + step - 1).div_euclid(step);
            Piece::Plain(steps.clamp(-STEPS_MAX, STEPS_MAX) as u64)
        }
        _ => Piece::Plain(number),
    };
    Some(piece)
}

fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

fn plain(text: &[u8]) -> Piece {
    let mut hash = Hash::default();
    for chunk in text.chunks(8) {
        hash.add(chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
    Piece::Plain(hash.end() as u64)
}
