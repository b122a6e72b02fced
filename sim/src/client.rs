//! Clients that behave as RFC 2131 says: they discover, request, renew at T1, rebind at T2, remember their
//! address over a reboot, release and decline. Their lease begins when they sent the REQUEST.

use std::net::Ipv4Addr;

use leases::log::testing::Generator;

use crate::plan::Plan;

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Looking for offers.
    Selecting,
    /// Asked for an offer.
    Requesting { server: Ipv4Addr, address: Ipv4Addr },
    /// Has a lease.
    Bound(Lease),
    /// Asks its server for more.
    Renewing(Lease),
    /// Asks any server for more.
    Rebinding(Lease),
    /// Came back and asks whether its address still holds.
    Rebooting(Lease),
    /// Switched off until it wakes.
    Off(Option<Lease>),
}

/// A lease as the client sees it. Times in milliseconds of true time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    pub(crate) server: Ipv4Addr,
    pub(crate) t1: u64,
    pub(crate) t2: u64,
    pub(crate) end: u64,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum To {
    Everybody,
    Server(Ipv4Addr),
}

/// One client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) index: u64,
    pub(crate) relayed: bool,
    pub(crate) phase: Phase,
    /// Number of the exchange; each transmission has its own.
    pub(crate) xid: u32,
    /// When the present attempt began, for the seconds field.
    began: u64,
    tries: u32,
    /// Sends an identifier, else is known by its hardware address.
    has_id: bool,
    /// By which number the servers know it: another client's if both send the same identifier.
    pub(crate) identity: u64,
    /// Another client has the same identity.
    pub(crate) is_twin: bool,
    /// It comes and goes all the time, and asks for the address that it had.
    restless: bool,
    /// It may come up in the other subnet.
    moves: bool,
    /// It knows no T1.
    is_lazy: bool,
    /// How much seldomer than others it does anything but renew.
    patience: u64,
    /// Longest way of a packet: nobody could tell a release that comes after the next request.
    way: u64,
    former: Option<Ipv4Addr>,
}

/// A packet that a client sends.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) to: To,
    pub(crate) bytes: Vec<u8>,
    pub(crate) xid: u32,
    pub(crate) kind: &'static str,
}

/// A server's answer, as far as a client reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) kind: u8,
    pub(crate) xid: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) server: Ipv4Addr,
    pub(crate) lease: u32,
    pub(crate) t1: u32,
    pub(crate) t2: u32,
}

pub(crate) const OFFER: u8 = 2;
pub(crate) const ACK: u8 = 5;
pub(crate) const NAK: u8 = 6;

impl Client {
    pub(crate) fn new(index: u64, plan: &Plan) -> Self {
        let has_id = index.is_multiple_of(3);
        let is_twin = has_id && plan.shared_ids;
        Self {
            index,
            relayed: index % 4 == 3,
            phase: Phase::Off(None),
            xid: 0,
            began: 0,
            tries: 0,
            has_id,
            identity: if is_twin { index - index % 6 } else { index },
            is_twin,
            restless: plan.restless,
            moves: plan.moves,
            is_lazy: plan.lazy && index % 3 == 1,
            patience: if plan.real { 60 } else { 1 },
            way: plan.delay,
            former: None,
        }
    }

    /// Whether a lease is this client's.
    pub(crate) fn holds(&self, lease: &leases::lease::Lease) -> bool {
        let Some(holder) = &lease.client else { return false };
        match &holder.id {
            Some(id) => self.has_id && id.get(1..) == Some(&hardware(self.identity)),
            None => !self.has_id && holder.hardware.octets == self.hardware(),
        }
    }

    /// It forgets everything, as if it were new.
    pub(crate) fn forget(&mut self) {
        self.phase = Phase::Off(None);
    }

    /// The hardware address, which is also how the checkers name the client.
    pub(crate) fn hardware(&self) -> [u8; 6] {
        hardware(self.index)
    }

    /// What servers tell it from others by: the identifier that it sends, or its hardware address.
    pub(crate) fn key(&self) -> Vec<u8> {
        if self.has_id { [&[1], &hardware(self.identity)[..]].concat() } else { self.hardware().to_vec() }
    }

    /// A DISCOVER of a client that has sought for so many seconds.
    pub(crate) fn discover(&self, seconds: u64) -> Vec<u8> {
        let seeking = Self { phase: Phase::Selecting, began: 0, former: None, ..self.clone() };
        seeking.message(seconds * 1000).bytes
    }

    /// The REQUEST by which it would renew a lease of this address at a server.
    pub(crate) fn renew(&self, address: Ipv4Addr, server: Ipv4Addr) -> Vec<u8> {
        let lease = Lease { address, server, t1: 0, t2: 0, end: 0 };
        Self { phase: Phase::Renewing(lease), ..self.clone() }.message(0).bytes
    }

