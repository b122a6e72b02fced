//! The invariants of `spec/failover-behaviour.md` §14, checked as things happen.

mod agreement;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::pair::RiServe;
use api::time::{Seconds, UnixTime};
use failover::times::is_own;
use failover::wire::{Frame, Message, RejectReason};
use leases::lease::{Lease, Status, Sync};

use crate::client::{ACK, Answer, Client};
use crate::hole::Hole;
use crate::node::Node;
use crate::plan::Plan;

/// A clock that steps further back is waited for (`spec/failover-behaviour.md` §2.2).
const BACKWARD_MAX: Seconds = Seconds(2);

/// A broken invariant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which one, as in the specification.
    pub invariant: &'static str,
    /// When, in milliseconds of the world's time.
    pub time: u64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.invariant, self.time as f64 / 1000.0, self.what)
    }
}

/// What the checkers remember.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checker {
    /// Until when, in true time, each client may believe in an address: the largest end of any ACK sent to
    /// it, unless it released or declined.
    holders: BTreeMap<Ipv4Addr, BTreeMap<u64, u64>>,
    /// When a client last gave an address up: it believes in no ACK to what it asked for before.
    given_up: BTreeMap<(Ipv4Addr, u64), u64>,
    /// How early a clock that runs ahead may end a lease.
    tolerance: u64,
    /// The clocks differ all the time by about so many seconds, and each server has its times by its own.
    apart: u32,
    /// A3 and A7 do not hold: addresses may be given twice.
    reckless: bool,
    /// In ResolutionInterrupted new clients are served, too (`riServe: Own`).
    serves_own_in_conflict: bool,
    /// Seconds that a clock may step between a decision and its message.
    step: u32,
    /// The MCLT that each node uses for grants.
    lead: [u32; 2],
    /// The one before, and until when replies may still say it.
    lead_before: [(u32, u64); 2],
    /// States of each node that are on its disk, or were replaced by a later one of the same batch.
    announced: [BTreeSet<State>; 2],
    /// Addresses of which each node refused to know, having no such pool yet (A5 is broken), and heard nothing since.
    refused: [BTreeSet<Ipv4Addr>; 2],
    /// Where a dhcpd has done what it is known to do wrong.
    holes: BTreeMap<Ipv4Addr, (Hole, u64)>,
    /// For how long what a dhcpd did wrong can be felt.
    aftermath: u64,
    /// What was broken there since.
    pub(crate) excused: BTreeMap<(Hole, &'static str), u64>,
    /// Potentials told in updates that wait for an answer, by receiver, connection-wide number.
    told: [BTreeMap<(u64, u32), (Ipv4Addr, u32)>; 2],
}

/// An ACK as it leaves a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// Which server.
    pub(crate) node: usize,
    /// For whom.
    pub(crate) client: &'a Client,
    /// What it says.
    pub(crate) answer: &'a Answer,
    /// When the client sent what it answers.
    pub(crate) requested_at: u64,
}

impl Checker {
    pub(crate) fn new(plan: &Plan) -> Self {
        // Whole seconds count, so clocks that differ at all may differ by one more.
        let steps = if plan.clock_steps > 0 { 1000 } else { 0 };
        let reckless = plan.reckless > 0;
        let bound = if plan.apart != 0 {
            // The guard is there for what remains.
            1
        } else if reckless {
            plan.skew.unsigned_abs() + 2 * plan.clock_bound
        } else {
            plan.skew.unsigned_abs().max(steps)
        };
        let tolerance = if bound == 0 { 0 } else { bound + 1000 };
        let aftermath = 2 * u64::from(plan.lease + plan.mclt) * 1000;
        Self {
            tolerance,
            aftermath,
            apart: u32::try_from(plan.apart.unsigned_abs() / 1000).unwrap_or(0),
            step: if reckless {
                u32::try_from((plan.skew.unsigned_abs().max(plan.clock_bound) + plan.clock_bound) / 1000)
                    .unwrap_or(0)
            } else {
                u32::from(steps > 0)
            },
            reckless,
            serves_own_in_conflict: plan.pair(0).1.ri_serve == RiServe::Own,
            ..Self::default()
        }
    }

