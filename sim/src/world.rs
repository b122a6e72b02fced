//! The world of a seed: time, events, and what connects servers, clients and checkers.

mod alone;
mod dhcpd;
mod event;
mod faults;
#[cfg(test)]
mod holes;
mod operator;
mod process;
mod reckless;
mod rest;
mod service;
mod spite;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use api::identity::State;
use leases::log::testing::Generator;
use server::{Command, CommandId, LinkEvent, RxMeta};

use crate::assumption::Assumption;
use crate::check::{Checker, Violation, is_in};
use crate::client::{self, Client, Sent, To};
use crate::history::History;
use crate::hole::Hole;
use crate::network::Network;
use crate::node::{BASE, NoStart, Node};
use crate::plan::Plan;
use crate::world::event::What;
use crate::world::operator::Operator;

/// What a seed came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Events played.
    pub events: u64,
    /// Hash of the history.
    pub hash: u64,
    /// ACKs that left a server.
    pub acks: u64,
    /// Requests for another state that were granted, and refused.
    pub requests: [u64; 2],
    /// State changes by state.
    pub states: BTreeMap<State, u64>,
    /// What was broken after the assumption was, on which it rests.
    pub excused: Option<(Assumption, Violation)>,
    /// What was broken where a dhcpd had done what it is known to do wrong.
    pub holes: BTreeMap<(Hole, &'static str), u64>,
    /// Milliseconds of virtual time.
    pub time: u64,
}

/// The world of a seed.
pub struct World {
    plan: Plan,
    time: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), What>,
    nodes: [Node; 2],
    clients: Vec<Client>,
    turns: Vec<u64>,
    /// When each client sent what, by number.
    sent: Vec<BTreeMap<u32, u64>>,
    network: Network,
    draw: Generator,
    checker: Checker,
    history: History,
    events: u64,
    acks: u64,
    states: BTreeMap<State, u64>,
    /// How many faults were drawn so far.
    faults: u64,
    /// Assumptions that this seed broke so far.
    breached: BTreeSet<Assumption>,
    calm: bool,
    /// The newest version of the configuration.
    version: u64,
    operator: Operator,
}

/// Of so many seeds one is played to the rest of its pools, and another until one server was long alone.
const RESTED: u64 = 8;
/// Time that a healed pair has to come to rest, beside MCLT and lease length, in milliseconds.
const REST: u64 = 300_000;
/// Events that a seed may have at the most: more means that something spins.
const EVENTS_MAX: u64 = 20_000_000;

impl World {
    /// Sets the world up; `print` prints its history.
    #[must_use]
    pub fn new(plan: Plan, print: bool) -> Self {
        let clients: Vec<Client> = (0..plan.clients).map(|index| Client::new(index, &plan)).collect();
        let count = clients.len();
        let checker = Checker::new(&plan);
        Self {
            time: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            nodes: [Node::new(0, &plan), Node::new(1, &plan)],
            clients,
            turns: vec![0; count],
            sent: vec![BTreeMap::new(); count],
            network: Network::default(),
            draw: Generator::new(plan.seed ^ 0x5eed),
            checker,
            history: History::new(print),
            events: 0,
            acks: 0,
            states: BTreeMap::new(),
            faults: 0,
            breached: BTreeSet::new(),
            calm: false,
            version: 0,
            operator: Operator::default(),
            plan,
        }
    }

    /// Plays the seed to its end.
    pub fn run(mut self) -> Result<Outcome, Violation> {
        let excused = match self.play_whole() {
            Ok(()) => None,
            Err(violation) => {
                let breached = self.breached.iter().find(|breached| breached.excuses(&violation));
                Some((*breached.ok_or_else(|| violation.clone())?, violation))
            }
        };
        Ok(Outcome {
            events: self.events,
            hash: self.history.hash() ^ self.history.lines(),
            acks: self.acks,
            requests: self.operator.decided,
            states: self.states,
            excused,
            holes: self.checker.excused,
            time: self.time,
        })
    }

