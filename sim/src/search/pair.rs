//! Two whole servers, their disks, the link and two clients as one value that can be copied.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use api::config::PairConfig;
use api::force::{Evidence, Fence, ForceRequest, ForceState, ForcedState};
use api::identity::{State, StoreStamp};
use api::pair::PairManifest;
use leases::lease::Lease;
use leases::log::{Batch, Entry};
use server::{Caller, Command, CommandId, ConnId, LinkEvent, RxMeta};

use super::event::Event;
use super::packet::{DISCOVER, RELEASE, REQUEST, Said, packet};
use crate::check::{Checker, Violation};
use crate::client::{Answer, Client, OFFER};
use crate::node::{NoStart, Node};
use crate::plan::Plan;

/// A step of time: a little more than a quarter of a lease and half of the MCLT, so that what lasts a whole
/// number of steps is over after them.
pub(super) const STEP_MILLIS: u64 = 31_000;
const LEASE_SECONDS: u32 = 120;
const MCLT_SECONDS: u32 = 60;
/// The shortest lease that a server grants by request.
const SHORT_SECONDS: u32 = 60;
/// Far from zero, so that a time can be told from any other number by its size.
pub(super) const BEGIN_MILLIS: u64 = 100_000_000_000;
/// Messages under way in one direction, beyond which a server's stay in its own queue.
const UNDER_WAY_MAX: usize = 2;

/// What never changes.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) manifest: PairManifest,
    pub(super) config: PairConfig,
    /// The whole pool.
    pub(super) addresses: [Ipv4Addr; 2],
    pub(super) clients: [Client; 2],
}

impl Setting {
    pub(super) fn new() -> Self {
        let addresses = [10, 11].map(|last| Ipv4Addr::new(10, 0, 0, last));
        let manifest = serde_json::json!({
            "apiVersion": "dhcpfailover.io/v1alpha1",
            "kind": "DhcpFailoverPair",
            "metadata": { "name": "sim", "namespace": "sim" },
            "spec": {
                "mcltSeconds": MCLT_SECONDS,
                "backupPct": 50,
                "loadBalancing": { "split": 128 },
                "link": { "pollIntervalSeconds": 15, "pollTimeoutSeconds": 45 },
                "primary": { "pod": { "interface": "eth0", "address": "10.0.0.1" } },
                "secondary": { "pod": { "interface": "eth0", "address": "10.0.0.2" } },
                "subnets": [{
                    "cidr": "10.0.0.0/24",
                    "pools": [{ "first": addresses[0], "last": addresses[1] }],
                    "leaseSeconds": LEASE_SECONDS,
                }],
            },
        });
        let manifest: PairManifest = serde_json::from_value(manifest).expect("the manifest parses");
        let config = PairConfig::new(&manifest).expect("the manifest is valid");
        // Neither sends an identifier or sits behind a relay.
        let clients = [1, 2].map(|index| Client::new(index, &Plan::basic(1)));
        Self { manifest, config, addresses, clients }
    }

    /// First and last address.
    pub(super) fn pool(&self) -> (Ipv4Addr, Ipv4Addr) {
        let [one, other] = self.addresses;
        (one.min(other), one.max(other))
    }
}

/// How much more may happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Left {
    /// Cuts, crashes, lost stores, disks that stand still.
    pub(super) faults: u8,
    /// Orders of an operator.
    pub(super) commands: u8,
}

/// A lease as its client has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) address: Ipv4Addr,
    pub(super) server: usize,
    /// Milliseconds.
    pub(super) end: u64,
}

/// The connection between the servers.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) conn: ConnId,
    /// Whole messages on their way to each server.
    pub(super) to: [VecDeque<Vec<u8>>; 2],
    /// Whether each server believes in it.
    pub(super) open: [bool; 2],
    /// Nothing gets through any more.
    pub(super) dead: bool,
}

impl Link {
    /// Whether a server's own queue must wait.
    pub(super) fn is_full(&self, to: usize) -> bool {
        !self.dead && self.to[to].len() >= UNDER_WAY_MAX
    }
}

/// What is on a disk: of each record the newest.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) entries: BTreeMap<(u8, u32), Arc<Entry>>,
    pub(super) stamp: StoreStamp,
}