    /// The client wakes up: what it sends, and when it wants to wake next.
    pub(crate) fn wake(&mut self, now: u64, draw: &mut Generator) -> (Option<Sent>, u64) {
        self.expire(now);
        match self.phase {
            Phase::Off(lease) => {
                self.begin(now);
                if self.moves && draw.below(8) == 0 {
                    self.relayed = !self.relayed;
                }
                self.phase = match lease.filter(|lease| lease.end > now) {
                    Some(lease) => Phase::Rebooting(lease),
                    None => Phase::Selecting,
                };
                self.retransmit(now, draw)
            }
            Phase::Bound(lease) if self.restless => self.be_restless(now, lease, draw),
            Phase::Bound(lease) => {
                match draw.below(40 * self.patience) {
                    0 => return self.leave(now, lease, true, draw),
                    1 => return self.leave(now, lease, false, draw),
                    2 => {
                        self.phase = Phase::Off(Some(lease));
                        return (None, now + 1000 + draw.below(60_000));
                    }
                    _ => {}
                }
                let (next, asks) = match self.is_lazy {
                    true => (lease.t2, Phase::Rebinding(lease)),
                    false => (lease.t1, Phase::Renewing(lease)),
                };
                if now >= next {
                    self.begin(now);
                    self.phase = asks;
                    self.retransmit(now, draw)
                } else {
                    (None, next.min(now + (10_000 + draw.below(20_000)) * self.patience))
                }
            }
            _ => self.retransmit(now, draw),
        }
    }

    fn be_restless(&mut self, now: u64, lease: Lease, draw: &mut Generator) -> (Option<Sent>, u64) {
        self.former = Some(lease.address);
        match draw.below(16) {
            0..=3 => {
                let (sent, _) = self.leave(now, lease, false, draw);
                (sent, now + self.way + draw.below(6_000))
            }
            4 => self.leave(now, lease, true, draw),
            5..=7 => {
                self.phase = Phase::Off(Some(lease));
                (None, now + 200 + draw.below(20_000))
            }
            // Nobody waits for T1 because it must.
            8..=10 => {
                self.begin(now);
                self.phase = if draw.coin() { Phase::Renewing(lease) } else { Phase::Rebinding(lease) };
                self.retransmit(now, draw)
            }
            _ => (None, now + 500 + draw.below(8_000)),
        }
    }

    /// An answer arrives: what it sends on, and when it wants to wake.
    pub(crate) fn receive(
        &mut self,
        now: u64,
        answer: &Answer,
        requested_at: u64,
    ) -> Option<(Option<Sent>, u64)> {
        self.expire(now);
        if answer.xid != self.xid {
            return None;
        }
        match (self.phase, answer.kind) {
            (Phase::Selecting, OFFER) => {
                self.phase = Phase::Requesting { server: answer.server, address: answer.address };
                self.tries = 0;
                self.xid += 1;
                Some((Some(self.message(now)), now + 4_000))
            }
            (
                Phase::Requesting { .. } | Phase::Renewing(_) | Phase::Rebinding(_) | Phase::Rebooting(_),
                ACK,
            ) => {
                let after = |seconds: u32| requested_at + u64::from(seconds) * 1000;
                let lease = Lease {
                    address: answer.address,
                    server: answer.server,
                    t1: after(answer.t1),
                    t2: after(answer.t2),
                    end: after(answer.lease),
                };
                self.phase = Phase::Bound(lease);
                Some((None, now + 5_000))
            }
            (
                Phase::Requesting { .. } | Phase::Renewing(_) | Phase::Rebinding(_) | Phase::Rebooting(_),
                NAK,
            ) => {
                self.begin(now);
                self.phase = Phase::Selecting;
                Some((None, now + 1_000))
            }
            _ => None,
        }
    }

    /// The address that the client uses now, and until when.
    pub(crate) fn uses(&self) -> Option<(Ipv4Addr, u64)> {
        match self.phase {
            Phase::Bound(lease) | Phase::Renewing(lease) | Phase::Rebinding(lease) => {
                Some((lease.address, lease.end))
            }
            _ => None,
        }
    }

    fn expire(&mut self, now: u64) {
        if let Phase::Bound(lease)
        | Phase::Renewing(lease)
        | Phase::Rebinding(lease)
        | Phase::Rebooting(lease) = self.phase
            && now >= lease.end
        {
            self.begin(now);
            self.phase = Phase::Selecting;
        }
    }

    fn begin(&mut self, now: u64) {
        self.began = now;
        self.tries = 0;
    }

    fn leave(&mut self, now: u64, lease: Lease, decline: bool, draw: &mut Generator) -> (Option<Sent>, u64) {
        self.xid += 1;
        let bytes = self.farewell(now, lease.address, lease.server, decline);
        let to = if decline { To::Everybody } else { To::Server(lease.server) };
        self.phase = Phase::Off(None);
        let name = if decline { "DECLINE" } else { "RELEASE" };
        (Some(Sent { to, bytes, xid: self.xid, kind: name }), now + 2_000 + draw.below(60_000))
    }