    /// What the clients themselves see: nobody else uses the address of this one.
    pub(crate) fn used_once(
        &mut self,
        time: u64,
        clients: &[Client],
        changed: usize,
    ) -> Result<(), Violation> {
        let Some((address, _)) = clients.get(changed).and_then(Client::uses) else { return Ok(()) };
        let other = clients.iter().find(|other| {
            other.index != changed as u64
                // What one twin releases, the other believes in still.
                && !other.is_twin
                && !clients[changed].is_twin
                && other.uses().is_some_and(|(used, end)| used == address && end > time + self.tolerance)
        });
        match other {
            _ if self.reckless => Ok(()),
            None => Ok(()),
            Some(other) => {
                let what = format!("clients {changed} and {} both use {address}", other.index);
                self.unless_excused(address, Violation { invariant: "I1 uniqueness", time, what })
            }
        }
    }

    /// A time of one server by the clock of the other, which has corrected it as well as it could measure.
    fn by_clock_of(&self, to: &Node, from: &Node, time: UnixTime) -> UnixTime {
        if self.apart == 0 { time } else { time.by_clock_ahead((from.skew - to.skew) / 1000) }
    }

    /// By how much such a time may be off: where messages are slow no difference is beyond doubt, and the guard of whoever
    /// waits covers it.
    fn blur(&self) -> u32 {
        if self.apart > 0 { self.apart + 3 } else { 0 }
    }

    /// Whether both may be one moment.
    fn are_alike(&self, one: UnixTime, other: UnixTime) -> bool {
        let blur = Seconds(self.blur());
        one <= other + blur && other <= one + blur
    }

    /// A client gave its address up by its own word.
    pub(crate) fn given_up(&mut self, time: u64, address: Ipv4Addr, client: u64) {
        self.given_up.insert((address, client), time);
        if let Some(holders) = self.holders.get_mut(&address) {
            holders.remove(&client);
        }
    }

    /// Whether a client may still believe in an address.
    pub(crate) fn may_be_used(&self, address: Ipv4Addr, time: u64) -> bool {
        self.holders.get(&address).is_some_and(|holders| holders.values().any(|end| *end + 10_000 > time))
    }

    /// Until when each client may believe in an address, where it still may.
    pub(crate) fn believed(&self, address: Ipv4Addr, time: u64) -> impl Iterator<Item = (u64, u64)> {
        let holders = self.holders.get(&address).into_iter().flatten();
        holders.map(|(client, end)| (*client, *end)).filter(move |(_, end)| *end > time)
    }

    /// A client believes in an address, whoever gave it.
    #[cfg(test)]
    pub(crate) fn believe(&mut self, address: Ipv4Addr, client: u64, end: u64) {
        self.holders.entry(address).or_default().insert(client, end);
    }

    /// Both servers lost all they knew; so did the clients.
    pub(crate) fn forget(&mut self) {
        self.holders.clear();
    }

    /// A dhcpd does at an address what it is known to do wrong.
    /// False if it has before.
    pub(crate) fn errs(&mut self, time: u64, address: Ipv4Addr, hole: Hole) -> bool {
        let before = self.holes.insert(address, (hole, time + self.aftermath));
        before.is_none_or(|(before, _)| before != hole)
    }

    /// Whether a dhcpd has done wrong at an address; then what is broken there is counted.
    fn unless_excused(&mut self, address: Ipv4Addr, violation: Violation) -> Result<(), Violation> {
        let felt = self.holes.get(&address).filter(|(_, until)| violation.time < *until);
        let Some((hole, _)) = felt else { return Err(violation) };
        *self.excused.entry((*hole, violation.invariant)).or_default() += 1;
        Ok(())
    }

