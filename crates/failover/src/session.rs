//! One TCP connection with the partner: handshake, keep-alive, numbering (`spec/failover-protocol.md` §1,
//! §2.1). It has no sockets; its owner moves the octets.

mod clocks;
mod picture;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use api::identity::{Lsn, Role};
use api::time::{Mono, Now, Seconds};

pub use self::clocks::ClockShift;
use self::clocks::HandshakeTimes;
pub use self::picture::message_picture;
use crate::wire::kind::STATE;
use crate::wire::{
    self, Connect, ConnectAck, Decoded, Dialect, Disconnect, Extension, Frame, FrameReader, Message, Profile,
    Reject, RejectReason, VENDOR_CLASS,
};

/// What both servers are told in a handshake.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Own role. The primary opens.
    pub role: Role,
    /// Name of the relationship, compared octet by octet.
    pub relationship: String,
    /// Updates that the partner may have under way.
    pub max_unacked: u32,
    /// Silence after which the partner is lost; told to it.
    pub receive_timer: Seconds,
    /// A message at least this often.
    pub poll_interval: Seconds,
    /// The primary's maximum client lead time.
    pub mclt: Seconds,
    /// The primary's hash buckets.
    pub hba: [u8; 32],
    /// The latest change: CONNECT says nothing of it before it is on disk.
    pub changed: Lsn,
}

/// The peer as it named itself in the handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Whether it is one of ours.
    pub profile: Profile,
    /// Its software, for people.
    pub vendor: String,
    /// Updates that we may have under way.
    pub max_unacked: u32,
    /// After this much silence of ours it counts us as lost.
    pub receive_timer: Seconds,
}

/// What came out of the octets of a connection.
#[derive(Clone, Debug)]
pub enum Received {
    /// A secondary was opened properly: store the MCLT, then [`Session::accept`] or [`Session::refuse`].
    Opened {
        /// The primary's maximum client lead time.
        mclt: Seconds,
        /// The primary's hash buckets.
        hba: [u8; 32],
    },
    /// A primary was accepted: the handshake is complete.
    Accepted {
        /// What an own peer says beyond the base protocol.
        extensions: Vec<Extension>,
    },
    /// A message on a complete connection.
    Message(Frame),
}

/// Why a connection must end.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The octets are no failover messages.
    #[error("the partner sent no valid message: {0}")]
    Decode(#[from] wire::DecodeError),
    /// A message that does not belong here.
    #[error("the partner sent {0} before the handshake was complete")]
    OutOfPlace(&'static str),
    /// We refused the peer; it was told why.
    #[error("refused the partner: {} ({text})", reason)]
    Refused {
        /// Option 21.
        reason: RejectReason,
        /// Option 16.
        text: String,
    },
    /// The peer refused us.
    #[error("the partner refused us: {} ({text})", reason)]
    RefusedByPartner {
        /// Option 21.
        reason: RejectReason,
        /// Option 16.
        text: String,
    },
    /// The peer ended the connection.
    #[error("the partner disconnected: {} ({text})", reason)]
    Disconnected {
        /// Option 21.
        reason: RejectReason,
        /// Option 16.
        text: String,
    },
    /// Nothing was heard for the receive timer.
    #[error("nothing was heard from the partner for {0}")]
    Silent(Seconds),
    /// The peer asks, and does not read the answers.
    #[error("the partner reads nothing: {0} messages wait for it")]
    Overfull(usize),
    /// A clock is not what it was in the handshake: one of the two was set, or they drifted apart.
    #[error(
        "the partner's clock was ahead of ours by {at_most} s at most when the connection was made, and is by {ahead} s \
         now: one of the two was set, or they drift; connecting anew"
    )]
    ClockSet {
        /// Seconds, by the handshake; negative if it was behind.
        at_most: i64,
        /// Seconds, by the present message, at least.
        ahead: i64,
    },
    /// The handshake took too long.
    #[error("{}", no_handshake(*.0))]
    HandshakeTimeout(Role),
}