    /// The RELEASE or DECLINE by which it gives a lease of this address up at a server.
    pub(crate) fn farewell(&self, now: u64, address: Ipv4Addr, server: Ipv4Addr, decline: bool) -> Vec<u8> {
        let mut bytes = self.header(now, if decline { Ipv4Addr::UNSPECIFIED } else { address });
        bytes.extend([53, 1, if decline { 4 } else { 7 }, 54, 4]);
        bytes.extend(server.octets());
        if decline {
            bytes.extend([50, 4]);
            bytes.extend(address.octets());
        }
        self.finish(&mut bytes);
        bytes
    }

    fn retransmit(&mut self, now: u64, draw: &mut Generator) -> (Option<Sent>, u64) {
        self.tries += 1;
        match self.phase {
            Phase::Requesting { .. } | Phase::Rebooting(_) if self.tries > 3 => {
                self.begin(now);
                self.phase = Phase::Selecting;
            }
            Phase::Renewing(lease) if now >= lease.t2 => self.phase = Phase::Rebinding(lease),
            _ => {}
        }
        self.xid += 1;
        let wait = (2_000u64 << self.tries.min(4)) + draw.below(1_000);
        (Some(self.message(now)), now + wait)
    }

    fn message(&self, now: u64) -> Sent {
        let none = Ipv4Addr::UNSPECIFIED;
        let (to, ciaddr, kind, requested, server, name) = match self.phase {
            Phase::Requesting { server, address } => {
                (To::Everybody, none, 3, Some(address), Some(server), "REQUEST(selecting)")
            }
            Phase::Renewing(lease) => {
                (To::Server(lease.server), lease.address, 3, None, None, "REQUEST(renewing)")
            }
            Phase::Rebinding(lease) => (To::Everybody, lease.address, 3, None, None, "REQUEST(rebinding)"),
            Phase::Rebooting(lease) => {
                (To::Everybody, none, 3, Some(lease.address), None, "REQUEST(init-reboot)")
            }
            Phase::Selecting | Phase::Bound(_) | Phase::Off(_) => {
                (To::Everybody, none, 1, self.former, None, "DISCOVER")
            }
        };
        let mut bytes = self.header(now, ciaddr);
        bytes.extend([53, 1, kind]);
        if let Some(server) = server {
            bytes.extend([54, 4]);
            bytes.extend(server.octets());
        }
        if let Some(requested) = requested {
            bytes.extend([50, 4]);
            bytes.extend(requested.octets());
        }
        self.finish(&mut bytes);
        Sent { to, bytes, xid: self.xid, kind: name }
    }

    fn header(&self, now: u64, ciaddr: Ipv4Addr) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, u8::from(self.relayed)];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend((((now - self.began.min(now)) / 1000).min(0xffff) as u16).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(ciaddr.octets());
        bytes.extend([0; 8]);
        // A renewing client is known to its server by unicast; the relay stays out of it.
        let broadcast = ciaddr.is_unspecified() || matches!(self.phase, Phase::Rebinding(_));
        let giaddr =
            if self.relayed && broadcast { Ipv4Addr::new(10, 1, 0, 1) } else { Ipv4Addr::UNSPECIFIED };
        bytes.extend(giaddr.octets());
        bytes.extend(self.hardware());
        bytes.resize(236, 0);
        bytes.extend([0x63, 0x82, 0x53, 0x63]);
        bytes
    }

    fn finish(&self, bytes: &mut Vec<u8>) {
        if self.has_id {
            bytes.extend([61, 7, 1]);
            bytes.extend(hardware(self.identity));
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(300), 0);
    }
}

fn hardware(index: u64) -> [u8; 6] {
    [0x02, 0, 0, 0, (index >> 8) as u8, index as u8]
}

/// Reads a server's answer; `None` for anything else.
pub(crate) fn read(bytes: &[u8]) -> Option<(Answer, [u8; 6])> {
    let word =
        |at: usize| bytes.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().unwrap_or_default()));
    if bytes.first() != Some(&2) {
        return None;
    }
    let mut answer = Answer {
        kind: 0,
        xid: word(4)?,
        address: Ipv4Addr::from(word(16)?),
        server: Ipv4Addr::UNSPECIFIED,
        lease: 0,
        t1: 0,
        t2: 0,
    };
    let hardware = bytes.get(28..34)?.try_into().ok()?;
    each_option(bytes, |code, at, _| {
        match code {
            53 => answer.kind = *bytes.get(at)?,
            54 => answer.server = Ipv4Addr::from(word(at)?),
            51 => answer.lease = word(at)?,
            58 => answer.t1 = word(at)?,
            59 => answer.t2 = word(at)?,
            _ => {}
        }
        Some(())
    })?;
    Some((answer, hardware))
}

/// Shows each option of a message: its code, where its value begins, and how long that is. `None` if one is cut short, or
/// `look` says so.
pub(crate) fn each_option(bytes: &[u8], mut look: impl FnMut(u8, usize, usize) -> Option<()>) -> Option<()> {
    let mut at = 240;
    while let Some(code) = bytes.get(at).copied().filter(|code| *code != 255) {
        if code == 0 {
            at += 1;
            continue;
        }
        let len = usize::from(*bytes.get(at + 1)?);
        look(code, at + 2, len)?;
        at += 2 + len;
    }
    Some(())
}