    fn play_whole(&mut self) -> Result<(), Violation> {
        self.begin()?;
        let length = self.plan.length;
        self.play(length)?;
        self.heal()?;
        let calm_from = self.time + 30_000;
        self.play(calm_from)?;
        self.calm = true;
        self.settle()?;
        // A reckless operator takes addresses away from clients that hold them, and shares as it likes.
        if self.plan.reckless > 0 || self.plan.dhcpd.is_some() {
            return Ok(());
        }
        self.serves()?;
        // It takes longer than all the rest.
        match self.plan.seed % RESTED {
            0 => self.rest(),
            4 => self.alone(),
            _ => Ok(()),
        }
    }

    /// Plays until both servers agree about everything; they have a bounded time for it (I8).
    fn settle(&mut self) -> Result<(), Violation> {
        let (lease, mclt) = self.plan.longest(self.version);
        let wait = mclt * 3000 + lease * 1000 + REST;
        let deadline = self.time + wait;
        let pools = self.pools();
        loop {
            let next = self.time + 1_000;
            self.reconcile()?;
            self.play(next)?;
            let difference = match self.plan.dhcpd {
                None => self.checker.still_differs(&self.nodes, &pools),
                Some(_) => self.checker.difference_from_dhcpd(&self.nodes),
            };
            let Some(difference) = difference.or_else(|| self.wrongly_reserved()) else { return Ok(()) };
            let held = u64::from(Checker::held_until(&self.nodes).get()).saturating_sub(BASE) * 1000;
            if self.time > deadline.max(held + 30_000) {
                return Err(Violation { invariant: "I8 convergence", time: self.time, what: difference });
            }
        }
    }

    /// An address that a server of ours takes for reserved and is not, or the other way round.
    fn wrongly_reserved(&self) -> Option<String> {
        let (_, config) = self.plan.pair(self.version);
        let reserved: BTreeSet<_> =
            config.subnets.iter().flat_map(|subnet| subnet.reservations.keys()).collect();
        let pools = self.pools();
        let servers = self.nodes.iter().filter_map(|node| node.server.as_ref());
        let leases = servers.flat_map(|server| server.table().iter());
        let wrong = leases
            .filter(|lease| is_in(&pools, lease.address))
            .find(|lease| lease.flags.reserved != reserved.contains(&lease.address))?;
        Some(format!("{wrong:?} is taken for what it is not"))
    }