impl Disk {
    pub(super) fn write(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            let number = if entry.kind == Entry::LEASE {
                Lease::decode(&entry.body).map_or(0, |lease| lease.address.to_bits())
            } else {
                entry.body.first().copied().map_or(0, u32::from)
            };
            self.entries.insert((entry.kind, number), Arc::new(entry.clone()));
        }
        self.stamp = StoreStamp { epoch: batch.epoch, lsn: batch.last };
    }
}

/// The whole.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) setting: Arc<Setting>,
    pub(super) time: u64,
    pub(super) nodes: [Node; 2],
    pub(super) disks: [Disk; 2],
    /// Disks that commit nothing.
    pub(super) hung: [bool; 2],
    pub(super) held: [Option<Held>; 2],
    pub(super) link: Option<Link>,
    connections: u64,
    /// The fence that each server finds at its next start.
    pub(super) fences: [Option<Fence>; 2],
    pub(super) checker: Checker,
    requests: u64,
    pub(super) left: Left,
    /// What clients were answered by the present event.
    pub(super) answers: Vec<(usize, Answer)>,
    /// What happened, for people.
    pub(super) story: Option<Vec<String>>,
}

impl Pair {
    /// Two machines on which nothing runs yet.
    pub(super) fn new(setting: Arc<Setting>) -> Self {
        Self::at(BEGIN_MILLIS, setting)
    }

    /// The same at another time.
    pub(super) fn at(time: u64, setting: Arc<Setting>) -> Self {
        let plan = Plan { skew: 0, ..Plan::basic(1) };
        Self {
            setting,
            time,
            nodes: [0, 1].map(|index| Node::new(index, &plan)),
            disks: Default::default(),
            hung: [false; 2],
            held: [None; 2],
            link: None,
            connections: 0,
            fences: [None; 2],
            checker: Checker::default(),
            requests: 0,
            left: Left { faults: 0, commands: 0 },
            answers: Vec::new(),
            story: None,
        }
    }

    /// The lease of a client, while it lasts.
    pub(super) fn holds(&self, client: usize) -> Option<Held> {
        self.held[client].filter(|held| held.end > self.time)
    }

    /// Whether a server may lose what it has: the other must have all the pair's data (A7).
    pub(super) fn may_lose_store(&self, node: usize) -> bool {
        let [mine, other] = [&self.nodes[node], &self.nodes[1 - node]];
        let knows = other.server.as_ref().is_some_and(|server| server.endpoint().lacks_partner_down());
        !other.amnesic && other.synced && !mine.amnesic && (!mine.alone || knows)
    }

    /// Whether an operator may find that the other server cannot serve: it does not run, or both are apart.
    pub(super) fn may_be_let_go(&self, node: usize) -> bool {
        let silent = |node: usize| {
            self.nodes[node].server.as_ref().is_none_or(|server| server.endpoint().heard().is_none())
        };
        silent(node) && silent(1 - node) && !self.hung[1 - node]
    }

    /// Lets something happen.
    pub(super) fn apply(&mut self, event: Event) -> Result<(), Violation> {
        self.answers.clear();
        if matches!(
            event,
            Event::Cut { .. } | Event::Crash { .. } | Event::LoseStore { .. } | Event::Hang { .. }
        ) {
            self.left.faults = self.left.faults.saturating_sub(1);
        }
        match event {
            Event::Ask { client, server, address } => self.ask(client, server, address),
            Event::Renew { client, server, short } => self.renew(client, server, short),
            Event::Release { client } => self.release(client),
            Event::Deliver { to } => self.deliver(to),
            Event::Settle => self.settle(),
            Event::Connect => self.connect(),
            Event::Cut { noticed_by } => self.cut(noticed_by),
            Event::Lose { node } => self.lose_link(node),
            Event::Crash { node } => {
                self.stop(node);
                self.lose_link(1 - node)
            }
            Event::Start { node } => self.start(node, None),
            Event::LoseStore { node } => {
                self.nodes[node].lose_volume();
                self.disks[node] = Disk::default();
                Ok(())
            }
            Event::Hang { node } => {
                self.hung[node] = true;
                Ok(())
            }
            Event::Sync { node } => {
                self.hung[node] = false;
                self.pump(node)
            }
            Event::PartnerDown { node } => self.let_go(node),
            Event::Pause { node } => self.command(node, Command::Pause),
            Event::Shutdown { node } => self.force(node, ForcedState::Shutdown, None),
            Event::Wait => self.wait(),
        }
    }

