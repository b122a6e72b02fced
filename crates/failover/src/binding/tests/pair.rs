//! Two servers of ours, one address, clients that come and go, a link that breaks and is noticed to be
//! broken at different times: at no time do two clients believe in the address (I1), no grant leads
//! beyond what the partner holds (I2), and with the link up both come to the same record (I8).

use std::collections::{BTreeMap, VecDeque};

use api::identity::{Role, State};
use api::time::{Seconds, UnixTime};
use leases::lease::{Lease, Status, Sync};
use proptest::prelude::*;

use super::{ADDRESS, ROLES, client, serving, side};
use crate::binding::{
    Dialect, Here, Judge, Serving, Side, Verdict, abandoned_timeout, acked, decline, expire, give, grant,
    judge, reclaim, rejected, release, update_for,
};
use crate::wire::{BindingUpdate, RejectReason};

const M: Seconds = Seconds(20);

enum Wire {
    Ack,
    Reject(RejectReason),
    Update(BindingUpdate),
}

struct Node {
    role: Role,
    lease: Lease,
    linked: bool,
    edges: u64,
    /// The update under way; void if it lost a duel.
    in_flight: VecDeque<(BindingUpdate, bool)>,
    inbox: VecDeque<Wire>,
}

/// What may happen next, at server 0 or 1.
#[derive(Clone, Copy, Debug)]
enum Step {
    Balance(usize),
    Cut(usize),
    Decline(usize, u8),
    Deliver(usize),
    Expire(usize),
    LinkUp,
    Pass(u32),
    Release(usize, u8),
    /// A client asks; the second flag is whether its ACK arrives.
    Request(usize, u8, u32, bool),
    Send(usize),
}

struct World {
    now: UnixTime,
    nodes: [Node; 2],
    /// Until when a client may believe in the address.
    ends: BTreeMap<u8, UnixTime>,
    trace: Vec<String>,
}

impl World {
    fn new() -> Self {
        let node = |role| Node {
            role,
            lease: Lease::new(ADDRESS),
            linked: true,
            edges: 1,
            in_flight: VecDeque::new(),
            inbox: VecDeque::new(),
        };
        Self { now: UnixTime::new(1000), nodes: ROLES.map(node), ends: BTreeMap::new(), trace: Vec::new() }
    }

    fn here(&self, at: usize) -> Here {
        let node = &self.nodes[at];
        let state = if node.linked { State::Normal } else { State::CommunicationsInterrupted };
        Here { now: self.now, role: node.role, state, guard: Seconds::ZERO, link_edges: node.edges }
    }

    fn serving(&self, at: usize) -> Serving {
        Serving { mclt: M, linked: self.nodes[at].linked, ..serving(self.here(at)) }
    }

    fn side(&self, at: usize) -> Side {
        Side { now: self.now, ..side(self.nodes[at].role, Dialect::Own) }
    }