    /// An ACK leaves a server: nobody else may believe in the address.
    pub(crate) fn unique(&mut self, time: u64, sender: &Node, ack: Ack<'_>) -> Result<(), Violation> {
        let Ack { client: receiver, answer, requested_at, .. } = ack;
        let client = receiver.identity;
        let address = answer.address;
        let end = requested_at + u64::from(answer.lease) * 1000;
        let holders = self.holders.entry(address).or_default();
        holders.retain(|_, end| *end + 10_000 > time);
        // A dhcpd ends its leases by whole seconds.
        let tolerance = self.tolerance + if sender.dhcpd.is_some() { 1_000 } else { 0 };
        if let Some((other, until)) =
            holders.iter().find(|(other, until)| **other != client && **until > time + tolerance)
            && !self.reckless
        {
            let what = format!(
                "{address} acknowledged by the {} to client {client} while client {other} holds it for another {} ms",
                sender.role,
                until - time
            );
            self.unless_excused(address, Violation { invariant: "I1 uniqueness", time, what })?;
        }
        let holders = self.holders.entry(address).or_default();
        if self.given_up.get(&(address, client)).is_none_or(|given_up| *given_up < requested_at) {
            let held = holders.entry(client).or_default();
            *held = (*held).max(end);
        }
        Ok(())
    }

    /// An ACK leaves a server of ours.
    pub(crate) fn ack(&mut self, time: u64, nodes: &[Node; 2], ack: Ack<'_>) -> Result<(), Violation> {
        let Ack { node, client: receiver, answer, .. } = ack;
        let client = receiver.identity;
        let violation = |invariant, what: String| Violation { invariant, time, what };
        let address = answer.address;
        let (sender, partner) = (&nodes[node], &nodes[1 - node]);
        self.unique(time, sender, ack)?;

        let now = sender.now(time).wall;
        let Some(server) = &sender.server else {
            return Err(violation("I10 silence", format!("the {} answers without a process", sender.role)));
        };
        if !server.serving() {
            let what = format!("the {} acknowledges {address} in {}", sender.role, server.state());
            return Err(violation("I10 silence", what));
        }
        let is_clients = |lease: &&Lease| receiver.holds(lease);
        let Some(durable) = sender.durable.get(&address).filter(is_clients) else {
            let what =
                format!("the {} acknowledges {address} to client {client} before it is on disk", sender.role);
            return Err(violation("I4 durable", what));
        };
        // The reply may have waited two seconds for the disk.
        let granted_at = UnixTime::new(u64::from(now.get().saturating_sub(3 + self.step)));
        let granted = granted_at + Seconds(answer.lease);
        if durable.held_until < granted {
            let what = format!(
                "the {} acknowledges {address} for {} s, but its disk says until {}",
                sender.role, answer.lease, durable.held_until
            );
            return Err(violation("I4 durable", what));
        }
        // What a dhcpd waits for is no promise of ours (H-3).
        let promises = !self.reckless && partner.dhcpd.is_none();
        if server.endpoint().record().state == State::PartnerDown || !promises {
            return Ok(());
        }
        let lead = server.max_lead().for_grants().get();
        if let Some(other) = partner.lead.filter(|_| !partner.amnesic)
            && lead > other.for_waits().get()
        {
            let what =
                format!("the {} grants with MCLT {lead}, which its partner does not know", sender.role);
            return Err(violation("I5 monotonic", what));
        }
        // A reply may have waited while a smaller one came into force.
        let (last, until) = self.lead_before[node];
        let lead = if time < until { lead.max(last) } else { lead };
        // An abandoned address has no client, nor once it is reset, but what was promised for it is kept for every wait.
        let nobodys = |lease: &Lease| match lease.status {
            Status::Abandoned => true,
            Status::Reset => lease.client.is_none(),
            Status::Free | Status::Active | Status::Expired | Status::Released | Status::Backup => false,
        };
        let counts = |lease: &&Lease| is_clients(lease) || nobodys(lease);
        let known = partner
            .durable
            .get(&address)
            .filter(counts)
            .map_or(UnixTime::ZERO, |lease| lease.latest_promise().max(lease.received_potential));
        let known = self.by_clock_of(sender, partner, known);
        let slack = lead + 1 + self.blur() + u32::try_from(self.tolerance / 1000).unwrap_or(u32::MAX);
        if !partner.amnesic && granted > known.max(now) + Seconds(slack) {
            let what = format!(
                "the {} grants {address} until {granted}, but its partner knows of {known} only",
                sender.role
            );
            return Err(violation("I2 lead", what));
        }
        Ok(())
    }