    /// Starts a process; `token` says that its volume is new.
    pub(super) fn start(&mut self, node: usize, token: Option<u32>) -> Result<(), Violation> {
        let entries: Vec<Entry> = self.disks[node].entries.values().map(|entry| (**entry).clone()).collect();
        let pair = (self.setting.manifest.clone(), self.setting.config.clone());
        let loaded = self.disks[node].stamp;
        match self.nodes[node].boot(self.time, pair, token, self.fences[node], loaded, &entries) {
            Ok(()) => self.call(node, |server, now| server.tick(now)),
            Err(NoStart::Broken(what) | NoStart::Corrupt(what) | NoStart::Disk(what)) => {
                Err(self.violation("A2 storage", what))
            }
        }
    }

    /// The process ends, with what is not on its disk.
    pub(super) fn stop(&mut self, node: usize) {
        self.checker.ended(node);
        self.nodes[node].stop(None);
        self.nodes[node].waiting.clear();
        self.hung[node] = false;
        if let Some(link) = &mut self.link {
            link.open[node] = false;
            link.to[node].clear();
        }
        self.forget_closed_link();
    }

    /// The servers connect; their handshake is complete then, unless one refuses.
    pub(super) fn connect(&mut self) -> Result<(), Violation> {
        self.connections += 1;
        let conn = ConnId(self.connections);
        self.link = Some(Link { conn, to: Default::default(), open: [true, true], dead: false });
        for node in 0..2 {
            if self.link.as_ref().is_some_and(|link| link.open[node]) {
                self.call(node, |server, now| server.link(now, conn, LinkEvent::Up))?;
            }
        }
        for to in [1, 0] {
            if self.next_is_handshake(to) {
                self.deliver(to)?;
            }
        }
        Ok(())
    }

    /// A server notices that its connection is gone.
    pub(super) fn lose_link(&mut self, node: usize) -> Result<(), Violation> {
        let Some(link) = self.link.as_mut().filter(|link| link.open[node]) else { return Ok(()) };
        let conn = link.conn;
        link.open[node] = false;
        link.to[node].clear();
        self.forget_closed_link();
        self.call(node, |server, now| server.link(now, conn, LinkEvent::Down))
    }

    /// An order that an operator gives.
    pub(super) fn force(
        &mut self,
        node: usize,
        state: ForcedState,
        reason: Option<String>,
    ) -> Result<(), Violation> {
        let role = |node: usize| self.nodes[node].role;
        let expect = self.nodes[node].server.as_ref().map(|server| server.endpoint().record().stamp);
        let force = ForceState {
            request_id: format!("request-{}", self.requests),
            server: role(node),
            state,
            dead_server: (state == ForcedState::PartnerDown).then(|| role(1 - node)),
            down_since: None,
            recover_time: None,
            evidence: if reason.is_some() { Evidence::Attested } else { Evidence::Automatic },
            expert: false,
            hold: false,
            confirm: false,
            reason,
        };
        self.requests += 1;
        let request = Box::new(ForceRequest { force, expect });
        self.command(node, Command::Force(request, Caller::Operator))
    }

    pub(super) fn violation(&self, invariant: &'static str, what: String) -> Violation {
        Violation { invariant, time: self.time, what }
    }

    fn command(&mut self, node: usize, command: Command) -> Result<(), Violation> {
        self.left.commands = self.left.commands.saturating_sub(1);
        self.call(node, |server, now| server.command(now, CommandId(1), command))
    }