impl Failure {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Decode(_) => "decode",
            Self::OutOfPlace(_) => "out_of_place",
            Self::Refused { .. } => "refused",
            Self::RefusedByPartner { .. } => "refused_by_partner",
            Self::Disconnected { .. } => "disconnected",
            Self::Silent(_) => "silent",
            Self::Overfull(_) => "overfull",
            Self::ClockSet { .. } => "clock_set",
            Self::HandshakeTimeout(_) => "handshake_timeout",
        }
    }

    /// Whether to wait a minute before the next try: the cause will not go away by itself.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::RefusedByPartner { .. } | Self::Disconnected { .. })
    }
}

/// From TCP up to a complete handshake.
pub const HANDSHAKE_MAX: Seconds = Seconds(15);
/// Option 20.
pub const PROTOCOL_VERSION: u8 = 1;
/// Largest difference of both clocks in a handshake, as ISC dhcpd checks it.
pub const CLOCK_DIFFERENCE_MAX: u32 = 60;
/// With whole seconds on both sides, less than this is measuring error, which the guard covers.
const CLOCK_TOLERANCE: i64 = 2;
/// A clock that differs by so much more than the handshake bounds was set. Less may be a process that was slow to read it.
const CLOCK_SET: i64 = 5;
/// What a secondary tells a peer that did not open.
const NO_CONNECT: &str = "no CONNECT came: both servers may be configured as secondary";
/// Updates under way with a peer that does not say how many it takes.
const MAX_UNACKED_DEFAULT: u32 = 10;
/// Control messages that may wait for the socket of a peer that goes on asking.
const OUTGOING_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// A secondary waits for CONNECT.
    AwaitConnect,
    /// A secondary has the CONNECT and its owner makes it durable.
    Accepting { xid: u32 },
    /// A primary waits for CONNECTACK.
    AwaitConnectAck { xid: u32 },
    /// Complete.
    Established,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Session {
    settings: Settings,
    phase: Phase,
    peer: Option<Peer>,
    reader: FrameReader,
    next_xid: u32,
    opened: Mono,
    last_sent: Mono,
    last_received: Mono,
    /// The partner's clock minus ours, in seconds, or less: messages were on their way.
    clock_delta: i64,
    /// The same, by the messages of late: a clock may be set.
    lately: Lately,
    /// The same, or more: our question was on its way too. `None` before the answer came.
    clock_delta_max: Option<i64>,
    handshake_times: HandshakeTimes,
    outgoing: VecDeque<(Lsn, Vec<u8>)>,
    /// Octets of the first outgoing message that the socket has taken already.
    partly_sent: usize,
}

/// The quickest messages of the present and of the last [`LATELY`].
#[derive(Clone, Debug)]
struct Lately {
    since: Mono,
    quickest: Option<i64>,
    before: Option<i64>,
}

/// For so long a message says what the clocks' difference is. Each side says something every few seconds.
const LATELY: Seconds = Seconds(60);

impl Lately {
    fn saw(&mut self, delta: i64, now: Mono) {
        if now >= self.since + LATELY {
            self.before = self.quickest.take();
            self.since = now;
        }
        self.quickest = self.quickest.max(Some(delta));
    }
}

impl Session {
    /// A connection was established; a primary opens at once.
    #[must_use]
    pub fn new(settings: Settings, now: Now) -> Self {
        let mut session = Self {
            phase: Phase::AwaitConnect,
            peer: None,
            reader: FrameReader::new(),
            next_xid: 1,
            opened: now.mono,
            last_sent: now.mono,
            last_received: now.mono,
            clock_delta: 0,
            lately: Lately { since: now.mono, quickest: None, before: None },
            clock_delta_max: None,
            handshake_times: HandshakeTimes::default(),
            outgoing: VecDeque::new(),
            partly_sent: 0,
            settings,
        };
        if session.settings.role == Role::Primary {
            let connect = Message::Connect(Connect {
                relationship: Some(session.settings.relationship.clone().into_bytes()),
                max_unacked: Some(session.settings.max_unacked.max(1)),
                receive_timer: Some(session.settings.receive_timer.get().max(3)),
                vendor_class: Some(VENDOR_CLASS.as_bytes().to_vec()),
                version: Some(PROTOCOL_VERSION),
                tls_request: Some(0),
                mclt: Some(session.settings.mclt.get()),
                hba: Some(session.settings.hba.to_vec()),
            });
            let xid = session.send(connect, session.settings.changed, now);
            session.phase = Phase::AwaitConnectAck { xid };
        }
        session
    }