    /// A reply of any kind leaves a server.
    pub(crate) fn answers(
        &self,
        time: u64,
        nodes: &[Node; 2],
        node: usize,
        kind: u8,
    ) -> Result<(), Violation> {
        let (sender, partner) = (&nodes[node], &nodes[1 - node]);
        let Some(server) = &sender.server else { return Ok(()) };
        let violation = |invariant, what: String| Err(Violation { invariant, time, what });
        let (now, promise) = (sender.now(time).wall, sender.promise);
        if promise < now || promise > now + Seconds(2 + self.step) {
            let what = format!("the {} answers at {now} with a promise until {promise}", sender.role);
            return violation("I4 durable", what);
        }
        // What was granted before may have waited for the disk.
        let waited = time < sender.clock_set_at + 3_000;
        if now + BACKWARD_MAX < sender.seen && !waited {
            let what =
                format!("the {} answers at {now}, before {} that it has seen", sender.role, sender.seen);
            return violation("I10 silence", what);
        }
        let endpoint = server.endpoint();
        let renews_only = match server.state() {
            State::RecoverDone => true,
            State::ResolutionInterrupted => !self.serves_own_in_conflict,
            _ => false,
        };
        if renews_only && kind != ACK {
            let what = format!("the {} answers with {kind} in {}", sender.role, server.state());
            return violation("I10 silence", what);
        }
        // Not by the server's own word alone.
        let unheard = endpoint.heard().is_none() && endpoint.fence_in_force().is_some();
        if unheard || endpoint.is_fenced() {
            return violation("I10 silence", format!("the {} answers although it is fenced", sender.role));
        }
        if endpoint.heard().is_none() && endpoint.record().state == State::RecoverDone {
            return violation(
                "I10 silence",
                format!("the {} answers in RecoverDone without contact", sender.role),
            );
        }
        // One that came back renews while it is connected, and a dhcpd leaves PartnerDown a moment later.
        let (mine, theirs) =
            (endpoint.record().state, partner.server.as_ref().map(|server| server.endpoint()));
        let dhcpd = partner.dhcpd.as_ref().filter(|dhcpd| dhcpd.runs() && !dhcpd.is_starting());
        let let_go = theirs
            .is_some_and(|theirs| theirs.record().state == State::PartnerDown && !theirs.is_starting())
            || dhcpd.is_some_and(|dhcpd| dhcpd.file.state == State::PartnerDown);
        // The state of an old copy is nobody's word until the copy acts on it.
        let counts = !partner.restored && !self.reckless;
        if let_go && counts && !(mine == State::RecoverDone || mine == State::Normal && dhcpd.is_some()) {
            let what = format!("the {} answers in {mine} while its partner is in PartnerDown", sender.role);
            return violation("I7 single PD", what);
        }
        Ok(())
    }

