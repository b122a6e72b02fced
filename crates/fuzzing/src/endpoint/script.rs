//! What may happen to a server, and how it is written as octets.

use std::net::Ipv4Addr;

use api::force::ForcedState;
use api::identity::State;

use crate::input::{Input, put_part};

/// How a server starts, and what happens then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// Bits: secondary, a dhcpd as partner, load balancing, a safe period, alone, without its store.
    pub start: u8,
    /// In order.
    pub steps: Vec<Step>,
}

/// Something that happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// A connection comes up.
    Connect,
    /// The dial that was asked for fails.
    DialFails,
    /// A connection breaks: the oldest or the newest one.
    HangUp {
        /// The oldest.
        oldest: bool,
    },
    /// The partner's part of a handshake, on a new connection if there is none.
    Handshake,
    /// The partner says its state.
    State {
        /// The state.
        state: State,
        /// The flag STARTUP.
        startup: bool,
    },
    /// The partner has no more to tell.
    UpdatesDone,
    /// A message with a right header.
    Message {
        /// Its type.
        kind: u8,
        /// Its xid.
        xid: u8,
        /// Its options, as octets.
        options: Vec<u8>,
    },
    /// Any octets on the link.
    Octets(Vec<u8>),
    /// From now on the partner accepts, ignores or rejects updates.
    OnUpdate(u8),
    /// The partner reads nothing, or all again.
    Deaf(bool),
    /// Time passes.
    Time {
        /// In milliseconds.
        millis: u64,
    },
    /// The wall clock is set.
    Clock {
        /// By so many seconds.
        seconds: i64,
    },
    /// A client says something that a client says.
    Client {
        /// Option 53.
        kind: u8,
        /// Which client.
        client: u8,
        /// Of which address and server.
        about: About,
    },
    /// Any octets as a packet.
    Packet {
        /// To the server's address.
        unicast: bool,
        /// The payload.
        octets: Vec<u8>,
    },
    /// A state is forced.
    Force {
        /// The state.
        state: ForcedState,
        /// Bits: confirmed, held, in the past, by an expert, and the request's id.
        choice: u8,
    },
    /// Another command.
    Command {
        /// Which one.
        which: u8,
        /// What it says.
        value: u8,
    },
    /// Another configuration.
    Configure {
        /// Which one.
        which: u8,
    },
    /// The disk commits nothing any more.
    Stall,
    /// The disk commits again.
    Resume,
    /// The disk fails.
    DiskFails,
    /// The disk is full, or has room again.
    DiskLow(bool),
    /// The process is killed and starts again.
    Restart,
    /// The same, on an empty volume.
    LoseStore {
        /// A token says that it is new.
        is_new: bool,
    },
}

/// What a client's message is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum About {
    /// Nothing: as in DISCOVER.
    Nothing,
    /// The address that was last offered by this server.
    Offer,
    /// The same, by this server's unicast or without naming it: as in a renewal.
    Renewal,
    /// An address of the subnet that the client remembers.
    Remembered(u8),
    /// An address of the subnet that the client uses, and this server.
    Used(u8),
}

impl About {
    /// Options 50 and 54, and the field `ciaddr`.
    pub(super) fn addresses(
        self,
        offered: Ipv4Addr,
        server: Ipv4Addr,
    ) -> (Option<Ipv4Addr>, Option<Ipv4Addr>, Option<Ipv4Addr>) {
        let of_subnet = |last| Some(Ipv4Addr::new(10, 50, 0, last));
        match self {
            Self::Nothing => (None, None, None),
            Self::Offer => (Some(offered), Some(server), None),
            Self::Renewal => (None, None, Some(offered)),
            Self::Remembered(last) => (of_subnet(last), None, None),
            Self::Used(last) => (None, Some(server), of_subnet(last)),
        }
    }
}

impl Script {
    /// Every input is a script.
    #[must_use]
    pub fn read(octets: &[u8]) -> Self {
        let mut input = Input::new(octets);
        let start = input.octet();
        let mut steps = Vec::new();
        while !input.is_empty() {
            steps.push(Step::read(&mut input));
        }
        Self { start, steps }
    }

    /// The octets of which this is the script.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![self.start];
        self.steps.iter().for_each(|step| step.write(&mut out));
        out
    }
}