    /// The pools of the newest configuration.
    fn pools(&self) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let (_, config) = self.plan.pair(self.version);
        let pools = config.subnets.iter().flat_map(|subnet| &subnet.pools);
        pools.map(|pool| (pool.first, pool.last)).collect()
    }

    /// Starts everybody, and plans the faults.
    fn begin(&mut self) -> Result<(), Violation> {
        for node in 0..2 {
            let at = self.plan.begin[node];
            if at == 0 {
                self.start(node, Some(0))?;
            } else {
                self.at(at, What::Start { node });
            }
        }
        for client in 0..self.clients.len() {
            let at = self.draw.below(60_000);
            self.wake_at(client, at);
        }
        self.schedule_faults();
        Ok(())
    }

    fn play(&mut self, until: u64) -> Result<(), Violation> {
        while let Some((&(at, _), _)) = self.queue.first_key_value() {
            if at > until {
                break;
            }
            let Some((_, what)) = self.queue.pop_first() else { break };
            self.time = at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                return Err(self.violation("I8 convergence", "the world never comes to rest".to_owned()));
            }
            self.happen(what)?;
        }
        self.time = until;
        Ok(())
    }

    fn happen(&mut self, what: What) -> Result<(), Violation> {
        if let Some(node) = what.process()
            && self.nodes[node].frozen_until > self.time
        {
            let thaw = self.nodes[node].frozen_until;
            if matches!(what, What::Tick { .. }) {
                self.nodes[node].tick_at = Some(thaw);
            }
            self.at(thaw, what);
            return Ok(());
        }
        match what {
            What::Tick { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].tick_at == Some(self.time) {
                    self.nodes[node].tick_at = None;
                    self.with_server(node, |server, now| server.tick(now))?;
                    self.with_dhcpd(node, |dhcpd, now| dhcpd.tick(now))?;
                }
            }
            What::Committed { node, life } => self.committed(node, life)?,
            What::Packet { node, client, bytes, destination, source } => {
                self.history.note(
                    self.time,
                    self.nodes[node].role.as_str(),
                    format_args!("hears client {client}"),
                );
                // Of two clients with one name, one may renew while the release of the other is on its way.
                if self.clients[client].is_twin
                    && let Some(address) = address_given_up(&bytes)
                {
                    self.checker.given_up(self.time, address, self.clients[client].identity);
                }
                let meta = RxMeta { source, destination };
                self.with_server(node, |server, now| server.packet(now, &meta, &bytes))?;
                self.with_dhcpd(node, |dhcpd, now| dhcpd.packet(now, &bytes))?;
            }
            What::Reply { client, bytes } => {
                self.answered(client, &bytes);
                self.checker.used_once(self.time, &self.clients, client)?;
            }
            What::Bytes { conn, to } => {
                while let Some(bytes) = self.network.arrive(conn, to, self.time) {
                    self.with_server(to, |server, now| server.link(now, conn, LinkEvent::Bytes(&bytes)))?;
                    self.with_dhcpd(to, |dhcpd, now| dhcpd.bytes(now, conn, &bytes))?;
                }
            }
            What::Down { conn, node } => {
                let open = self
                    .network
                    .connections
                    .get_mut(&conn)
                    .is_some_and(|connection| std::mem::replace(&mut connection.open[node], false));
                self.network.sweep();
                if open {
                    self.history.note(
                        self.time,
                        self.nodes[node].role.as_str(),
                        format_args!("loses {conn:?}"),
                    );
                    self.with_server(node, |server, now| server.link(now, conn, LinkEvent::Down))?;
                    self.with_dhcpd(node, |dhcpd, now| dhcpd.down(now, conn))?;
                }
            }
            What::Dial { node, life } => self.dial(node, life)?,
            What::Wake { client, turn } => {
                if self.turns[client] == turn && !self.calm {
                    let (sent, next) = self.clients[client].wake(self.time, &mut self.draw);
                    if let Some(sent) = sent {
                        self.transmit(client, sent);
                    }
                    self.wake_at(client, next);
                }
            }
            What::PowerCut { node } => self.stop(node, true),
            What::Kill { node } => self.stop(node, false),
            What::Pause { node } => {
                self.history.note(
                    self.time,
                    self.nodes[node].role.as_str(),
                    format_args!("is asked to pause"),
                );
                self.with_server(node, |server, now| server.command(now, CommandId(1), Command::Pause))?;
            }
            What::VolumeLoss { node } => {
                let other = &self.nodes[1 - node];
                // Both stores lost is another fault.
                if self.may_lose(node) && (other.runs() || self.plan.rough) {
                    self.history.note(
                        self.time,
                        self.nodes[node].role.as_str(),
                        format_args!("loses its volume"),
                    );
                    self.stop(node, true);
                    self.lose_volume(node);
                }
            }
            What::BackUp { node } => {
                self.note(node, "is copied");
                self.nodes[node].back_up();
            }
            What::Restore { node } => self.restore(node),
            What::Up { conn, node } => {
                if self.network.open_at(node).contains(&conn) {
                    self.with_server(node, |server, now| server.link(now, conn, LinkEvent::Up))?;
                    self.with_dhcpd(node, |dhcpd, now| dhcpd.up(now, conn))?;
                }
            }
            What::Configure { node, version } => self.configure(node, version)?,
            What::Exit { node, life } => {
                if self.nodes[node].life == life {
                    self.stop(node, false);
                }
            }
            What::DoubleLoss if self.nodes.iter().all(|node| node.life > 0) => self.lose_both(),
            What::DoubleLoss => {}
            What::Rot { node } => self.rot(node),
            What::Reset { node } => self.reset(node)?,
            What::DiskFailure { node } => {
                let write = self.draw.coin();
                self.nodes[node].fail(write);
            }
            What::DiskFull { node } => {
                let room = self.draw.below(4_000);
                self.note(node, "has a disk that fills up");
                self.nodes[node].fill(Some(room));
                let freed = self.time + 1_000 + self.draw.below(120_000);
                self.at(freed, What::DiskFreed { node });
            }
            What::DiskFreed { node } => {
                self.note(node, "has room on its disk again");
                self.nodes[node].fill(None);
            }
            What::Freeze { node } => {
                // One that stands still does not stop again, or what waits already would wait for another moment.
                if self.nodes[node].server.is_some() && self.nodes[node].frozen_until <= self.time {
                    self.note(node, "stands still");
                    self.nodes[node].frozen_until = self.time + 500 + self.draw.below(20_000);
                }
            }
            What::ClockStep { node } => {
                let bound = self.plan.clock_bound;
                let step = self.draw.below(2 * bound + 1);
                self.nodes[node].skew = i64::try_from(step).unwrap_or(0) - bound as i64;
                self.nodes[node].clock_set_at = self.time;
                self.note(node, "has its clock set");
                if self.plan.wild_clocks {
                    self.breached.insert(Assumption::Clocks);
                }
            }
            // Servers that lost everything know of no longer leases than their first configuration after that allows.
            What::Change
                if self.nodes.iter().all(|node| node.amnesic)
                    && self.nodes.iter().any(|node| node.server.is_none()) => {}
            What::Change => {
                self.version += 1;
                self.history.note(self.time, "operator", format_args!("configures version {}", self.version));
                for node in 0..2 {
                    let at = self.time + self.draw.below(60_000);
                    self.at(at, What::Configure { node, version: self.version });
                }
            }
            What::Operate if self.plan.dhcpd.is_some() => self.operate_beside_dhcpd()?,
            What::Operate => self.operate(),
            What::Dare => self.dare(),
            What::Order { node, order } => self.carry_out_order(node, order)?,
            What::Start { node } => {
                if !self.nodes[node].runs() {
                    let first = self.nodes[node].life == 0;
                    let token = first || self.plan.token_stays && self.nodes[node].has_first_volume();
                    let volume = self.nodes[node].volume();
                    self.start(node, token.then_some(volume))?;
                }
            }
            What::Stall { node } => {
                self.nodes[node].stalled_until = self.time + 1000 + self.draw.below(15_000);
                self.history.note(
                    self.time,
                    self.nodes[node].role.as_str(),
                    format_args!("has a stalled disk"),
                );
            }
            What::LinkCut => {
                self.history.note(self.time, "network", format_args!("cuts all connections"));
                self.close_all();
            }
            What::Partition => {
                self.history.note(self.time, "network", format_args!("partitions the servers"));
                let one_way = self.plan.one_way && self.draw.coin();
                self.network.blocked = [true, true];
                if one_way {
                    self.network.blocked[usize::from(self.draw.coin())] = false;
                }
            }
            What::Heal => {
                self.history.note(self.time, "network", format_args!("heals"));
                self.network.blocked = [false, false];
                self.redeliver();
            }
        }
        Ok(())
    }

    /// Starts a process; `token` is the volume that a bootstrap token calls new.
    fn start(&mut self, node: usize, token: Option<u32>) -> Result<(), Violation> {
        let time = self.time;
        if self.is_kept_from_starting(node) {
            self.at(time + 5_000, What::Start { node });
            return Ok(());
        }
        if self.nodes[node].dhcpd.is_some() {
            return self.start_dhcpd(node);
        }
        if self.draw_if_changing() {
            self.nodes[node].version = self.version;
        }
        self.note(node, "starts");
        let fence = self.operator.fence(node);
        match self.nodes[node].start(time, &self.plan, token, fence) {
            Ok(()) => self.with_server(node, |server, now| server.tick(now)),
            Err(NoStart::Disk(why)) => {
                self.note(node, &format!("does not start: {why}"));
                let at = self.time + 5_000;
                self.at(at, What::Start { node });
                Ok(())
            }
            Err(NoStart::Corrupt(why)) => {
                // Somebody puts a new volume in its place.
                self.note(node, &format!("refuses to start: {why}"));
                self.lose_volume(node);
                let at = self.time + 1_000 + self.draw.below(60_000);
                self.at(at, What::Start { node });
                Ok(())
            }
            Err(NoStart::Broken(what)) => Err(Violation { invariant: "A2 storage", time, what }),
        }
    }

    fn note(&mut self, node: usize, what: &str) {
        self.history.note(self.time, self.nodes[node].role.as_str(), format_args!("{what}"));
    }

    fn dial(&mut self, node: usize, life: u64) -> Result<(), Violation> {
        if self.nodes[node].life != life {
            return Ok(());
        }
        if !self.network.is_whole() || !self.nodes[1 - node].runs() {
            self.with_dhcpd(node, |dhcpd, now| dhcpd.dial_failed(now))?;
            return self.with_server(node, |server, now| server.dial_failed(now, "unreachable".to_owned()));
        }
        let conn = self.network.open();
        self.history.note(self.time, self.nodes[node].role.as_str(), format_args!("connects: {conn:?}"));
        self.with_server(node, |server, now| server.link(now, conn, LinkEvent::Up))?;
        self.with_dhcpd(node, |dhcpd, now| dhcpd.up(now, conn))?;
        self.happen(What::Up { conn, node: 1 - node })
    }

    /// An answer reaches a client.
    fn answered(&mut self, client: usize, bytes: &[u8]) {
        let Some((answer, _)) = client::read(bytes) else { return };
        let requested_at = self.sent[client].get(&answer.xid).copied().unwrap_or(self.time);
        if let Some((sent, next)) = self.clients[client].receive(self.time, &answer, requested_at) {
            if let Some(sent) = sent {
                self.transmit(client, sent);
            }
            self.wake_at(client, next);
        }
    }

    fn transmit(&mut self, client: usize, sent: Sent) {
        self.history.note(self.time, "client", format_args!("{client} sends {} #{}", sent.kind, sent.xid));
        self.sent[client].insert(sent.xid, self.time);
        while self.sent[client].len() > 64 {
            self.sent[client].pop_first();
        }
        if let Some(address) = address_given_up(&sent.bytes) {
            self.checker.given_up(self.time, address, self.clients[client].identity);
        }
        let relayed = sent.bytes.get(24..28).is_some_and(|giaddr| giaddr != [0; 4]);
        for node in 0..2 {
            let address = self.nodes[node].address;
            let destination = match sent.to {
                To::Everybody if relayed => address,
                To::Everybody => Ipv4Addr::BROADCAST,
                To::Server(server) if server == address => address,
                To::Server(_) => continue,
            };
            let source = if relayed { Ipv4Addr::new(10, 1, 0, 1) } else { Ipv4Addr::UNSPECIFIED };
            let bytes = sent.bytes.clone();
            self.deliver(|_| What::Packet { node, client, bytes: bytes.clone(), destination, source });
        }
    }

    /// Puts a client packet on its way, which may lose or double it.
    fn deliver(&mut self, what: impl Fn(()) -> What) {
        let copies = if self.draw.below(1000) < self.plan.loss {
            0
        } else if self.draw.below(1000) < self.plan.duplicates {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let at = self.time + 1 + self.draw.below(self.plan.delay);
            self.at(at, what(()));
        }
    }

    fn schedule_tick(&mut self, node: usize) {
        let base = 1_000_000 * (node as u64 + 1);
        let Some(deadline) = self.nodes[node].server.as_ref().and_then(server::Server::next_deadline) else {
            return;
        };
        let at = deadline.0.saturating_sub(base).max(self.time + 1);
        if self.nodes[node].tick_at.is_none_or(|planned| at < planned) {
            self.nodes[node].tick_at = Some(at);
            let life = self.nodes[node].life;
            self.at(at, What::Tick { node, life });
        }
    }

    fn wake_at(&mut self, client: usize, at: u64) {
        self.turns[client] += 1;
        let turn = self.turns[client];
        self.at(at.max(self.time + 1), What::Wake { client, turn });
    }

    fn at(&mut self, at: u64, what: What) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), what);
    }

    fn violation(&self, invariant: &'static str, what: String) -> Violation {
        Violation { invariant, time: self.time, what }
    }
}

/// The address of a RELEASE (ciaddr) or DECLINE (option 50); `None` for any other message.
fn address_given_up(bytes: &[u8]) -> Option<Ipv4Addr> {
    // Clients say their message's type first.
    if !matches!(bytes.get(240..243), Some([53, 1, 4 | 7])) {
        return None;
    }
    let octets =
        |at: usize| bytes.get(at..at + 4).map(|four| Ipv4Addr::new(four[0], four[1], four[2], four[3]));
    let ciaddr = octets(12)?;
    if !ciaddr.is_unspecified() {
        return Some(ciaddr);
    }
    let at = bytes.windows(2).skip(240).position(|pair| pair == [50, 4])?;
    octets(240 + at + 2)
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("plan", &self.plan).field("time", &self.time).finish_non_exhaustive()
    }
}