    /// A node wrote leases: the two disks must never both let an address be given away, and nothing that a
    /// wait counts with falls.
    pub(crate) fn committed(&mut self, time: u64, nodes: &mut [Node; 2]) -> Result<(), Violation> {
        for node in &mut *nodes {
            if let Some(server) = &node.server {
                let lead = server.max_lead().for_grants().get();
                let last = std::mem::replace(&mut self.lead[node.index], lead);
                if last != lead {
                    self.lead_before[node.index] = (last, time + 3_000);
                }
            }
            if let Some(what) = node.fallen.take() {
                return Err(Violation { invariant: "I5 monotonic", time, what });
            }
        }
        if self.reckless || nodes.iter().any(|node| node.amnesic) {
            // What is on the disk of a silent server that fetches everything counts for nothing.
            return Ok(());
        }
        for (address, primary) in &nodes[0].durable {
            let Some(secondary) = nodes[1].durable.get(address) else { continue };
            // What is reserved is for one client only, at either server.
            let reserved = primary.flags.reserved && secondary.flags.reserved;
            if is_own(primary, Role::Primary) && is_own(secondary, Role::Secondary) && !reserved {
                let what = format!("{address} is free for new clients on both disks");
                return Err(Violation { invariant: "I3 ownership", time, what });
            }
            self.agree(time, nodes, primary, secondary)?;
        }
        Ok(())
    }

    /// What both disks call agreed nobody tells again: both must know the same of it.
    fn agree(&self, time: u64, nodes: &[Node; 2], mine: &Lease, theirs: &Lease) -> Result<(), Violation> {
        let counts = nodes.iter().all(|node| node.dhcpd.is_none() && !node.restored);
        let agreed = [mine, theirs].iter().all(|lease| lease.sync == Sync::Agreed);
        if counts && agreed && !self.know_the_same(nodes, mine, theirs) {
            let what = format!("both call it agreed: {mine:?} and {theirs:?}");
            return Err(Violation { invariant: "I8 convergence", time, what });
        }
        Ok(())
    }

    /// A node entered Normal: from here on the partner, were it alone, would wait for every lease here, those
    /// granted in PartnerDown included (H-9). What no client believes in any more needs no wait: a client that
    /// gave up an address at the partner may have a shorter lease there than is remembered here.
    pub(crate) fn in_normal(&self, time: u64, nodes: &[Node; 2], node: usize) -> Result<(), Violation> {
        let (mine, partner) = (&nodes[node], &nodes[1 - node]);
        let counts = partner.dhcpd.is_none() && !partner.amnesic && !self.reckless;
        let Some(server) = mine.server.as_ref().filter(|_| counts) else { return Ok(()) };
        let now = mine.now(time).wall;
        let slack = server.max_lead().for_waits().get()
            + 2
            + self.blur()
            + u32::try_from(self.tolerance / 1000).unwrap_or(0);
        for lease in mine.durable.values().filter(|lease| lease.status == Status::Active) {
            let known = partner
                .durable
                .get(&lease.address)
                .map_or(UnixTime::ZERO, |theirs| theirs.latest_promise().max(theirs.received_potential));
            let known = self.by_clock_of(mine, partner, known);
            let believed = self.holders.get(&lease.address).and_then(|holders| holders.values().max());
            let left = believed.map_or(0, |end| end.saturating_sub(time).div_ceil(1000));
            let free_there = partner
                .durable
                .get(&lease.address)
                .is_some_and(|theirs| is_own(theirs, partner.role) && !theirs.flags.reserved);
            if free_there && left > 0 && !self.refused[1 - node].contains(&lease.address) {
                let what = format!(
                    "the {} enters Normal with {} leased, which its partner may give to anybody",
                    mine.role, lease.address
                );
                return Err(Violation { invariant: "I3 ownership", time, what });
            }
            let believed = now + Seconds(u32::try_from(left).unwrap_or(u32::MAX));
            if lease.held_until.min(believed) > known.max(now) + Seconds(slack) {
                if self.refused[1 - node].contains(&lease.address) {
                    continue;
                }
                let what = format!(
                    "the {} enters Normal with {} held until {}, of which its partner knows until {known}",
                    mine.role, lease.address, lease.held_until
                );
                return Err(Violation { invariant: "I2 lead", time, what });
            }
        }
        Ok(())
    }