impl Step {
    fn read(input: &mut Input<'_>) -> Self {
        match input.octet() % 23 {
            0 => Self::Connect,
            1 => Self::DialFails,
            2 => Self::HangUp { oldest: input.octet() & 1 != 0 },
            3 => Self::Handshake,
            4 => {
                let choice = input.octet();
                let state = State::ALL[usize::from(choice & 0x7f) % State::ALL.len()];
                // As a state STARTUP is never said.
                let state = if state == State::Startup { State::Normal } else { state };
                Self::State { state, startup: choice & 0x80 != 0 }
            }
            5 => Self::UpdatesDone,
            6 => Self::Message { kind: input.octet(), xid: input.octet(), options: input.part().to_vec() },
            7 => Self::Octets(input.part().to_vec()),
            8 => Self::OnUpdate(input.octet() % 3),
            9 => Self::Deaf(input.octet() & 1 != 0),
            10 => Self::Time { millis: read_time(input.octet()) },
            11 => Self::Clock { seconds: read_clock(input.octet()) },
            12 => {
                let (kind, client, about) = (input.octet() % 10, input.octet() % 8, input.octet());
                Self::Client { kind, client, about: read_about(about) }
            }
            13 => Self::Packet { unicast: input.octet() & 1 != 0, octets: input.part().to_vec() },
            14 => {
                let state = ForcedState::ALL[usize::from(input.octet()) % ForcedState::ALL.len()];
                Self::Force { state, choice: input.octet() }
            }
            15 => Self::Command { which: input.octet() % 7, value: input.octet() },
            16 => Self::Configure { which: input.octet() % 6 },
            17 => Self::Stall,
            18 => Self::Resume,
            19 => Self::DiskFails,
            20 => Self::DiskLow(input.octet() & 1 != 0),
            21 => Self::Restart,
            _ => Self::LoseStore { is_new: input.octet() & 1 != 0 },
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Connect => out.push(0),
            Self::DialFails => out.push(1),
            Self::HangUp { oldest } => out.extend([2, u8::from(*oldest)]),
            Self::Handshake => out.push(3),
            Self::State { state, startup } => {
                let at = State::ALL.iter().position(|other| other == state).unwrap_or(0);
                out.extend([4, at as u8 | u8::from(*startup) << 7]);
            }
            Self::UpdatesDone => out.push(5),
            Self::Message { kind, xid, options } => {
                out.extend([6, *kind, *xid]);
                put_part(out, options);
            }
            Self::Octets(octets) => {
                out.push(7);
                put_part(out, octets);
            }
            Self::OnUpdate(answer) => out.extend([8, *answer]),
            Self::Deaf(is_deaf) => out.extend([9, u8::from(*is_deaf)]),
            Self::Time { millis } => out.extend([10, closest(*millis, read_time)]),
            Self::Clock { seconds } => out.extend([11, closest(*seconds, read_clock)]),
            Self::Client { kind, client, about } => out.extend([12, *kind, *client, write_about(*about)]),
            Self::Packet { unicast, octets } => {
                out.extend([13, u8::from(*unicast)]);
                put_part(out, octets);
            }
            Self::Force { state, choice } => {
                let at = ForcedState::ALL.iter().position(|other| other == state).unwrap_or(0);
                out.extend([14, at as u8, *choice]);
            }
            Self::Command { which, value } => out.extend([15, *which, *value]),
            Self::Configure { which } => out.extend([16, *which]),
            Self::Stall => out.push(17),
            Self::Resume => out.push(18),
            Self::DiskFails => out.push(19),
            Self::DiskLow(low) => out.extend([20, u8::from(*low)]),
            Self::Restart => out.push(21),
            Self::LoseStore { is_new } => out.extend([22, u8::from(*is_new)]),
        }
    }
}

/// From nothing to eleven days, in milliseconds.
fn read_time(octet: u8) -> u64 {
    u64::from(octet & 0x3f) * [10, 1_000, 60_000, 15_000_000][usize::from(octet >> 6)]
}

/// Up to a minute, an hour, months or decades, in both directions.
fn read_clock(octet: u8) -> i64 {
    let size = i64::from(octet & 0x1f) * [1, 100, 500_000, 60_000_000][usize::from(octet >> 5 & 3)];
    if octet & 0x80 == 0 { size } else { -size }
}

fn read_about(octet: u8) -> About {
    let last = 95 + (octet >> 3);
    match octet & 7 {
        0 | 1 => About::Nothing,
        2 | 3 => About::Offer,
        4 | 5 => About::Renewal,
        6 => About::Remembered(last),
        _ => About::Used(last),
    }
}

fn write_about(about: About) -> u8 {
    let at = |last: u8| last.saturating_sub(95) << 3;
    match about {
        About::Nothing => 0,
        About::Offer => 2,
        About::Renewal => 4,
        About::Remembered(last) => at(last) | 6,
        About::Used(last) => at(last) | 7,
    }
}

/// The octet that means the value; that of nothing if none does.
fn closest<T: PartialEq>(value: T, read: fn(u8) -> T) -> u8 {
    (0..=u8::MAX).find(|octet| read(*octet) == value).unwrap_or(0)
}

/// A message of the failover protocol with a right header; what does not fit into one is cut.
pub(super) fn message(kind: u8, time: u32, xid: u32, options: &[u8]) -> Vec<u8> {
    let options =
        &options[..options.len().min(failover::wire::MESSAGE_OCTETS_MAX - failover::wire::HEADER_OCTETS)];
    let len = (failover::wire::HEADER_OCTETS + options.len()) as u16;
    let mut octets = len.to_be_bytes().to_vec();
    octets.extend([kind, failover::wire::HEADER_OCTETS as u8]);
    octets.extend(time.to_be_bytes());
    octets.extend(xid.to_be_bytes());
    octets.extend(options);
    octets
}

/// A DHCP message of an Ethernet client.
pub fn client_message(
    kind: u8,
    client: u8,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    ciaddr: Option<Ipv4Addr>,
) -> Vec<u8> {
    let mut octets = vec![0; 240];
    octets[..8].copy_from_slice(&[1, 1, 6, 0, 0, 0, kind, client]);
    octets[12..16].copy_from_slice(&ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    octets[28..34].copy_from_slice(&[2, 0, 0, 0, 0, client]);
    octets[236..].copy_from_slice(&[99, 130, 83, 99]);
    octets.extend([53, 1, kind]);
    for (code, address) in [(50, requested), (54, server)] {
        if let Some(address) = address {
            octets.extend([code, 4]);
            octets.extend(address.octets());
        }
    }
    octets.push(255);
    octets
}