    /// The fence first, then the evidence, then the order (`spec/failover-protocol.md` §12.3).
    fn let_go(&mut self, node: usize) -> Result<(), Violation> {
        let dead = 1 - node;
        let now = self.nodes[node].now(self.time).wall;
        let Some(server) = &self.nodes[node].server else { return Ok(()) };
        let stamp = server.endpoint().record().stamp;
        let fence = Fence {
            partner_epoch: stamp.epoch,
            partner_transition: stamp.transition,
            since: now.timestamp().unwrap_or_default(),
            evidence: None,
        };
        if self.fences[dead].is_none_or(|held| held.stamp() < stamp) {
            self.fences[dead] = Some(fence);
        }
        let mut reason = None;
        if self.nodes[dead].server.is_some() {
            self.call(dead, |server, now| server.command(now, CommandId(1), Command::Fence(fence)))?;
            let fenced = |server: &server::Server| {
                server.endpoint().fence_in_force().is_some_and(|fence| fence.stamp() >= stamp)
            };
            if !self.nodes[dead].server.as_ref().is_some_and(fenced) {
                return Ok(());
            }
            reason = Some("it is cut off and fenced".to_owned());
        }
        self.force(node, ForcedState::PartnerDown, reason)
    }

    fn cut(&mut self, noticed_by: [bool; 2]) -> Result<(), Violation> {
        if let Some(link) = &mut self.link {
            link.dead = true;
            link.to = Default::default();
        }
        for (node, notices) in noticed_by.into_iter().enumerate() {
            if notices {
                self.lose_link(node)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, client: usize, server: usize, address: usize) -> Result<(), Violation> {
        let wants = Some(self.setting.addresses[address]);
        self.say(client, server, Said { kind: DISCOVER, wants, ..Said::default() })?;
        let offer = self.answers.iter().find(|(to, answer)| *to == client && answer.kind == OFFER);
        let Some((_, offer)) = offer else { return Ok(()) };
        let (wants, server_id) = (Some(offer.address), Some(offer.server));
        self.say(client, server, Said { kind: REQUEST, wants, server: server_id, ..Said::default() })
    }

    fn renew(&mut self, client: usize, server: usize, short: bool) -> Result<(), Violation> {
        let has = self.holds(client).map(|held| held.address);
        let lease = short.then_some(SHORT_SECONDS);
        self.say(client, server, Said { kind: REQUEST, has, lease, ..Said::default() })
    }

    fn release(&mut self, client: usize) -> Result<(), Violation> {
        let Some(held) = self.holds(client) else { return Ok(()) };
        // It may ask again in the same moment, and then believes in what it is told.
        let identity = self.setting.clients[client].identity;
        self.checker.given_up(self.time - 1, held.address, identity);
        self.held[client] = None;
        let server = Some(self.nodes[held.server].address);
        self.say(
            client,
            held.server,
            Said { kind: RELEASE, has: Some(held.address), server, ..Said::default() },
        )
    }

    fn say(&mut self, client: usize, server: usize, said: Said) -> Result<(), Violation> {
        let bytes = packet(&self.setting.clients[client], &said);
        let (source, destination) = match said {
            Said { kind: RELEASE, has: Some(has), .. } => (has, self.nodes[server].address),
            Said { has: Some(has), .. } => (has, Ipv4Addr::BROADCAST),
            _ => (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
        };
        let meta = RxMeta { source, destination };
        self.call(server, |server, now| server.packet(now, &meta, &bytes))
    }
}

/// What a state of the search says of itself.
impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            let now = node.now(self.time).wall;
            let state = node.server.as_ref().map_or("not running", |server| server.state().as_str());
            write!(f, "{}{} {state}", if index == 0 { "" } else { "; " }, node.role)?;
            let disk = node.server.is_none();
            for address in self.setting.addresses {
                let live = node.server.as_ref().and_then(|server| server.table().get(address));
                let Some(lease) = live.or_else(|| node.durable.get(&address).filter(|_| disk)) else {
                    continue;
                };
                let last = address.octets()[3];
                write!(f, ", .{last} {} {:?}", lease.status, lease.sync)?;
                if lease.client.is_some() {
                    let whose = if self.setting.clients[0].holds(lease) { "A" } else { "B" };
                    let left = i64::from(lease.held_until.get()) - i64::from(now.get());
                    write!(f, " {whose} {left:+} s")?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a server waits for somebody to let it go on.
pub(super) fn is_stopped(node: &Node) -> bool {
    node.server.as_ref().is_some_and(|server| {
        let record = server.endpoint().record();
        record.held || matches!(record.state, State::Paused | State::Shutdown)
    })
}