    /// Octets arrived. Call [`Session::next`] until it gives nothing more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
    }

    /// The next thing that the octets say.
    pub fn next(&mut self, now: Now) -> Result<Option<Received>, Failure> {
        while let Some(bytes) = self.reader.next_frame()? {
            self.last_received = now.mono;
            self.handshake_times.saw(self.settings.role.other(), &bytes);
            let frame = match wire::decode(&bytes, self.dialect())? {
                Decoded::Frame(frame) => frame,
                Decoded::Ignored { .. } => continue,
            };
            self.bound_clock_delta(frame.time, now);
            self.check_clocks(frame.time, now)?;
            if self.outgoing.len() > OUTGOING_MAX {
                return Err(Failure::Overfull(self.outgoing.len()));
            }
            if let Some(received) = self.frame(frame, now)? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Answers [`Received::Opened`]; the CONNECTACK leaves once `after` is durable.
    pub fn accept(&mut self, extensions: Vec<Extension>, after: Lsn, now: Now) {
        let Phase::Accepting { xid } = self.phase else { return };
        let extensions = if self.speaks_own() { extensions } else { Vec::new() };
        let ack = ConnectAck { reject: None, extensions, ..self.connect_ack() };
        self.reply(xid, Message::ConnectAck(ack), after, now);
        self.phase = Phase::Established;
    }

    /// Refuses the peer with a reason; the connection is then to be closed.
    pub fn refuse(&mut self, reason: RejectReason, text: &str, now: Now) -> Failure {
        let reject = Reject { reason, text: text.to_owned() };
        match self.phase {
            Phase::AwaitConnect | Phase::Accepting { .. } => {
                let xid = if let Phase::Accepting { xid } = self.phase { xid } else { 0 };
                let ack = ConnectAck { reject: Some(reject.clone()), ..self.connect_ack() };
                self.reply(xid, Message::ConnectAck(ack), Lsn::ZERO, now);
            }
            Phase::AwaitConnectAck { .. } | Phase::Established => {
                self.send(Message::Disconnect(Disconnect { reject: Some(reject.clone()) }), Lsn::ZERO, now);
            }
        }
        Failure::Refused { reason, text: reject.text }
    }

    /// Queues a message of our own; it leaves once `after` is durable. Returns its number.
    pub fn send(&mut self, message: Message, after: Lsn, now: Now) -> u32 {
        let xid = self.take_xid();
        self.reply(xid, message, after, now);
        xid
    }

    /// Queues an answer to the message `xid`; it leaves once `after` is durable.
    pub fn reply(&mut self, xid: u32, message: Message, after: Lsn, now: Now) {
        self.last_sent = now.mono;
        let frame = Frame { time: now.wall.get(), xid, message };
        match wire::encode(&frame, self.dialect()) {
            Ok(bytes) => self.outgoing.push_back((after, bytes)),
            // Only our own texts and extensions have no fixed length, and both are short.
            Err(error) => debug_assert!(false, "{error} in {frame:?}"),
        }
    }

    /// Moves octets whose changes are durable up to `durable` to `out`; returns how many.
    pub fn poll_bytes(&mut self, durable: Lsn, now: Now, out: &mut [u8]) -> usize {
        let mut len = 0;
        while let Some((after, bytes)) = self.outgoing.front_mut() {
            if *after > durable || len == out.len() {
                break;
            }
            if self.partly_sent == 0 {
                // The time of sending: after a wait for the disk, that of queueing would make our clock seem
                // slow, and the partner would take our promises for longer than they are.
                wire::stamp(bytes, now.wall);
                self.handshake_times.saw(self.settings.role, bytes);
            }
            let rest = bytes.get(self.partly_sent..).unwrap_or_default();
            let take = rest.len().min(out.len() - len);
            out[len..len + take].copy_from_slice(&rest[..take]);
            len += take;
            self.partly_sent += take;
            if self.partly_sent >= bytes.len() {
                self.outgoing.pop_front();
                self.partly_sent = 0;
            }
        }
        len
    }

    /// Whether everything queued has been handed to the socket.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Whether the peer cannot have heard the latest state that it was to be told: it was not handed to the socket whole.
    #[must_use]
    pub fn owes_state(&self) -> bool {
        let is_state = |message: &[u8]| wire::type_and_time(message).is_some_and(|(kind, _)| kind == STATE);
        self.outgoing.iter().any(|(_, message)| is_state(message))
    }

    /// Keep-alive and time-outs.
    pub fn tick(&mut self, now: Now) -> Result<bool, Failure> {
        if self.phase != Phase::Established {
            if now.mono < self.opened + HANDSHAKE_MAX {
                return Ok(false);
            }
            if self.phase == Phase::AwaitConnect {
                // Two secondaries wait for each other: the other one's operator must be able to read why.
                let reject = Reject { reason: RejectReason::InvalidPartner, text: NO_CONNECT.to_owned() };
                self.send(Message::Disconnect(Disconnect { reject: Some(reject) }), Lsn::ZERO, now);
            }
            return Err(Failure::HandshakeTimeout(self.settings.role));
        }
        if now.mono >= self.last_received + self.settings.receive_timer {
            if self.speaks_own() {
                self.refuse(RejectReason::NoTraffic, "nothing was heard", now);
            }
            return Err(Failure::Silent(self.settings.receive_timer));
        }
        Ok(now.mono >= self.last_sent + self.keep_alive())
    }

    /// When to call [`Session::tick`].
    #[must_use]
    pub fn next_deadline(&self) -> Mono {
        if self.phase == Phase::Established {
            (self.last_sent + self.keep_alive()).min(self.last_received + self.settings.receive_timer)
        } else {
            self.opened + HANDSHAKE_MAX
        }
    }

    /// Whether the handshake is complete.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// What this side said in the handshake.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The peer as it named itself, once it has.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Whether the peer is one of our own.
    #[must_use]
    pub fn speaks_own(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.profile.is_own())
    }

    /// The partner's clock minus ours, in seconds, as the messages of the last minute or two show it: less than the
    /// truth by the time that the quickest of them took.
    #[must_use]
    pub fn clock_delta(&self) -> i64 {
        self.lately.quickest.max(self.lately.before).unwrap_or(self.clock_delta)
    }

    /// By how many seconds the partner's clock is surely ahead (or behind, if negative); zero while that may
    /// be measuring error or a slow network.
    #[must_use]
    pub fn partner_ahead(&self) -> i64 {
        let beyond_doubt = |seconds: i64| if seconds.abs() <= CLOCK_TOLERANCE { 0 } else { seconds };
        match self.clock_delta_max {
            Some(most) if most < 0 => beyond_doubt(most),
            _ => beyond_doubt(self.clock_delta.max(0)),
        }
    }

    /// How far both clocks are apart, as the partner computes it too.
    #[must_use]
    pub fn clock_shift(&self) -> ClockShift {
        self.handshake_times.shift()
    }

    /// A slow message makes the partner's clock seem slow, never fast: the quickest one counts. The first
    /// one that answers ours bounds it from the other side.
    fn bound_clock_delta(&mut self, time: u32, now: Now) {
        let delta = i64::from(time) - i64::from(now.wall.get());
        self.lately.saw(delta, now.mono);
        if self.peer.is_some() {
            self.clock_delta = self.clock_delta.max(delta);
        }
        if self.clock_delta_max.is_none()
            && let Some(asked_at) = self.handshake_times.asked_by(self.settings.role)
        {
            self.clock_delta_max = Some(i64::from(time) - i64::from(asked_at.get()));
        }
    }

    /// Between two of ours a duel is judged by what the handshake said of the clocks, at both ends alike. A message that is
    /// late makes the partner's clock seem slow only, so a clock that was set is noticed at the one end or at the other.
    fn check_clocks(&self, time: u32, now: Now) -> Result<(), Failure> {
        let at_most = self.handshake_times.partner_ahead_at_most(self.settings.role);
        let Some(at_most) = at_most.filter(|_| self.speaks_own()) else { return Ok(()) };
        let ahead = i64::from(time) - i64::from(now.wall.get());
        if ahead > at_most + CLOCK_SET {
            return Err(Failure::ClockSet { at_most, ahead });
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame, now: Now) -> Result<Option<Received>, Failure> {
        let type_name = frame.message.name();
        match (self.phase, frame.message) {
            (_, Message::Disconnect(disconnect)) => {
                let reject = disconnect.reject;
                Err(Failure::Disconnected {
                    reason: reject.as_ref().map_or(RejectReason::Unknown, |reject| reject.reason),
                    text: reject.map(|reject| reject.text).unwrap_or_default(),
                })
            }
            (Phase::AwaitConnect, Message::Connect(connect)) => {
                self.on_connect(&connect, frame.time, frame.xid, now)
            }
            (Phase::AwaitConnectAck { xid }, Message::ConnectAck(ack)) => {
                self.on_connect_ack(ack, frame.time, frame.xid == xid, now)
            }
            (Phase::Established, Message::Connect(_) | Message::ConnectAck(_)) => {
                Err(Failure::OutOfPlace("a second CONNECT or CONNECTACK"))
            }
            (Phase::Established, message) => {
                Ok(Some(Received::Message(Frame { time: frame.time, xid: frame.xid, message })))
            }
            // The partner has our role: say so, as both sides' operators need it.
            (Phase::AwaitConnectAck { .. }, Message::Connect(_)) => {
                Err(self.refuse(RejectReason::InvalidPartner, "both servers are configured as primary", now))
            }
            (Phase::AwaitConnect | Phase::Accepting { .. } | Phase::AwaitConnectAck { .. }, _) => {
                Err(Failure::OutOfPlace(type_name))
            }
        }
    }

    /// §1.4, in its order.
    fn on_connect(
        &mut self,
        connect: &Connect,
        time: u32,
        xid: u32,
        now: Now,
    ) -> Result<Option<Received>, Failure> {
        self.phase = Phase::Accepting { xid };
        self.meet(connect.vendor_class.as_deref(), connect.max_unacked, connect.receive_timer, time, now);
        let Some(relationship) = &connect.relationship else {
            return Err(self.refuse(RejectReason::InvalidPartner, "missing relationship-name", now));
        };
        if relationship != self.settings.relationship.as_bytes() {
            let text = format!("unknown relationship {}", printable(relationship));
            return Err(self.refuse(RejectReason::InvalidPartner, &text, now));
        }
        if connect.version.is_some_and(|version| version != PROTOCOL_VERSION) {
            return Err(self.refuse(RejectReason::VersionMismatch, "protocol version is not 1", now));
        }
        if self.clock_delta.unsigned_abs() > u64::from(CLOCK_DIFFERENCE_MAX) {
            let text = format!("clocks differ by {} s", self.clock_delta);
            return Err(self.refuse(RejectReason::TimeMismatch, &text, now));
        }
        let Some(hba) = connect.hba.as_deref().and_then(|hba| <[u8; 32]>::try_from(hba).ok()) else {
            return Err(self.refuse(
                RejectReason::HashBucketConflict,
                "hash buckets missing or not 32 octets",
                now,
            ));
        };
        match connect.mclt.filter(|mclt| (1..=0x7fff_ffff).contains(mclt)) {
            Some(mclt) => Ok(Some(Received::Opened { mclt: Seconds(mclt), hba })),
            None => Err(self.refuse(RejectReason::InvalidMclt, "MCLT missing or zero", now)),
        }
    }

    /// §1.5, in its order.
    fn on_connect_ack(
        &mut self,
        ack: ConnectAck,
        time: u32,
        xid_matches: bool,
        now: Now,
    ) -> Result<Option<Received>, Failure> {
        self.meet(ack.vendor_class.as_deref(), ack.max_unacked, ack.receive_timer, time, now);
        let Some(relationship) = ack.relationship else {
            return Err(self.refuse(RejectReason::InvalidPartner, "missing relationship-name", now));
        };
        if let Some(reject) = ack.reject {
            let mut text = reject.text;
            if reject.reason == RejectReason::TimeMismatch {
                text = format!("{text}: its clock and ours differ by {} s", self.clock_delta);
            }
            return Err(Failure::RefusedByPartner { reason: reject.reason, text });
        }
        if relationship != self.settings.relationship.as_bytes() {
            let text = format!("unknown relationship {}", printable(&relationship));
            return Err(self.refuse(RejectReason::InvalidPartner, &text, now));
        }
        if self.clock_delta.unsigned_abs() > u64::from(CLOCK_DIFFERENCE_MAX) {
            let text = format!("clocks differ by {} s", self.clock_delta);
            return Err(self.refuse(RejectReason::TimeMismatch, &text, now));
        }
        if self.speaks_own() && !xid_matches {
            return Err(Failure::OutOfPlace("CONNECTACK with another number"));
        }
        self.phase = Phase::Established;
        Ok(Some(Received::Accepted { extensions: ack.extensions }))
    }

    fn meet(
        &mut self,
        vendor_class: Option<&[u8]>,
        max_unacked: Option<u32>,
        receive_timer: Option<u32>,
        time: u32,
        now: Now,
    ) {
        self.clock_delta = i64::from(time) - i64::from(now.wall.get());
        self.peer = Some(Peer {
            profile: Profile::of(vendor_class),
            vendor: printable(vendor_class.unwrap_or_default()),
            max_unacked: max_unacked.filter(|max| *max > 0).unwrap_or(MAX_UNACKED_DEFAULT),
            receive_timer: Seconds(receive_timer.filter(|timer| *timer > 0).unwrap_or(20)),
        });
    }

    fn connect_ack(&self) -> ConnectAck {
        ConnectAck {
            relationship: Some(self.settings.relationship.clone().into_bytes()),
            max_unacked: Some(self.settings.max_unacked.max(1)),
            receive_timer: Some(self.settings.receive_timer.get().max(3)),
            vendor_class: Some(VENDOR_CLASS.as_bytes().to_vec()),
            version: Some(PROTOCOL_VERSION),
            tls_reply: Some(0),
            reject: None,
            extensions: Vec::new(),
        }
    }

    fn dialect(&self) -> Dialect {
        if self.speaks_own() { Dialect::Own } else { Dialect::Isc }
    }

    fn keep_alive(&self) -> Seconds {
        let third = self.peer.as_ref().map_or(u32::MAX, |peer| peer.receive_timer.get() / 3);
        Seconds(third.min(self.settings.poll_interval.get()).max(1))
    }

    fn take_xid(&mut self) -> u32 {
        let xid = self.next_xid;
        // 0 is never the number of a message (§2.1).
        self.next_xid = self.next_xid.wrapping_add(1).max(1);
        xid
    }
}

fn no_handshake(role: Role) -> &'static str {
    match role {
        Role::Primary => "the partner did not answer CONNECT within 15 s",
        Role::Secondary => {
            "the partner did not send CONNECT within 15 s, as a primary does: it may be configured as secondary too"
        }
    }
}

/// What the peer wrote, for our texts: short, and without anything that a text option or a log line
/// cannot hold.
fn printable(text: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 64;
    let characters = String::from_utf8_lossy(text);
    characters.chars().filter(|character| !character.is_control()).take(CHARACTERS_MAX).collect()
}