    /// A node has this state on its disk.
    pub(crate) fn state_on_disk(&mut self, node: usize, state: State) {
        self.announced[node].insert(state);
    }

    /// A node's process ended: what it announces next must be on its disk anew.
    pub(crate) fn ended(&mut self, node: usize) {
        self.announced[node].clear();
    }

    /// A message leaves a node.
    pub(crate) fn leaves(
        &mut self,
        time: u64,
        nodes: &[Node; 2],
        node: usize,
        conn: u64,
        frame: &Frame,
    ) -> Result<(), Violation> {
        let sender = &nodes[node];
        match &frame.message {
            // To a dhcpd, what follows Recover is said behind it.
            Message::State(message)
                if message.state == State::Recover
                    && nodes[1 - node].dhcpd.is_some()
                    && matches!(sender.state_on_disk, State::RecoverWait | State::RecoverDone) => {}
            Message::State(message) if !self.announced[node].contains(&message.state) => {
                let what = format!("the {} announces {} before it is on disk", sender.role, message.state);
                return Err(Violation { invariant: "I4 durable", time, what });
            }
            Message::ConnectAck(ack) if ack.reject.is_none() => {
                let configured = sender.server.as_ref().map(|server| server.max_lead().configured);
                if configured != sender.lead.map(|lead| lead.configured) {
                    let what = format!("the {} takes an MCLT that is not on its disk", sender.role);
                    return Err(Violation { invariant: "I4 durable", time, what });
                }
            }
            Message::BndUpd(updates) => {
                for update in updates.iter().filter(|update| update.status == Some(Status::Active)) {
                    let (Some(address), Some(potential)) = (update.address, update.potential_expiry) else {
                        continue;
                    };
                    self.told[1 - node].insert((conn, frame.xid), (address, potential));
                    let durable = sender.durable.get(&address).map_or(0, |lease| lease.sent_potential.get());
                    if durable < potential {
                        let what = format!("the {} tells of {address} more than its disk holds", sender.role);
                        return Err(Violation { invariant: "I4 durable", time, what });
                    }
                }
            }
            Message::BndAck(acks) => {
                for ack in acks {
                    match ack.reject.as_ref().map(|reject| reject.reason) {
                        Some(RejectReason::IllegalIpAddress) => self.refused[node].insert(ack.address),
                        Some(_) => false,
                        None => self.refused[node].remove(&ack.address),
                    };
                }
                let Some((address, potential)) = self.told[node].remove(&(conn, frame.xid)) else {
                    return Ok(());
                };
                let accepted = acks.first().is_some_and(|ack| ack.reject.is_none());
                let durable = sender.durable.get(&address);
                // What a clock says that is known to be ahead is corrected.
                let slack = if self.reckless { (self.tolerance / 1000) as u32 } else { self.blur() };
                let potential =
                    self.by_clock_of(sender, &nodes[1 - node], UnixTime::new(u64::from(potential))).get();
                let kept = durable.is_some_and(|lease| {
                    lease.status != Status::Active
                        || lease.received_potential_max.get() >= potential.saturating_sub(slack)
                });
                if accepted && !kept {
                    let what = format!("the {} accepts {address} before it is on disk", sender.role);
                    return Err(Violation { invariant: "I4 durable", time, what });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Until when a hold of §8 keeps a lease from ending on one side: no convergence is due before.
    pub(crate) fn held_until(nodes: &[Node; 2]) -> UnixTime {
        let leases =
            nodes.iter().filter_map(|node| node.server.as_ref()).flat_map(|server| server.table().iter());
        leases.map(|lease| lease.hold_until).filter(|until| !until.is_infinite()).max().unwrap_or_default()
    }
}

/// Whether an address is of one of these pools.
pub(crate) fn is_in(pools: &[(Ipv4Addr, Ipv4Addr)], address: Ipv4Addr) -> bool {
    pools.iter().any(|(first, last)| (*first..=*last).contains(&address))
}