    fn run(&mut self, step: Step) {
        let before = [self.nodes[0].lease.clone(), self.nodes[1].lease.clone()];
        self.step(step);
        let line = |lease: &Lease| {
            let client = lease.client.as_ref().map_or(0, |client| client.hardware.octets[5]);
            format!("{} {client} held {} {:?}", lease.status, lease.held_until.get(), lease.sync)
        };
        self.trace.push(format!(
            "{} {step:?}: {} | {}",
            self.now.get(),
            line(&self.nodes[0].lease),
            line(&self.nodes[1].lease)
        ));
        self.check(&before);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(seconds) => self.now = self.now + Seconds(seconds),
            Step::Request(at, number, desired, arrives) => {
                let ctx = self.serving(at);
                if let Ok(lease) = grant(&self.nodes[at].lease, &client(number), Seconds(desired), &ctx) {
                    self.assert_lead(at, &lease);
                    // The checker must count with an ACK that arrives after all.
                    let end = self.ends.entry(number).or_default();
                    *end = if arrives { lease.exp.max(*end) } else { *end };
                    self.nodes[at].lease = lease;
                }
            }
            Step::Release(at, number) => {
                // A contact in the same second at the other server keeps the lease on one side until it
                // ends, by T1 of §9: safe, but not what settles at once.
                self.now = self.now + Seconds(1);
                let ctx = self.serving(at);
                if self.ends.get(&number).is_some_and(|end| *end > self.now) {
                    self.ends.remove(&number);
                    if let Ok(lease) = release(&self.nodes[at].lease, &client(number), &ctx) {
                        self.nodes[at].lease = lease;
                    }
                }
                self.now = self.now + Seconds(1);
            }
            Step::Decline(at, number) => {
                let ctx = self.serving(at);
                if self.ends.get(&number).is_some_and(|end| *end > self.now) {
                    self.ends.remove(&number);
                    if let Ok(lease) = decline(&self.nodes[at].lease, &client(number), &ctx) {
                        self.nodes[at].lease = lease;
                    }
                }
            }
            Step::Expire(at) => {
                let here = self.here(at);
                let lease = &self.nodes[at].lease;
                let next = expire(lease, &here)
                    .or_else(|_| abandoned_timeout(lease, &here, Some(Dialect::Own), Seconds(60)));
                if let Ok(lease) = next {
                    self.nodes[at].lease = lease;
                }
            }
            Step::Balance(at) => {
                let here = self.here(at);
                let lease = &self.nodes[at].lease;
                let next = match here.role {
                    Role::Primary => give(lease, &here).or_else(|_| reclaim(lease, &here)),
                    Role::Secondary => give(lease, &here),
                };
                if let Ok(lease) = next {
                    self.nodes[at].lease = lease;
                }
            }
            Step::Send(at) => self.send(at),
            Step::Deliver(at) => self.deliver(at),
            Step::Cut(at) => {
                let node = &mut self.nodes[at];
                if node.linked {
                    node.linked = false;
                    node.edges += 1;
                    node.inbox.clear();
                    node.in_flight.clear();
                }
            }
            Step::LinkUp => {
                if self.nodes.iter().any(|node| node.linked) {
                    return;
                }
                for node in &mut self.nodes {
                    node.inbox.clear();
                    node.linked = true;
                    node.edges += 1;
                    if node.lease.sync == Sync::Rejected {
                        node.lease.sync = Sync::Due;
                    }
                }
            }
        }
    }

    fn send(&mut self, at: usize) {
        let side = self.side(at);
        let node = &mut self.nodes[at];
        let waiting = node.in_flight.iter().any(|(_, void)| !void);
        if node.linked && !waiting && node.lease.sync == Sync::Due {
            let update = update_for(&node.lease, &side);
            node.in_flight.push_back((update.clone(), false));
            self.post(1 - at, Wire::Update(update));
        }
    }

    /// What one sends into a link that the other knows to be gone is lost.
    fn post(&mut self, to: usize, message: Wire) {
        if self.nodes[to].linked {
            self.nodes[to].inbox.push_back(message);
        }
    }

    fn deliver(&mut self, at: usize) {
        let Some(message) = self.nodes[at].inbox.pop_front() else { return };
        let side = self.side(at);
        match message {
            Wire::Ack => {
                let (sent, void) = self.nodes[at].in_flight.pop_front().expect("answers have questions");
                if !void {
                    self.nodes[at].lease = acked(&self.nodes[at].lease, &sent, &side);
                }
            }
            Wire::Reject(reason) => {
                let (sent, void) = self.nodes[at].in_flight.pop_front().expect("answers have questions");
                if !void {
                    self.nodes[at].lease = rejected(&self.nodes[at].lease, &sent, reason, &side);
                }
            }
            Wire::Update(update) => {
                let answer = self.judge(at, &update);
                self.post(1 - at, answer);
            }
        }
    }

    fn judge(&mut self, at: usize, update: &BindingUpdate) -> Wire {
        let unacked = self.nodes[at].in_flight.iter().find(|(_, void)| !void).map(|(sent, _)| sent.clone());
        let node = &mut self.nodes[at];
        let ctx = Judge {
            now: self.now,
            mclt: M,
            unacked: unacked.as_ref(),
            link_edges: node.edges,
            ..super::ctx(node.role, Dialect::Own)
        };
        let verdict = judge(&node.lease, update, &ctx);
        let lost = super::reason(&verdict) != Some(RejectReason::LessCriticalBindingInformation);
        if lost {
            node.in_flight.iter_mut().for_each(|(_, void)| *void = true);
        }
        match verdict {
            Verdict::Accept(lease) => {
                node.lease = lease;
                Wire::Ack
            }
            Verdict::AcceptThenRepair(_) => panic!("no repairs between our own"),
            Verdict::Reject(reason, _) => Wire::Reject(reason),
        }
    }

    fn tell(&self) -> String {
        let from = self.trace.len().saturating_sub(120);
        self.trace[from..].join("\n")
    }

    /// I2: at most the MCLT beyond a potential of this client that is on the partner's disk.
    fn assert_lead(&self, at: usize, granted: &Lease) {
        let partner = &self.nodes[1 - at].lease;
        // What it has ended but not yet agreed upon it still waits for.
        let held = match partner.status {
            Status::Active | Status::Expired | Status::Released => partner.client == granted.client,
            // Their client is forgotten, not what it was promised.
            Status::Abandoned | Status::Reset => true,
            Status::Free | Status::Backup => false,
        };
        let potential =
            if held { partner.sent_potential.max(partner.received_potential_max) } else { UnixTime::ZERO };
        let limit = self.now.max(potential) + M;
        assert!(granted.exp <= limit, "{} leads beyond {limit:?}\n{}", at, self.tell());
    }

    fn check(&self, before: &[Lease; 2]) {
        let believers: Vec<_> = self.ends.iter().filter(|(_, end)| **end > self.now).collect();
        assert!(believers.len() <= 1, "two clients hold the address: {believers:?}\n{}", self.tell());
        for (node, before) in self.nodes.iter().zip(before) {
            let lease = &node.lease;
            let one_client = lease.status == Status::Active
                && before.status == Status::Active
                && lease.client == before.client;
            if one_client {
                assert!(lease.held_until >= before.held_until, "{}", self.tell());
                assert!(lease.sent_potential >= before.sent_potential, "{}", self.tell());
                assert!(lease.acked_potential >= before.acked_potential, "{}", self.tell());
            }
        }
        // I3: at no instant do both disks allow a new client.
        let own = |node: &Node| crate::times::is_own(&node.lease, node.role);
        assert!(!(own(&self.nodes[0]) && own(&self.nodes[1])), "{}", self.tell());
    }

    /// With the link up and nothing new, all is told and both say the same.
    fn settle(&mut self) {
        for at in 0..2 {
            self.run(Step::Cut(at));
        }
        self.run(Step::LinkUp);
        for _ in 0..40 {
            for at in 0..2 {
                self.step(Step::Send(at));
                self.step(Step::Deliver(at));
            }
        }
        let [primary, secondary] = &self.nodes;
        for node in &self.nodes {
            assert!(node.inbox.is_empty() && node.in_flight.is_empty(), "no end of updates\n{}", self.tell());
            assert_ne!(node.lease.sync, Sync::Due, "not told\n{}", self.tell());
        }
        let told = |lease: &Lease| (lease.status, lease.client.clone(), lease.held_until, lease.flags);
        assert_eq!(told(&primary.lease), told(&secondary.lease), "\n{}", self.tell());
    }
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0_usize..2;
    prop_oneof![
        6 => (at(), 1_u8..4, 1_u32..60, prop::bool::weighted(0.8))
            .prop_map(|(at, number, desired, arrives)| Step::Request(at, number, desired, arrives)),
        6 => at().prop_map(Step::Send),
        8 => at().prop_map(Step::Deliver),
        4 => (1_u32..15).prop_map(Step::Pass),
        3 => at().prop_map(Step::Expire),
        2 => at().prop_map(Step::Balance),
        1 => (at(), 1_u8..4).prop_map(|(at, number)| Step::Release(at, number)),
        1 => (at(), 1_u8..4).prop_map(|(at, number)| Step::Decline(at, number)),
        1 => at().prop_map(Step::Cut),
        2 => Just(Step::LinkUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn two_of_ours_never_give_one_address_to_two_clients_and_agree_in_the_end(
        steps in prop::collection::vec(step(), 1..150)
    ) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        world.settle();
    }
}
